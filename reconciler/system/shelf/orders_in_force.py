"""The orders in force of one controller, as its daemon keeps them in /run: the next daemon and people's commands ask.

Published orders may be newer: their shelf can still be pending (`core/failover/machine/pending_orders`). Sealed with a
key of this boot, so a file of an earlier boot cannot be read. Does not know who writes the file, nor where /run is.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.failover.heartbeats.authentication import Purpose, SealKey, derive
from reconciler.core.failover.orders.document import ORDERS_BYTES_MAX, decode_orders, orders_document
from reconciler.core.failover.orders.orders import Orders
from reconciler.errors import HagitError
from reconciler.system.files import read_bytes


def orders_in_force_path(run: Path) -> Path:
    """The file in the directory of the daemon."""
    return run / "orders"


def orders_in_force_document(orders: Orders, boot: str) -> bytes:
    """The content of the file."""
    return orders_document(orders, _key(boot))


def read_orders_in_force(run: Path, boot: str) -> Orders | None:
    """The orders that were in force last in this boot; None without any, or when the file is damaged."""
    try:
        data = read_bytes(orders_in_force_path(run), ORDERS_BYTES_MAX)
    except HagitError:
        return None
    read = decode_orders(data, _key(boot)) if data is not None else None
    return read if isinstance(read, Orders) else None


def _key(boot: str) -> SealKey:
    return derive(boot.encode(), Purpose.ORDERS, "run")
