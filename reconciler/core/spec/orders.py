"""The orders that a configuration gives the watchdog of one controller.

Decides how the language becomes orders: channels, failover groups, virtual addresses and devices from the Interfaces,
disks and vdevs from the Pools, timers, limits and arbitration from the Failover. What no key says is derived here or is
the default of `core/failover/orders/orders`. Whether the orders can be safe is told by
`core/failover/orders/safety_checks`.

The disks stand in one order on both controllers: pools by name, their disks as they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from reconciler.core.facts.fact import LinkKind
from reconciler.core.failover.orders.orders import (
    Carp,
    Channel,
    ChannelKind,
    Device,
    DeviceKey,
    Group,
    Limits,
    Orders,
    Timers,
    Vdev,
    VirtualAddress,
)
from reconciler.core.failover.reservations.key import Side
from reconciler.core.spec.configuration import Configuration, Resource
from reconciler.core.spec.failover import FailoverSpec
from reconciler.core.spec.interface import InterfaceSpec, Match, Role
from reconciler.core.spec.pair import PairSpec
from reconciler.core.spec.pool import PoolSpec, VdevType

#: The longest time without proof that is derived; and what a takeover takes after its wait, claim and import.
PROOF_MS_MAX: Final = 4_000
TAKEOVER_MS: Final = 2_500


class Sources(Protocol):
    """What orders are made from: a configuration, or a draft of one."""

    @property
    def interfaces(self) -> Mapping[str, Resource[InterfaceSpec]]:
        """By name."""

    @property
    def pools(self) -> Mapping[str, Resource[PoolSpec]]:
        """By name."""

    @property
    def failover(self) -> Resource[FailoverSpec] | None:
        """The one Failover."""


def orders_of(configuration: Configuration, controller: str = "a", generation: int = 1) -> Orders:
    """The orders for one controller of a configuration that is free of defects.

    Without a Failover the timers and limits are the defaults, so that the pair can be rehearsed all the same.
    """
    return draft_orders(configuration, configuration.pair, controller, generation)


def draft_orders(sources: Sources, pair: Resource[PairSpec], controller: str, generation: int = 1) -> Orders:
    """The orders in spite of defects: a disk that stands twice counts once, one that no pool has is left out."""
    interfaces = tuple(sources.interfaces.values())
    channels, groups = tuple(_channels(interfaces)), tuple(_groups(interfaces))
    addresses = tuple(_addresses(interfaces))
    used = {
        *(channel.name for channel in channels),
        *(name for group in groups for name in group.interfaces),
        *(address.interface for address in addresses),
    }
    pools = [sources.pools[name] for name in sorted(sources.pools)]
    disks = tuple(dict.fromkeys(disk for pool in pools for _, disk in pool.spec.disks()))
    places = {disk: index for index, disk in enumerate(disks)}
    policy = sources.failover.spec if sources.failover is not None else FailoverSpec.model_validate({})
    return Orders(
        pair=pair.name,
        side=Side(controller),
        generation=generation,
        controllers=("a", "b"),
        disks=disks,
        vdevs=tuple(_vdevs(pools, places)),
        arbitration=tuple(places[disk] for disk in dict.fromkeys(policy.arbitration) if disk in places),
        channels=channels,
        groups=groups,
        addresses=addresses,
        default=Side(policy.default_controller.value),
        enabled=policy.enabled,
        strict=policy.strict,
        timers=_timers(policy),
        limits=Limits(policy.budget.moves, _ms(policy.budget.per), policy.resets.count, _ms(policy.resets.per)),
        carp=Carp(policy.carp.advbase, policy.carp.advskew, policy.carp.virtual_mac),
        devices=tuple(_devices(interfaces, controller, used)),
    )


def fails_over(configuration: Configuration) -> bool:
    """Whether a watchdog has anything to do: two controllers and a Failover."""
    return configuration.failover is not None and len(configuration.controllers) == 2


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)


def _timers(policy: FailoverSpec) -> Timers:
    """What is not written grows with what is, as far as it has to for orders that are safe."""
    beat, default = policy.heartbeat, Timers()
    look_ms, pause_ms, stale_ms = _ms(beat.disk_interval), _ms(beat.pause), _ms(beat.disk_stale)
    return Timers(
        beat_ms=_ms(beat.interval),
        silence_ms=_ms(beat.silence),
        record_ms=look_ms,
        stale_ms=stale_ms,
        look_ms=look_ms,
        proof_ms=_proof_ms(policy),
        pause_ms=pause_ms,
        # One look that a disk does not answer must not move the pools: the next one is waited for.
        settle_ms=max(default.settle_ms, 2 * look_ms),
        yield_ms=max(default.yield_ms, default.claim_ms + stale_ms),
        import_ms=_ms(policy.limits.import_),
        release_ms=_ms(policy.limits.export),
        deadman_ms=_ms(policy.deadman),
        network_ms=_ms(policy.timeout),
        maintenance_ms=_ms(policy.maintenance),
    )


def _proof_ms(policy: FailoverSpec) -> int:
    """The longest stall of a shelf that moves nothing: what the patience of clients leaves of it.

    After it come the deadman, and a takeover with the silence before it. More than PROOF_MS_MAX is for a person to ask
    for: the kernel gives a command of ours up after five seconds, and its error handling may reset the disks.
    """
    if policy.limits.proof is not None:
        return _ms(policy.limits.proof)
    timers, beat = Timers(), policy.heartbeat
    left_ms = timers.patience_ms - _ms(policy.deadman) - _ms(beat.disk_stale) - TAKEOVER_MS
    return max(timers.proof_ms, 2 * _ms(beat.disk_interval) + _ms(beat.pause), min(left_ms, PROOF_MS_MAX))


def _channels(interfaces: Iterable[Resource[InterfaceSpec]]) -> Iterator[Channel]:
    for interface in interfaces:
        if interface.spec.role is Role.INTERLINK:
            yield Channel(interface.name)
        elif interface.spec.critical:
            yield Channel(interface.name, ChannelKind.CARP)


def _groups(interfaces: Iterable[Resource[InterfaceSpec]]) -> Iterator[Group]:
    members: dict[int, list[str]] = {}
    for interface in interfaces:
        if interface.spec.critical and interface.spec.role is not Role.INTERLINK:
            members.setdefault(interface.spec.failover_group or 0, []).append(interface.name)
    yield from (Group(number, tuple(names)) for number, names in sorted(members.items()))


def _addresses(interfaces: Iterable[Resource[InterfaceSpec]]) -> Iterator[VirtualAddress]:
    for interface in interfaces:
        virtual = interface.spec.virtual
        if virtual is not None:
            for _, address in virtual.all():
                yield VirtualAddress(interface.name, str(address), virtual.vhid)


def _devices(interfaces: Iterable[Resource[InterfaceSpec]], controller: str, used: set[str]) -> Iterator[Device]:
    for interface in interfaces:
        if interface.name not in used or not interface.spec.on(controller):
            continue
        half = interface.spec.half(controller)
        if interface.spec.kind is not LinkKind.PHYSICAL:
            yield Device(interface.name, DeviceKey.NAME, interface.name)
        elif half is not None and half.match is not None:
            yield Device(interface.name, *_match(half.match))


def _match(match: Match) -> tuple[DeviceKey, str]:
    if match.mac is not None:
        return DeviceKey.MAC, match.mac
    if match.path is not None:
        return DeviceKey.PATH, match.path
    assert match.name is not None
    return DeviceKey.NAME, match.name


def _vdevs(pools: Iterable[Resource[PoolSpec]], places: Mapping[str, int]) -> Iterator[Vdev]:
    """Every top-level vdev, named like `zpool status` names it, with the pool before it."""
    for pool in pools:
        number = 0
        for _, word, vdev in pool.spec.top_level():
            parts = [[disk] for disk in vdev.disks] if vdev.type is VdevType.DISK else [vdev.disks]
            for disks in parts:
                indices = tuple(places[disk] for disk in dict.fromkeys(disks))
                yield Vdev(f"{pool.name}/{word}-{number}", indices, min(vdev.needed, len(indices)))
                number += 1
