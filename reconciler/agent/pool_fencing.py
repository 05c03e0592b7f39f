"""Fence the disks of a new pool: the active controller reserves them before ZFS writes to them.

The orders name these disks only once the pool exists, but a fenced controller must not write to them either. A pool is
not created over a disk that another controller may hold. `system/shelf/claim_completion` reserves a disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.fence_completion import patience_ms
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import judge
from reconciler.errors import PerformError
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.published_orders import orders_in_force
from reconciler.system.shelf import open_disks
from reconciler.system.shelf.claim_completion import complete
from reconciler.system.shelf.disks import DiskShelf

LOOK_S: Final = 5.0
COMMAND_S: Final = 2.0


def fence_pool_disks(node: Node, watchdog: WatchdogNode, pool: str, disks: Sequence[str]) -> None:
    """Reserve the disks with the key by which this controller holds the disks of the orders in force.

    Disks that only pending orders name are not held yet. Raises PerformError, StateError.
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
        what = f"{', '.join(refused)} cannot be reserved for this controller"
        remedy = "another holds it, or it is in use or does not answer: `sg_persist` and `lsblk` show which"
        raise PerformError(what, where=pool, remedy=remedy)


def _key(orders: Orders, watchdog: WatchdogNode, side: Side) -> Key | None:
    """The key of this controller on the disks of the orders; None where they name no disk. Raises PerformError."""
    if not orders.disks:
        return None
    shelf = open_disks(watchdog.shelf, side, orders)
    try:
        owner = judge(orders, 0, shelf.look(LOOK_S)).owner
    finally:
        shelf.close()
    if owner is None or owner.side is not side:
        raise PerformError(
            f"the disks of the pair are held by {owner or 'no controller'}, not by this controller", where=orders.pair,
            remedy="run `hagit reservations`, then make a new plan",
        )  # fmt: skip
    return owner
