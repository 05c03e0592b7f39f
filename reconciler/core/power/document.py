"""The power plan as a file beside the orders: one line of canonical JSON, one line with its seal, like them.

Decides which bytes are a plan; one that says to an agent what git must not say is none (`options`). It is a file of its
own and no part of the orders: what it says changes no decision of the failover core, and both controllers need not have
the same at the same moment.
"""

from __future__ import annotations

from typing import Final

from reconciler.core.failover.heartbeats.authentication import SealKey
from reconciler.core.failover.orders.document import seal_orders
from reconciler.core.failover.orders.first_release import plain_of
from reconciler.core.failover.orders.sealed_value import read_value
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.strict_json import canonical
from reconciler.core.power.options import unfit_plan
from reconciler.core.power.plan import PowerPlan

FORMAT: Final = "hagit.power/1"
POWER_BYTES_MAX: Final = 1 << 16


def power_document(plan: PowerPlan, key: SealKey) -> bytes:
    """The file of this plan."""
    return seal_orders(canonical({"format": FORMAT, "power": plain_of(plan)}) + b"\n", key)


def decode_power(data: bytes, key: SealKey) -> PowerPlan | Refused:
    """The plan in a file. Never raises, whatever the bytes."""
    read = read_value(PowerPlan, "power", FORMAT, data, POWER_BYTES_MAX, key)
    if isinstance(read, Refused):
        return read
    plan, unknown = read
    if unknown:
        # No power is cut by a plan of which a part is not understood.
        return Refused(Refusal.VERSION, f"a newer hagit wrote it: this one does not know {unknown[0]}")
    unfit = unfit_plan(plan)
    return Refused(Refusal.AUTHENTIC_DEFECT, unfit) if unfit else plan
