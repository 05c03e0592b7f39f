"""A pair's own orders, made small enough for the exhaustive world, and a description of what that leaves out.

Chooses the disks, vdevs and timers that stand for those of the pair. Limits of detection keep the order and the ratios
of the pair's own limits, in ticks. Every other timer is one tick and may expire at any moment, which includes the
moment at which the pair's own timer expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.failover.machine.events import Request
from reconciler.core.failover.orders.orders import Orders, Timers, Vdev
from reconciler.simulation.exhaustive.scenes import SCENES, SHELF, TICKS, Scene, SceneFaults

#: Ticks of the shortest limit of detection, and of limits that are much longer: all stay below a late wake.
TICKS_MIN: Final = 2
TICKS_MAX: Final = 4
DISKS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Reduced:
    """The small orders, and a sentence for each thing that they leave out or simplify."""

    orders: Orders
    notes: tuple[str, ...]


def reduced(orders: Orders) -> Reduced:
    """Return the pair's own policy, timers and shelf within the bounds of the exhaustive world."""
    vdevs, arbitration, shelf_note = _shelf(orders)
    timers, timer_note = _timers(orders.timers)
    small = replace(
        SHELF,
        pair=orders.pair,
        disks=tuple(f"disk{index}" for index in range(sum(len(vdev.disks) for vdev in vdevs))),
        vdevs=vdevs,
        arbitration=arbitration,
        default=orders.default,
        enabled=orders.enabled,
        strict=orders.strict,
        timers=timers,
    )
    notes = [shelf_note, timer_note]
    if len(orders.channels) != 1:
        notes.append(f"{len(orders.channels)} network channels are one: only silence on all of them counts")
    if len(orders.groups) > 1:
        notes.append(f"{len(orders.groups)} failover groups are one, in the scene about groups")
    notes.append("disks that come back after a takeover are searched on a mirror of their own, by the project's tests")
    notes.append("the budgets of moves and resets are left out: nothing ever holds the pair back")
    return Reduced(small, tuple(notes))


def scenes_of(orders: Orders) -> Iterator[Scene]:
    """Yield every scene with these small orders in it, except scenes that begin in the middle of a story of their own.

    Where the orders disable failover, a person may force either controller.
    """
    for scene in SCENES:
        if scene.begins:
            continue
        own = replace(orders, groups=scene.orders.groups, enabled=orders.enabled and scene.orders.enabled)
        asked = scene.asked if own.enabled or Request.FORCE in scene.asked else (*scene.asked, Request.FORCE)
        about = scene.about
        if scene.faults.reach and len(own.vdevs[0].disks) > 1:
            about = about.replace("the disk that is alone in its vdev is", "a vdev with all its disks is")
        yield replace(scene, about=about, orders=own, faults=_reach(scene.faults, own), asked=asked)


def _reach(faults: SceneFaults, orders: Orders) -> SceneFaults:
    """Return the same losses on this shelf: all disks, half of the redundant disks, or a whole vdev."""
    if not faults.reach:
        return faults
    every = (1 << len(orders.disks)) - 1
    last = 1 << orders.vdevs[-1].disks[-1]
    first = sum(1 << disk for disk in orders.vdevs[0].disks)
    whole = any(mask == (1 << len(SHELF.disks)) - 1 for _, mask in faults.reach)
    return faults._replace(reach=((0, every), (1, last)) if whole else ((0, first), (1, first)))


def _shelf(orders: Orders) -> tuple[tuple[Vdev, ...], tuple[int, ...], str]:
    """Return two vdevs of the kinds that the pair has, the least redundant first, with at most four disks together."""
    kinds = sorted({len(vdev.disks) > vdev.needed for vdev in orders.vdevs})
    chosen = [kinds[0], kinds[-1]]
    vdevs: list[Vdev] = []
    for number, redundant in enumerate(chosen):
        at = sum(len(vdev.disks) for vdev in vdevs)
        vdevs.append(Vdev(f"{'mirror' if redundant else 'single'}{number}", (at, at + 1) if redundant else (at,), 1))
    count = sum(len(vdev.disks) for vdev in vdevs)
    assert count <= DISKS_MAX
    votes = min(3, len(orders.arbitration), count - 1 + count % 2)
    note = (
        f"{_counted(len(orders.vdevs), 'top-level vdev')} of {_counted(len(orders.disks), 'disk')} "
        f"{'is' if len(orders.vdevs) == 1 else 'are'} {len(vdevs)} of {count}: "
        f"{' and '.join('a mirror' if redundant else 'a disk alone' for redundant in chosen)}; "
        f"{votes} of {len(orders.arbitration)} arbitration disks"
    )
    return tuple(vdevs), tuple(range(votes)), note


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _timers(timers: Timers) -> tuple[Timers, str]:
    """Return the shortest two limits of detection in ticks; every other timer may expire at any moment."""
    network_ms = timers.silence_ms + timers.network_ms
    unit_ms = min(network_ms, timers.stale_ms, timers.proof_ms) / TICKS_MIN

    def ticks(value_ms: int) -> int:
        return min(TICKS_MAX, round(value_ms / unit_ms))

    small = replace(
        TICKS, silence_ms=ticks(network_ms), stale_ms=ticks(timers.stale_ms), proof_ms=ticks(timers.proof_ms)
    )
    note = (
        f"one tick is {unit_ms:g} ms: network silence {network_ms} ms in {small.silence_ms}, disk heartbeat stale "
        f"after {timers.stale_ms} ms in {small.stale_ms}, longest without proof {timers.proof_ms} ms in "
        f"{small.proof_ms}; every other timer may run out at any moment, and the two clocks go as they like"
    )
    return small, note
