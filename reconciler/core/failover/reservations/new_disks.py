"""New disks: which disks newer orders add that the present owner could not take, known before they are published.

Applies the rules of `pending_orders` to one look at the disks. Sends no command to a disk and knows no daemon.
"""

from __future__ import annotations

from reconciler.core.failover.machine.pending_orders import joined
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.fence_completion import completable
from reconciler.core.failover.reservations.reservation_state import DiskView, fenced, for_pair, holder_text, judge


def untakeable(in_force: Orders, newer: Orders, views: tuple[DiskView, ...]) -> tuple[str, ...]:
    """Return each disk that `newer` adds and the present owner cannot take, with the key that holds it.

    `views`: a look at the disks of both orders, as `joined` numbers them. Empty if no controller owns the pools: the
    next claim follows the newer orders.
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
