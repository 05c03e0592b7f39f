"""The ports of the daemon: heartbeats, storage, shares and virtual addresses. No method waits.

Each protocol has one implementation: `heartbeats`, `dispatcher`, `share_service`, `virtual_addresses`. Decides nothing.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Key


class HeartbeatPort(Protocol):
    """Heartbeats on the network (`heartbeats`)."""

    def set_orders(self, orders: Orders) -> None:
        """Use the channels of these orders."""

    def send(self, beat: Beat) -> None:
        """Number the heartbeat and send it on every channel."""

    def next_number(self) -> int:
        """Take the next number, for a heartbeat on the disks."""
        ...


class StoragePort(Protocol):
    """Disks and pools, through worker processes (`dispatcher`). The results arrive as events of the daemon."""

    running_claim: Key | None
    running_move: str

    def set_orders(self, orders: Orders, pending: Orders | None) -> None:
        """Use these disks, vdevs and timers. `pending` orders name disks that are not in force yet."""

    def look_at_disks(self) -> None:
        """Look at all disks and the peer's records."""

    def look_at_pools(self) -> None:
        """Look at the pools."""

    def write_record(self, beat: Beat) -> None:
        """Write the disk heartbeat."""

    def run_claim(self, key: Key | None) -> None:
        """Run the claim with this key and abandon any other. None runs no claim."""

    def import_pools(self, excused: frozenset[int], txgs: tuple[int, ...]) -> bool:
        """Start an import. False if that is not possible now.

        `excused`: indices of disks that may be silent. `txgs`: each pool must have reached this transaction group.
        """
        ...

    def export_pools(self) -> None:
        """Start an export."""

    def abandon_export(self) -> None:
        """Kill the worker that exports. The kernel may continue its last command."""

    def activity(self) -> str:
        """The change of disks or pools that is in progress, for messages; "" without one."""
        ...


class SharePort(Protocol):
    """Servers of shares (`share_service`)."""

    @property
    def holds_addresses(self) -> bool:
        """Whether a release keeps the addresses for a moment, so that the last answers reach the clients."""
        ...

    def begin(self, *, served: bool = False) -> None:
        """The core exists now. `served`: whether the servers served when a predecessor handed over."""

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """Start the servers (`wanted`), leave them as they are (`kept`), or stop them (neither)."""

    def activity(self) -> str:
        """The change of servers that is in progress, for messages; "" without one."""
        ...


class AddressPort(Protocol):
    """Virtual addresses and links (`virtual_addresses`)."""

    def set_orders(self, orders: Orders) -> None:
        """Use the addresses, groups and devices of these orders."""

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """Add the addresses (`wanted`), leave them as they are (`kept`), or remove them (neither)."""
