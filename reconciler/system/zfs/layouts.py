"""How a pool is laid out: the words of a fact as a `PoolLayout` of devices, and back. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reconciler.system.zfs import observe
from reconciler.system.zfs.values import LayoutVdev, PoolLayout, Unseen, VdevKind, VdevRole


def layout_in(words: Iterable[tuple[str, ...]]) -> PoolLayout:
    """The layout of the words of a `Pool`: for each vdev its role, its kind and its disks."""
    return PoolLayout.of((VdevRole(role), LayoutVdev(VdevKind(kind), tuple(disks))) for role, kind, *disks in words)


def layout_of(pool: str, directory: Path) -> tuple[tuple[str, ...], ...]:
    """The words of an imported pool; none when it does not say."""
    seen = observe.pools(directory=directory)
    found = None if isinstance(seen, Unseen) else next((one for one in seen if one.name == pool), None)
    if found is None:
        return ()
    layout = found.layout
    words = [(role.value, vdev.kind.value, *vdev.disks) for role, vdev in layout.top_level()]
    words += [(VdevRole.CACHE.value, VdevKind.DISK.value, disk) for disk in layout.cache]
    words += [(VdevRole.SPARE.value, VdevKind.DISK.value, disk) for disk in layout.spares]
    return tuple(words)
