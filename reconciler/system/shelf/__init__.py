"""The shelf and the pools of the orders, through the adapter that an address names.

    simulated:/path/to.sock     the model of a shelf, in a process of its own
    disks:/dev/disk/by-id       real disks, each by its name in that directory, and the pools of this kernel
      ?partition=N, ?area=BYTE  where records lie on the arbitration disks, when not in the partition that ZFS reserves

Decides which adapter; each keeps the protocols of `core/failover/adapters`.
"""

from __future__ import annotations

from reconciler.core.failover.adapters import PoolHouse, Shelf
from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Orders
from reconciler.errors import NodeFileError
from reconciler.system.shelf.bay import Directory
from reconciler.system.shelf.disks import DiskShelf, parse_address
from reconciler.system.shelf.simulated import SimulatedHouse, SimulatedShelf
from reconciler.system.zfs.house import ZfsHouse


def open_shelf(url: str, side: Side, orders: Orders) -> tuple[Shelf, PoolHouse]:
    """Both adapters for one controller. Opens nothing that could block: what is not there is silent.

    Raises NodeFileError for an address that names no adapter.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "simulated" and rest.startswith("/"):
        return SimulatedShelf(rest, side, orders), SimulatedHouse(rest, side)
    address = parse_address(rest) if scheme == "disks" else None
    if address is not None:
        place, choice = address
        return DiskShelf(orders, side, Directory(place), choice), ZfsHouse(place, side, orders)
    raise NodeFileError(
        f"{url!r} is no address of a shelf",
        where="[watchdog] shelf",
        remedy="write disks:/dev/disk/by-id, or simulated:/path/to.sock",
    )
