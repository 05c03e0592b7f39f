"""How a pool is laid out: the words of a fact as a `Layout` of devices, and back. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reconciler.system.zfs import observe
from reconciler.system.zfs.values import Layout, Role, Unseen, Vdev, VdevKind


def layout_in(words: Iterable[tuple[str, ...]]) -> Layout:
    """The layout of the words of a `Pool`: for each vdev its role, its kind and its disks."""
    vdevs: dict[Role, list[Vdev]] = {role: [] for role in Role}
    for role, kind, *disks in words:
        vdevs[Role(role)].append(Vdev(VdevKind(kind), tuple(disks)))
    return Layout(
        vdevs=tuple(vdevs[Role.DATA]),
        special=tuple(vdevs[Role.SPECIAL]),
        dedup=tuple(vdevs[Role.DEDUP]),
        log=tuple(vdevs[Role.LOG]),
        cache=tuple(disk for vdev in vdevs[Role.CACHE] for disk in vdev.disks),
        spares=tuple(disk for vdev in vdevs[Role.SPARE] for disk in vdev.disks),
    )


def layout_of(pool: str, directory: Path) -> tuple[tuple[str, ...], ...]:
    """The words of an imported pool; none when it does not say."""
    seen = observe.pools(directory=directory)
    found = None if isinstance(seen, Unseen) else next((one for one in seen if one.name == pool), None)
    if found is None:
        return ()
    layout = found.layout
    words: list[tuple[str, ...]] = []
    for role, vdevs in (
        (Role.DATA, layout.vdevs),
        (Role.SPECIAL, layout.special),
        (Role.DEDUP, layout.dedup),
        (Role.LOG, layout.log),
    ):
        words += [(role.value, vdev.kind.value, *vdev.disks) for vdev in vdevs]
    words += [(Role.CACHE.value, VdevKind.DISK.value, disk) for disk in layout.cache]
    words += [(Role.SPARE.value, VdevKind.DISK.value, disk) for disk in layout.spares]
    return tuple(words)
