"""Which orders this daemon starts to follow, and why it does not follow those that lie there.

Decides only about the first orders of a daemon's life; once it follows some, the core says which may replace them.
"""

from __future__ import annotations

from reconciler.core.failover.acceptance import unacceptable
from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.orders_document import decode_orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.seal import SealKey
from reconciler.core.failover.why import Code
from reconciler.core.power.document import decode_power
from reconciler.core.power.plan import PowerPlan
from reconciler.watchdog.clerk import Sight


def read_orders(sight: Sight, key: SealKey) -> Orders | str:
    """The orders in what the clerk saw, or in words why there are none."""
    if sight.problem:
        return f"the orders cannot be read: {sight.problem}"
    if sight.content is None:
        return "the agent has not published orders yet"
    read = decode_orders(sight.content, key)
    return f"the orders are {read}" if isinstance(read, Refused) else read


def read_power(sight: Sight, key: SealKey) -> PowerPlan | Refused | None:
    """The power plan in what a clerk saw, why there is none, or None where none was published."""
    if sight.problem:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"it cannot be read: {sight.problem}")
    return None if sight.content is None else decode_power(sight.content, key)


def first_refused(orders: Orders, side: Side, pair: str, generation_max: int) -> str:
    """Why a daemon that follows none does not begin with these; "" when it does.

    `pair` and `generation_max` are those of the orders that were in force last, "" and 0 if none ever were. The very
    orders that were in force before a restart are not old.
    """
    refused = unacceptable(orders, pair or orders.pair, side, generation_max)
    if refused is None:
        return ""
    joining = "; to join another pair, remove watchdog/accepted.json" if refused.code is Code.ORDERS_FOREIGN else ""
    return f"{refused}{joining}"
