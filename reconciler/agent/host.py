"""The host: the live network of this controller, and its pools as long as they belong here.

Pools are observed only when a revision names them, and only on the active controller, as the watchdog reports it. A
configuration without pools therefore costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.network_adapter import NetworkAdapter
from reconciler.core.facts.state import Observed, Placement
from reconciler.core.facts.storage import STORAGE_WORDS, Pool, StorageFact
from reconciler.core.failover.machine.phase import Phase
from reconciler.errors import PerformError
from reconciler.system.mountpoint_check import require_safe_mountpoint
from reconciler.system.node import Node

if TYPE_CHECKING:
    from reconciler.core.facts.storage_adapter import StorageAdapter


class LiveHost:
    """Implements `NetworkAdapter` for the network and the pools together. Belongs to one thread."""

    def __init__(self, network: NetworkAdapter, node: Node) -> None:
        self._network = network
        self._node = node
        self._pools: StorageAdapter | None = None
        self._keys: frozenset[Key] = frozenset()

    def select_storage(self, keys: Iterable[Key]) -> bool:
        """Observe the pools and datasets among `keys` from now on; True when the last observation left some out."""
        wanted = frozenset(key for key in keys if key[0] in STORAGE_WORDS)
        wanted |= {("pool", key[1]) for key in wanted}
        is_more = not wanted <= self._keys
        self._keys = wanted
        return is_more

    def observe(self) -> Observed:
        """Observe everything. Raises ObservationError when the network cannot be read at all."""
        observed = self._network.observe()
        if not self._keys:
            return observed
        placement, why = pool_placement(self._node)
        if placement is Placement.STANDBY:
            return replace(observed, placement=placement, placement_why=why)
        look = self.pools.observe(self._keys)
        facts = MappingProxyType({**observed.facts, **look.facts})
        return replace(observed, facts=facts, unknown=(*observed.unknown, *look.unknown), placement=placement)

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """Observe a few keys. Raises ObservationError."""
        stored = [key for key in keys if key[0] in STORAGE_WORDS]
        if not stored:
            return self._network.observe_keys(keys)
        others = [key for key in keys if key[0] not in STORAGE_WORDS]
        found = dict(self._network.observe_keys(others)) if others else {}
        return {**found, **self.pools.observe_keys(stored)}

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """Change one fact. Raises PerformError; for pools also when they have moved to the peer."""
        fact = after if after is not None else before
        if not isinstance(fact, StorageFact):
            self._network.perform(before, after)
            return
        placement, why = pool_placement(self._node)
        if placement is Placement.STANDBY:
            raise PerformError(f"the pools are not this controller's: {why}", where=fact.key[1])
        require_safe_mountpoint(self.pools, after, self._node)
        if isinstance(after, Pool) and self._node.watchdog is not None:
            from reconciler.agent.pool_fencing import fence_pool_disks
            from reconciler.system.zfs.layouts import layout_in

            fence_pool_disks(self._node, self._node.watchdog, after.name, tuple(layout_in(after.layout).disks()))
        self.pools.perform(before, after)

    @property
    def pools(self) -> StorageAdapter:
        """The adapter for pools, also where they belong to the peer."""
        if self._pools is None:
            from reconciler.system.shelf import directory_of
            from reconciler.system.zfs.live_pools import LivePools

            watchdog = self._node.watchdog
            place = directory_of(watchdog.shelf) if watchdog is not None else None
            self._pools = LivePools(place) if place is not None else LivePools()
        return self._pools


def pool_placement(node: Node) -> tuple[Placement, str]:
    """Whether the pools belong to this controller, and why not."""
    if node.watchdog is None:
        return Placement.UNWATCHED, ""
    from reconciler.system.watchdog_client import read_status

    reading = read_status(node)
    assert reading is not None
    if reading.status is None or not reading.fresh:
        return Placement.STANDBY, reading.problem
    if reading.status.phase != Phase.ACTIVE:
        return Placement.STANDBY, f"this controller is {reading.status.role}"
    return Placement.ACTIVE, ""
