"""Disks that newer orders add, and that their owner could not take: what a plan can tell before anything is published.

The same rules as `pending_orders`, asked of one look before the orders are newer. Touches nothing; knows no daemon.
"""

from __future__ import annotations

from reconciler.core.failover.machine.pending_orders import joined
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.fence_completion import completable
from reconciler.core.failover.reservations.reservation_state import DiskView, fenced, for_pair, holder_text, judge


def untakeable(in_force: Orders, newer: Orders, views: tuple[DiskView, ...]) -> tuple[str, ...]:
    """Each disk that `newer` adds and the present owner cannot take, with what holds it.

    `views`: a look at the disks of both, as `joined` numbers them. Empty where no controller owns the pools: the next
    claim goes by the newer orders.
    """
    both = joined(in_force, newer)
    assert len(views) == len(both.disks)
    known = len(in_force.disks)
    owner = judge(in_force, 0, views[:known]).owner
    if owner is None or owner.side is None:
        return ()
    seen = [(name, for_pair(view, newer.pair)) for name, view in zip(both.disks, views, strict=True)][known:]
    return tuple(
        f"{name} {holder_text(view)}"
        for name, view in seen
        if not fenced(view, owner) and not completable((view,), owner)
    )
