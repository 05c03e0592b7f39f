"""The shelf and the pools of the orders, through the adapter that an address names.

    simulated:/path/to.sock     the model of a shelf, in a process of its own
    disks:/dev/disk/by-id       real disks, each by its name in that directory, and the pools of this kernel
      ?partition=N, ?area=BYTE  where records lie on the arbitration disks, when not in the partition that ZFS reserves

Decides which adapter; each keeps the protocols of `core/failover/ports`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import SharedPools, Shelf
from reconciler.core.failover.reservations.current_copies import pools_of
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import NodeFileError
from reconciler.system.shelf.audit import DiskAudit, ShelfAudit, SimulatedAudit
from reconciler.system.shelf.disks import DiskShelf, parse_address
from reconciler.system.shelf.record_area import Choice
from reconciler.system.shelf.shared_disk import DiskDirectory
from reconciler.system.shelf.simulated_shelf import SimulatedPools, SimulatedShelf
from reconciler.system.zfs.kstat import pool_state
from reconciler.system.zfs.pool_adapter import ZfsPools, note


def open_shelf(url: str, side: Side, orders: Orders) -> tuple[Shelf, SharedPools]:
    """Both adapters for one controller. Opens nothing that could block: what is not there is silent.

    Raises NodeFileError for an address that names no adapter.
    """
    return open_disks(url, side, orders), open_pools(url, side, orders)


def open_disks(url: str, side: Side, orders: Orders) -> Shelf:
    """The disks of the orders. Otherwise as `open_shelf`."""
    place = _place(url)
    if isinstance(place, str):
        return SimulatedShelf(place, side, orders)
    directory, choice = place
    return DiskShelf(orders, side, DiskDirectory(directory), choice)


def open_pools(url: str, side: Side, orders: Orders, notify: Callable[[str], None] | None = None) -> SharedPools:
    """The pools of the orders; the journal and `notify` hear why one does not come or go. Otherwise as `open_shelf`."""
    place = _place(url)

    def say(text: str) -> None:
        note(text)
        if notify is not None:
            notify(text)

    return SimulatedPools(place, side, say) if isinstance(place, str) else ZfsPools(place[0], side, orders, say=say)


def open_audit(url: str, side: Side, orders: Orders) -> ShelfAudit:
    """Who looks at what is around the same disks and pools. Opens nothing yet. Raises NodeFileError as `open_shelf`."""
    place = _place(url)
    if isinstance(place, str):
        return SimulatedAudit()
    directory, choice = place
    # What its disks have to tell, the eyes tell already.
    shelf = DiskShelf(orders, side, DiskDirectory(directory), choice, notify=lambda name, what: None)
    return DiskAudit(shelf, directory, orders)


def directory_of(url: str) -> Path | None:
    """Where the disks of a real shelf are; None for any other address."""
    scheme, _, rest = url.partition(":")
    address = parse_address(rest) if scheme == "disks" else None
    return None if address is None else address[0]


def imported(url: str, orders: Orders) -> tuple[str, ...]:
    """Pools of the orders that this kernel has; none for a simulated shelf, whose pools are in another process."""
    if directory_of(url) is None:
        return ()
    return tuple(pool for pool in pools_of(orders) if pool_state(pool) is not None)


def _place(url: str) -> str | tuple[Path, Choice]:
    """The socket of a simulated shelf, or where the disks and their records are."""
    scheme, _, rest = url.partition(":")
    if scheme == "simulated" and rest.startswith("/"):
        return rest
    address = parse_address(rest) if scheme == "disks" else None
    if address is not None:
        return address
    raise NodeFileError(
        f"{url!r} is no address of a shelf",
        where="[watchdog] shelf",
        remedy="write disks:/dev/disk/by-id, or simulated:/path/to.sock",
    )
