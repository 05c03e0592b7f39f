"""Acceptance: which orders a watchdog may follow, by one rule for its first orders and for those that replace others.

Does not know the path of orders, nor who sealed them.
"""

from __future__ import annotations

from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side


def unacceptable(orders: Orders, pair: str, side: Side, generation_min: int) -> Decision | None:
    """Return why this side of this pair must not follow these orders; None if it may.

    `generation_min`: the least generation that is not too old. No state ever contains orders that this function
    refuses, because a fence depends on their disks and a takeover on their timers.
    """
    if (orders.pair, orders.side) != (pair, side):
        return Decision(Code.ORDERS_FOREIGN, f"{orders.pair} {orders.side}, this is {pair} {side}")
    if orders.generation < generation_min:
        return Decision(Code.ORDERS_OLD, f"{orders.generation}, at least {generation_min}")
    defects = unsafe(orders)
    return Decision(Code.ORDERS_UNSAFE, f"{defects[0].where}: {defects[0].what}") if defects else None
