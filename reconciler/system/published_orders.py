"""The watchdog's orders, as the agent published them on this controller, and those that are in force.

Reads files only. The core decides which orders are in force while newer ones are pending (`pending_orders`).
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.machine.pending_orders import resumed
from reconciler.core.failover.orders.document import ORDERS_BYTES_MAX, decode_orders
from reconciler.core.failover.orders.orders import Orders, layout
from reconciler.core.failover.refusal import Refused
from reconciler.errors import StateError
from reconciler.system.files import read_bytes
from reconciler.system.machine import boot_id
from reconciler.system.node import Node, WatchdogNode
from reconciler.system.secret import document_keys
from reconciler.system.shelf.orders_in_force import read_orders_in_force


def orders_in_force(node: Node, watchdog: WatchdogNode) -> tuple[Orders, Orders | None]:
    """The orders in force here, and newer ones whose disks are pending, or None. Raises StateError.

    If no watchdog ran in this boot, the published orders count: the next watchdog decides which disks are in force.
    """
    newest = published_orders(node, watchdog)
    kept = read_orders_in_force(watchdog.run, boot_id())
    same = kept is not None and (kept.pair, kept.side) == (newest.pair, newest.side)
    return resumed(newest, layout(kept) if kept is not None and same else None)


def published_orders(node: Node, watchdog: WatchdogNode) -> Orders:
    """The newest orders that the agent published here. Raises StateError."""
    path = node.state / "orders.json"
    content = read_bytes(path, ORDERS_BYTES_MAX)
    if content is None:
        remedy = "run `hagit apply` first"
        raise StateError("there are no orders yet, which name the disks", where=str(path), remedy=remedy)
    orders = decode_any(content, document_keys(watchdog), decode_orders)[0]
    if isinstance(orders, Refused):
        raise StateError(f"the orders cannot be used: {orders}", where=str(path), remedy="run `hagit apply` again")
    return orders
