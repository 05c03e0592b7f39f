"""The last check of a mount point before ZFS gets it: it must not lead into the system or into files of hagit.

The compiler checks the path alone. This check resolves symbolic links, finds inherited mount points, and knows the
directories of the node file. The one dataset that belongs among hagit's own files is the state dataset of the shares.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.mountpoints import system_place
from reconciler.core.facts.storage import Dataset, DatasetKind, Pool, Property, above, pool_of, property_key
from reconciler.core.facts.storage_adapter import StorageAdapter
from reconciler.core.shares.shares import STATE_MOUNTPOINT, STATE_NAME
from reconciler.errors import ObservationError, PerformError
from reconciler.system.node import Node
from reconciler.system.node_files import files_of


def require_safe_mountpoint(pools: StorageAdapter, fact: Fact | None, node: Node) -> None:
    """Raise PerformError when this change would mount a dataset over the system or over files of hagit."""
    place = _mountpoint_of(pools, fact)
    if not place.startswith("/") or (place == STATE_MOUNTPOINT and _is_state(fact) and not Path(place).is_symlink()):
        return
    assert fact is not None
    own = tuple(_own_paths(node))
    # The mount covers the target of a link, and the path itself once the link is replaced.
    for path in (place, os.path.realpath(place)):
        if found := system_place(path, own):
            raise PerformError(
                f"nothing is mounted at {path}, because of {found}",
                where=" ".join(fact.key),
                remedy="give the dataset a mount point for data, like /srv/home, and look where links on the way lead",
            )


def _mountpoint_of(pools: StorageAdapter, fact: Fact | None) -> str:
    """The mount point after this change; "" when it concerns no mount point."""
    match fact:
        case Pool():
            return dict(fact.root).get("mountpoint", f"/{fact.name}")
        case Dataset(kind=DatasetKind.FILESYSTEM):
            return dict(fact.options).get("mountpoint") or _inherited(pools, fact.name)
        case Property(name="mountpoint"):
            return fact.value if fact.local else _inherited(pools, fact.dataset)
        case _:
            return ""


def _is_state(fact: Fact | None) -> bool:
    """Whether this is the state dataset of a pool."""
    name = fact.name if isinstance(fact, Dataset) else fact.dataset if isinstance(fact, Property) else ""
    return name == f"{pool_of(name)}/{STATE_NAME}"


def _inherited(pools: StorageAdapter, dataset: str) -> str:
    upper = above(dataset)
    if not upper:
        return f"/{dataset}"
    key = property_key(upper, "mountpoint")
    try:
        found = pools.observe_keys([key]).get(key)
    except ObservationError as error:
        raise PerformError(f"its mount point is not known: {error.what}", where=dataset, remedy=error.remedy) from error
    point = found.value if isinstance(found, Property) else ""
    return f"{point.rstrip('/')}/{dataset.rpartition('/')[2]}" if point.startswith("/") else ""


def _own_paths(node: Node) -> Iterator[str]:
    """Paths that hagit itself reads and writes on this controller."""
    if node.watchdog is not None:
        yield str(node.watchdog.run)
    yield str(node.state)
    yield str(node.state.resolve())
    # A mount point above one of these files is refused as well.
    yield from map(str, (*files_of(node), node.hostname_file, node.resolver_file))
    yield str(Path(__file__).resolve().parent.parent)
