"""Disks of a pool that is to be made: under the reservation of the active controller before ZFS writes to them.

A controller that was fenced must not be able to write to them either, and the orders name them only once the pool is
there. Decides that a pool is not made over a disk that another may hold. Does not know how a disk is taken;
`system/shelf/claim_completion` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.core.failover.completion import patience_ms
from reconciler.core.failover.hold import judge
from reconciler.core.failover.key import Key, Side
from reconciler.core.failover.orders import Orders
from reconciler.errors import PerformError
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.published_orders import orders_in_force
from reconciler.system.shelf import open_disks
from reconciler.system.shelf.claim_completion import complete
from reconciler.system.shelf.disks import DiskShelf

LOOK_S: Final = 5.0
COMMAND_S: Final = 2.0


def fence_pool_disks(node: Node, watchdog: WatchdogNode, pool: str, disks: Sequence[str]) -> None:
    """Take the disks with the key by which this controller holds those of the orders in force.

    Disks that only pending orders name are not taken yet. Raises PerformError, StateError.
    """
    orders, _ = orders_in_force(node, watchdog)
    new = tuple(disk for disk in disks if disk not in orders.disks)
    side = Side(node.controller)
    mine = _key(orders, watchdog, side)
    if mine is None or not new:
        return
    shelf = open_disks(watchdog.shelf, side, replace(orders, disks=new, vdevs=(), arbitration=()))
    patience_s = patience_ms(orders.timers, round(COMMAND_S * 1_000)) / 1_000
    try:
        # A simulated shelf has the disks of the orders and no others.
        refused = [
            disk
            for at, disk in enumerate(new)
            if isinstance(shelf, DiskShelf) and not complete(shelf, at, mine, COMMAND_S, patience_s)
        ]
    finally:
        shelf.close()
    if refused:
        what = f"{', '.join(refused)} cannot be taken under the reservation of this controller"
        remedy = "somebody else holds it, or it is in use or does not answer: `sg_persist` and `lsblk` say which"
        raise PerformError(what, where=pool, remedy=remedy)


def _key(orders: Orders, watchdog: WatchdogNode, side: Side) -> Key | None:
    """Our key, as it stands on the disks of the orders; None where no disk is named yet. Raises PerformError."""
    if not orders.disks:
        return None
    shelf = open_disks(watchdog.shelf, side, orders)
    try:
        owner = judge(orders, 0, shelf.look(LOOK_S)).owner
    finally:
        shelf.close()
    if owner is None or owner.side is not side:
        raise PerformError(
            f"the disks of the pair are held by {owner or 'nobody'}, not by this controller", where=orders.pair,
            remedy="look with `hagit reservations`, then make a new plan",
        )  # fmt: skip
    return owner
