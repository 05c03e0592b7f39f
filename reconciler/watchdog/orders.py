"""Which orders this daemon starts to follow, and why it does not follow those that lie there.

Decides only about the first orders of a daemon's life; once it follows some, the core says which may replace them.
"""

from __future__ import annotations

from reconciler.core.failover.orders import Orders
from reconciler.core.failover.orders_document import decode_orders
from reconciler.core.failover.refusal import Refused
from reconciler.core.failover.seal import SealKey
from reconciler.core.failover.unsafe import unsafe
from reconciler.core.failover.why import Code
from reconciler.watchdog.clerk import Sight


def read_orders(sight: Sight, key: SealKey) -> Orders | str:
    """The orders in what the clerk saw, or in words why there are none."""
    if sight.problem:
        return f"the orders cannot be read: {sight.problem}"
    if sight.content is None:
        return "the agent has not published orders yet"
    read = decode_orders(sight.content, key)
    return f"the orders are {read}" if isinstance(read, Refused) else read


def first_refused(orders: Orders, side: str, pair: str, generation_max: int) -> str:
    """Why a daemon that follows none does not begin with these; "" when it does.

    `pair` and `generation_max` are those of the orders that were in force last, "" and 0 if none ever were.
    """
    if orders.side != side or pair not in ("", orders.pair):
        where = f"{orders.pair} {orders.side}, this is {pair or orders.pair} {side}"
        return f"{Code.ORDERS_FOREIGN.value} ({where}); to join another pair, remove watchdog/accepted.json"
    if orders.generation < generation_max:
        return f"{Code.ORDERS_OLD.value} ({orders.generation}, in force was {generation_max})"
    defects = unsafe(orders)
    return f"{Code.ORDERS_UNSAFE.value} ({defects[0].where}: {defects[0].what})" if defects else ""
