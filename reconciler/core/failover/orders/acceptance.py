"""Which orders may be followed at all: the same rule for those a daemon begins with and for those that replace others.

Does not know where orders lie, nor who sealed them.
"""

from __future__ import annotations

from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side


def unacceptable(orders: Orders, pair: str, side: Side, generation_min: int) -> Decision | None:
    """Why these orders must not be followed by this side of this pair; None when they may.

    `generation_min` is the least generation that is not old. No state is made with orders that this refuses: a fence
    is judged by their disks, and a takeover by their timers.
    """
    if (orders.pair, orders.side) != (pair, side):
        return Decision(Code.ORDERS_FOREIGN, f"{orders.pair} {orders.side}, this is {pair} {side}")
    if orders.generation < generation_min:
        return Decision(Code.ORDERS_OLD, f"{orders.generation}, at least {generation_min}")
    defects = unsafe(orders)
    return Decision(Code.ORDERS_UNSAFE, f"{defects[0].where}: {defects[0].what}") if defects else None
