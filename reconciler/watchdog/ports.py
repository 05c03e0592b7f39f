"""What the daemon asks of its parts: heartbeats, disks and pools, addresses. Nothing here waits.

Each protocol has one implementation that acts (`beats`, `work`, `placement`). Decides nothing.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.core.failover.heartbeat import Beat
from reconciler.core.failover.key import Key
from reconciler.core.failover.orders import Orders


class HeartbeatPort(Protocol):
    """Heartbeats on the network (`beats`)."""

    def set_orders(self, orders: Orders) -> None:
        """New channels."""

    def send(self, beat: Beat) -> None:
        """Number it and send it on every channel."""

    def next_number(self) -> int:
        """The next number."""
        ...


class StoragePort(Protocol):
    """Disks and pools, by children (`work`). Nothing here waits; what comes of it is told to the daemon."""

    running_claim: Key | None
    running_move: str

    def set_orders(self, orders: Orders, pending: Orders | None) -> None:
        """New disks, vdevs or timers; `pending` orders name disks that are not in force yet."""

    def look_at_disks(self) -> None:
        """Look at all disks and the peer's records."""

    def look_at_pools(self) -> None:
        """Look at the pools."""

    def write_record(self, beat: Beat) -> None:
        """Write the disk heartbeat."""

    def run_claim(self, key: Key | None) -> None:
        """Run the claim with this key, and no other; None: run none."""

    def import_pools(self, excused: frozenset[int], txgs: tuple[int, ...]) -> bool:
        """Start an import. False if that is not possible now.

        `excused`: indices of disks that may be silent. `txgs`: each pool must have reached this transaction group.
        """
        ...

    def export_pools(self) -> None:
        """Begin to export the pools."""

    def abandon_export(self) -> None:
        """End an export that has begun, as far as it can be ended."""

    def activity(self) -> str:
        """What changes disks, pools or the peer's power at this moment; "" when nothing does."""
        ...


class AddressPort(Protocol):
    """Virtual addresses and links (`placement`)."""

    def set_orders(self, orders: Orders) -> None:
        """New addresses, groups or devices."""

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """The addresses are here, are left as they are, or are not here."""
