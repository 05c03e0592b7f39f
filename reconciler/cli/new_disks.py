"""Warnings of a plan about disks that newer orders add: those that the active controller could not take, and why.

Looks at the disks and changes nothing. `core/failover/reservations/new_disks` decides which disks can be taken. Where
this controller cannot look, the watchdog's own reason (ORDERS_PENDING) tells it later.
"""

from __future__ import annotations

from typing import Final

from reconciler.cli.disk_access import IsolatedAdapters
from reconciler.core.failover.machine.pending_orders import joined
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.new_disks import untakeable
from reconciler.core.failover.reservations.reservation_state import TOLD_MAX
from reconciler.errors import HagitError
from reconciler.system.node import Node
from reconciler.system.published_orders import orders_in_force
from reconciler.system.shelf import open_shelf

#: Time for all disks together: a plan does not wait for a silent disk.
LOOK_S: Final = 2.0


def new_disk_warnings(node: Node, newer: Orders | None) -> tuple[str, ...]:
    """A sentence if the disks of `newer` would stay pending, as far as a look from here can tell; else nothing."""
    watchdog = node.watchdog
    if newer is None or watchdog is None:
        return ()
    try:
        in_force, _ = orders_in_force(node, watchdog)
        both = joined(in_force, newer)
        if len(both.disks) == len(in_force.disks):
            return ()
        disks = IsolatedAdapters(lambda: open_shelf(watchdog.shelf, Side(node.controller), both))
        try:
            views = disks.look(LOOK_S)
        finally:
            disks.close()
    except HagitError:
        return ()
    found = untakeable(in_force, newer, views)
    if not found:
        return ()
    more = f" and {len(found) - TOLD_MAX} more" if len(found) > TOLD_MAX else ""
    return (
        f"the active controller cannot take every new disk: {'; '.join(found[:TOLD_MAX])}{more}; until it can, the"
        " disks, vdevs and arbitration before stay in force (ORDERS_PENDING)",
    )
