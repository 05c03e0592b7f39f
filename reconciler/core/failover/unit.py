"""Which unit of hardware a controller is: the serial number that the Pair names for it, as a sealed file.

It is a file of its own and no part of the orders: a watchdog of the earlier release refuses orders with a field that it
does not know, and must go on beside a newer agent. Decides which machine may claim; a running owner is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.document import Defect, build, canonical, parse
from reconciler.core.failover.key import Side
from reconciler.core.failover.orders_document import seal_orders, unsealed
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.seal import SealKey
from reconciler.core.failover.why import Code, Decision

FORMAT: Final = "hagit.unit/1"
#: Not that of orders: neither file passes for the other, although one key seals both.
OPENING: Final = b'{"format":"hagit.unit/'
UNIT_BYTES_MAX: Final = 1 << 13


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of one controller. `serials`: its serial number; empty where the Pair names none."""

    pair: str
    side: Side
    serials: tuple[str, ...]


def unit_document(unit: Unit, key: SealKey) -> bytes:
    """The file of this unit."""
    return seal_orders(canonical({"format": FORMAT, "unit": unit}) + b"\n", key)


def decode_unit(data: bytes, key: SealKey) -> Unit | Refused:
    """The unit in a file. Never raises, whatever the bytes."""
    body = unsealed(data, OPENING, UNIT_BYTES_MAX, key)
    if isinstance(body, Refused):
        return body
    try:
        document = parse(body)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return Refused(Refusal.VERSION, f"this is {FORMAT}")
        if document.keys() != {"format", "unit"}:
            return Refused(Refusal.AUTHENTIC_DEFECT, "document: format and unit, nothing else")
        return build(Unit, document["unit"], "unit")
    except Defect as defect:
        return Refused(Refusal.AUTHENTIC_DEFECT, str(defect))


def unfit(unit: Unit | Refused | None, side: Side, serial: str) -> Decision | None:
    """Why the machine with this serial number, "" if it says none, may not claim as this side; None when it may.

    `unit` is None where no file was published.
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
