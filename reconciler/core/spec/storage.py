"""The facts that Pools and Datasets ask for; the same on both controllers, because pools move.

Decides which facts a resource stands for:

- a Pool of which only the disks are written stands for none: it is there for failover alone;
- any other Pool, and one that a Dataset belongs to, has to be imported on the active controller;
- of a Dataset, what is written is a property that is set on it; so is its stamp, the name of the resource;
- whatever is made is made with all its properties at once, because some can be chosen only then;
- a filesystem that is made starts without set-user-ID bits and device files, unless it or one above it says otherwise:
  its files are clients', and root works on the controller.

Does not know what is imported where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.storage import (
    STAMP,
    Dataset,
    DatasetKind,
    Options,
    Pool,
    PoolProperty,
    Property,
    dataset_key,
    ways_up,
)
from reconciler.core.spec.configuration import Configuration, Resource
from reconciler.core.spec.dataset import DatasetSpec
from reconciler.core.spec.pool import PoolSpec, VdevType
from reconciler.core.spec.tree import Path

#: What a filesystem starts with of which nothing is said (zfsprops(7)).
SAFE: Final[Options] = (("devices", "off"), ("setuid", "off"))


def storage_facts(configuration: Configuration) -> Iterator[tuple[Fact, Resource[Any], Path]]:
    """Every fact, with the resource and the path in it that ask for it; pools first."""
    asked = [resource for resource in configuration.datasets.values() if not resource.spec.destroy]
    used = {resource.spec.pool for resource in configuration.datasets.values()}
    described = {resource.spec.dataset: resource.spec for resource in configuration.datasets.values()}
    for pool in configuration.pools.values():
        properties = tuple(pool.spec.properties.written())
        if not properties and not pool.spec.create and pool.name not in used:
            continue
        root = next((one for one in asked if one.spec.dataset == pool.name), None)
        settings = _options(root, described) if root is not None else SAFE
        yield Pool(pool.name, pool.spec.create, _layout(pool.spec), properties, settings), pool, ()
        for name, value in properties:
            yield PoolProperty(pool.name, name, value), pool, ("properties", name)
    for resource in asked:
        spec = resource.spec
        yield Dataset(spec.dataset, spec.type, spec.create, _options(resource, described)), resource, ()
        for path, name, value in spec.settings():
            yield Property(spec.dataset, name, value), resource, path
        yield Property(spec.dataset, STAMP, resource.name), resource, ()


def destructions(configuration: Configuration) -> Iterator[tuple[Key, bool, Resource[DatasetSpec]]]:
    """The keys of datasets that are to be destroyed, whether they are protected, and who asks."""
    for resource in configuration.datasets.values():
        if resource.spec.destroy:
            pool = configuration.pools.get(resource.spec.pool)
            protected = resource.spec.protected or (pool is not None and pool.spec.protected)
            yield dataset_key(resource.spec.dataset), protected, resource


def _options(resource: Resource[DatasetSpec], described: Mapping[str, DatasetSpec]) -> Options:
    """All properties of a dataset at its birth. `described`: every dataset of the configuration by its name."""
    spec = resource.spec
    ways = (spec.dataset, *ways_up(spec.dataset))
    said = {name for way in ways if way in described for _, name, _ in described[way].settings()}
    safe = () if spec.type is DatasetKind.VOLUME else tuple(one for one in SAFE if one[0] not in said)
    return (*((name, value) for _, name, value in spec.settings()), *safe, (STAMP, resource.name))


def _layout(spec: PoolSpec) -> tuple[tuple[str, ...], ...]:
    """Each vdev: what it is for, its kind, its disks. Of kind disk, each disk is one by itself."""
    vdevs: list[tuple[str, ...]] = []
    for path, _, vdev in spec.top_level():
        role = "" if path[0] == "vdevs" else str(path[0])
        parts = [[disk] for disk in vdev.disks] if vdev.type is VdevType.DISK else [vdev.disks]
        vdevs += [(role, str(vdev.type), *disks) for disks in parts]
    vdevs += [("cache", "disk", disk) for disk in spec.cache]
    vdevs += [("spare", "disk", disk) for disk in spec.spares]
    return tuple(vdevs)
