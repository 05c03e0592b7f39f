"""Hardware unit: the serial number that the Pair names for a controller, as a sealed file.

The file is separate from the orders, because a watchdog of the earlier release refuses orders with an unknown field and
must keep running beside a newer agent. Decides which machine may claim. Does not stop a running owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.orders.document import seal_orders
from reconciler.core.failover.orders.sealed_value import read_value
from reconciler.core.failover.refusal import Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.strict_json import canonical

FORMAT: Final = "hagit.unit/1"
UNIT_BYTES_MAX: Final = 1 << 13


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of one controller. `serials`: its serial number; empty if the Pair names none."""

    pair: str
    side: Side
    serials: tuple[str, ...]


def unit_document(unit: Unit, key: SealKey) -> bytes:
    """Return the sealed file of this unit."""
    return seal_orders(canonical({"format": FORMAT, "unit": unit}) + b"\n", key)


def decode_unit(data: bytes, key: SealKey) -> Unit | Refused:
    """Return the unit in a file. Never raises for any bytes.

    Ignores fields of a newer release: every release writes the serial numbers that may claim in the same way.
    """
    read = read_value(Unit, "unit", FORMAT, data, UNIT_BYTES_MAX, key)
    return read if isinstance(read, Refused) else read[0]


def unfit(unit: Unit | Refused | None, side: Side, serial: str) -> Decision | None:
    """Return why the machine with this serial number may not claim as this side; None if it may.

    `serial`: "" if the machine reports none. `unit`: None if no file was published.
    """
    if unit is None:
        return None
    if isinstance(unit, Refused):
        return Decision(Code.UNIT_UNKNOWN, f"the file of the unit is {unit}")
    if unit.side is not side:
        return Decision(Code.OTHER_UNIT, f"the file of the unit is that of controller {unit.side}, this is {side}")
    if not unit.serials or serial in unit.serials:
        return None
    named = f"the Pair names {unit.serials[0]!r} for controller {side}"
    if not serial:
        return Decision(Code.UNIT_UNKNOWN, f"{named}, this machine says no serial number")
    return Decision(Code.OTHER_UNIT, f"{named}, this machine is {serial!r}")
