"""The last look at a mount point before ZFS is told of it: it must not lead into the system or into hagit's own files.

The compiler has refused what a path alone shows. Here links are resolved, what is inherited is asked for, and the
directories that only the node file knows count as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.mountpoints import system_place
from reconciler.core.facts.pools import Pools
from reconciler.core.facts.storage import Dataset, DatasetKind, Pool, Property, above, property_key
from reconciler.errors import ObservationError, PerformError
from reconciler.system.node import Node
from reconciler.system.node_files import files_of


def require_safe_mountpoint(pools: Pools, fact: Fact | None, node: Node) -> None:
    """Raise PerformError when this change would mount a dataset over the system or over files of hagit."""
    place = _place_of(pools, fact)
    if not place.startswith("/"):
        return
    assert fact is not None
    own = tuple(_own(node))
    # What a link leads to is covered, and so is the place where the link was meant to be.
    for path in (place, os.path.realpath(place)):
        if found := system_place(path, own):
            raise PerformError(
                f"nothing is mounted at {path}, because of {found}",
                where=" ".join(fact.key),
                remedy="give the dataset a mount point for data, like /srv/home, and look where links on the way lead",
            )


def _place_of(pools: Pools, fact: Fact | None) -> str:
    """Where a filesystem would be mounted by this change; "" when it is about no mount point."""
    match fact:
        case Pool():
            return dict(fact.root).get("mountpoint", f"/{fact.name}")
        case Dataset(kind=DatasetKind.FILESYSTEM):
            return dict(fact.options).get("mountpoint") or _inherited(pools, fact.name)
        case Property(name="mountpoint"):
            return fact.value if fact.local else _inherited(pools, fact.dataset)
        case _:
            return ""


def _inherited(pools: Pools, dataset: str) -> str:
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


def _own(node: Node) -> Iterator[str]:
    """What hagit itself reads and writes on this controller."""
    if node.watchdog is not None:
        yield str(node.watchdog.run)
    yield str(node.state)
    yield str(node.state.resolve())
    # A directory that holds one of these files lies above it, and is refused for that.
    yield from map(str, (*files_of(node), node.hostname_file, node.resolver_file))
    yield str(Path(__file__).resolve().parent.parent)
