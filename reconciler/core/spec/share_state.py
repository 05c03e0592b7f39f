"""The state dataset: the filesystem of a pool in which the servers of shares keep what they know of their clients.

Decides in which pool it lies and what it is asked to be. The agent makes it, like every dataset; the pool carries it
from one controller to the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Options, Property, pool_of
from reconciler.core.shares.shares import STATE_MOUNTPOINT, STATE_NAME
from reconciler.core.spec.tree import Path

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Resource, Resources
    from reconciler.core.spec.resource_kind import Asked

#: What clients were promised is on disk before they are answered. Databases of 4 KiB pages are rewritten in place.
STATE_OPTIONS: Final[Options] = (
    ("atime", "off"),
    ("canmount", "on"),
    ("devices", "off"),
    ("exec", "off"),
    ("mountpoint", STATE_MOUNTPOINT),
    ("recordsize", "16384"),
    ("setuid", "off"),
    ("sync", "always"),
)


def written_state_pools(resources: Resources) -> list[tuple[Resource[Any], str]]:
    """The servers that say which pool keeps the state, and the pool."""
    servers = (resources.nfs_server, resources.iscsi_server)
    return [(server, server.spec.pool) for server in servers if server is not None and server.spec.pool is not None]


def state_pool(resources: Resources) -> tuple[str, Resource[Any], Path] | None:
    """The pool of the state dataset with the resource and the value that ask for it; None without shares.

    That is the pool that a server names, else the one pool with shares. `lint` asks for a name when there are several.
    """
    used = shares_by_pool(resources)
    if not used:
        return None
    for server, pool in written_state_pools(resources):
        return pool, server, ("pool",)
    pool = min(used)
    return pool, used[pool], ()


def state_dataset(resources: Resources) -> str | None:
    """The whole name of the state dataset; None without shares."""
    found = state_pool(resources)
    return None if found is None else f"{found[0]}/{STATE_NAME}"


def shares_by_pool(resources: Resources) -> dict[str, Resource[Any]]:
    """The pools of all shared datasets, each with its first share."""
    found: dict[str, Resource[Any]] = {}
    for name, share in _pools_with_shares(resources):
        found.setdefault(name, share)
    return found


def _pools_with_shares(resources: Resources) -> Iterator[tuple[str, Resource[Any]]]:
    """Each pool of a shared dataset, with the share."""
    for export in resources.exports.values():
        if (dataset := resources.datasets.get(export.spec.dataset)) is not None:
            yield pool_of(dataset.spec.dataset), export
    for target in resources.targets.values():
        for lun in target.spec.luns:
            if (dataset := resources.datasets.get(lun.dataset)) is not None:
                yield pool_of(dataset.spec.dataset), target


def state_facts(resources: Resources) -> Iterator[Asked]:
    """The state dataset with its properties and its stamp."""
    found = state_pool(resources)
    if found is None:
        return
    pool, resource, path = found
    name = f"{pool}/{STATE_NAME}"
    options = (*STATE_OPTIONS, (STAMP, STATE_NAME))
    yield Dataset(name, DatasetKind.FILESYSTEM, True, options), resource, path
    for option, value in options:
        yield Property(name, option, value), resource, path
