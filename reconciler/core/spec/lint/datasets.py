"""Defects of pools and datasets together: what is in no pool, below a volume, mounted twice, or cannot be made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from reconciler.core.facts.mountpoints import system_place
from reconciler.core.facts.storage import DatasetKind, ways_up
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.dataset import OF_FILESYSTEMS, OF_VOLUMES, DatasetSpec
from reconciler.core.spec.defect import Finding, defect
from reconciler.core.spec.nearest import suggestion
from reconciler.core.spec.topology import SpecDraft

#: What a volume is made of when nothing is written (zfsprops(7), volblocksize: 16 KiB since OpenZFS 2.2, 8 before).
_BLOCK: Final = 16 << 10
#: zpoolconcepts(7): names that would be words of a layout.
_RESERVED: Final = re.compile(r"(mirror|raidz|draid|spare|log)")


@defect("dataset-outside")
def dataset_outside(draft: SpecDraft) -> Iterator[Finding]:
    """A dataset belongs to a pool that is not described."""
    for dataset in draft.datasets.values():
        if dataset.spec.pool not in draft.pools and not draft.incomplete:
            what = f"there is no Pool `{dataset.spec.pool}`"
            remedy = suggestion(dataset.spec.pool, draft.pools) if draft.pools else "Describe its disks with kind Pool."
            yield dataset, ("dataset",), what, remedy


@defect("dataset-twice")
def dataset_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two resources describe one dataset."""
    seen: dict[str, Resource[DatasetSpec]] = {}
    for dataset in draft.datasets.values():
        first = seen.setdefault(dataset.spec.dataset, dataset)
        if first is not dataset:
            what = f"`{dataset.spec.dataset}` is described by {first.id} already"
            yield dataset, ("dataset",), what, "Merge the two."


@defect("dataset-below-volume")
def dataset_below_volume(draft: SpecDraft) -> Iterator[Finding]:
    """A dataset lies below a volume."""
    described = described_datasets(draft)
    for dataset in draft.datasets.values():
        for name in ways_up(dataset.spec.dataset):
            upper = described.get(name)
            if upper is not None and upper.spec.type is DatasetKind.VOLUME:
                what = f"`{name}` is a volume, and nothing can be below one"
                yield dataset, ("dataset",), what, "Give one of the two another name."


@defect("dataset-root")
def dataset_root(draft: SpecDraft) -> Iterator[Finding]:
    """The root of a pool is a volume or is to be destroyed."""
    for dataset in draft.datasets.values():
        if "/" not in dataset.spec.dataset:
            if dataset.spec.type is DatasetKind.VOLUME:
                yield (
                    dataset,
                    ("type",),
                    "the root of a pool is always a filesystem",
                    "Write the name of a volume below.",
                )
            if dataset.spec.destroy:
                remedy = "A pool is destroyed by hand only: zpool destroy."
                yield dataset, ("destroy",), "the root of a pool cannot be destroyed without the pool", remedy


@defect("dataset-kind")
def dataset_kind(draft: SpecDraft) -> Iterator[Finding]:
    """A dataset has properties of the other kind, or a volume has no size."""
    for dataset in draft.datasets.values():
        spec = dataset.spec
        is_volume = spec.type is DatasetKind.VOLUME
        if is_volume and spec.size is None and not spec.destroy:
            yield dataset, (), "the volume has no size", "Add size: 10G."
        wrong = [("properties", name) for name, _ in spec.properties.written() if name in _foreign(is_volume)]
        keys = ("quota", "refquota", "mountpoint") if is_volume else ("size",)
        for path in (*((key,) for key in keys if getattr(spec, key) is not None), *wrong):
            kind, other = ("volume", "filesystems") if is_volume else ("filesystem", "volumes")
            yield dataset, path, f"a {kind} has no {path[-1]}", f"Only {other} have one: take it out."


def _foreign(is_volume: bool) -> tuple[str, ...]:
    return OF_FILESYSTEMS if is_volume else OF_VOLUMES


@defect("size-uneven")
def size_uneven(draft: SpecDraft) -> Iterator[Finding]:
    """The size of a volume is no multiple of its block."""
    for dataset in draft.datasets.values():
        size, block = dataset.spec.size, dataset.spec.properties.volblocksize or _BLOCK
        if size is not None and size % block:
            what = f"the size is no multiple of the volume's block, {block >> 10}K"
            yield dataset, ("size",), what, f"Write {-(-size // block) * (block >> 10)}K."


@defect("reservation-large")
def reservation_large(draft: SpecDraft) -> Iterator[Finding]:
    """More is reserved for a dataset than it may take up."""
    for dataset in draft.datasets.values():
        for limit, kept in (("quota", "reservation"), ("refquota", "refreservation"), ("quota", "refreservation")):
            most, least = getattr(dataset.spec, limit), getattr(dataset.spec, kept)
            if most and least and least > most:
                yield dataset, (kept,), f"the {kept} is larger than the {limit}", f"Raise the {limit}, or lower this."


@defect("mountpoint-system")
def mountpoint_system(draft: SpecDraft) -> Iterator[Finding]:
    """A dataset is mounted over the system, or over hagit's own files."""
    described = described_datasets(draft)
    remedy = "Give it a place for data: /srv/home, /export/home or /mnt/home."
    for dataset in draft.datasets.values():
        spec = dataset.spec
        if spec.type is DatasetKind.VOLUME or spec.destroy:
            continue
        place = mount_place(spec.dataset, described)
        if place.startswith("/") and (found := system_place(place)):
            path = ("mountpoint",) if spec.mountpoint is not None else ("dataset",)
            yield dataset, path, f"{place} is no place for data: {_why(place, found)}", remedy
    for pool in draft.pools.values():
        if pool.spec.create and pool.name not in described and (found := system_place(f"/{pool.name}")):
            what = f"ZFS mounts this pool at /{pool.name}: {_why(f'/{pool.name}', found)}"
            yield pool, (), what, f"Describe its root: a Dataset `{pool.name}` with mountpoint: none."


def _why(place: str, found: str) -> str:
    inside = place == found or place.startswith(f"{found}/")
    return f"the system's {found} is there" if inside else f"it covers {found}"


@defect("mountpoint-twice")
def mountpoint_twice(draft: SpecDraft) -> Iterator[Finding]:
    """Two datasets are mounted at one place."""
    described = described_datasets(draft)
    seen: dict[str, Resource[DatasetSpec]] = {}
    for dataset in draft.datasets.values():
        if dataset.spec.type is DatasetKind.VOLUME or dataset.spec.destroy:
            continue
        place = mount_place(dataset.spec.dataset, described)
        if place in ("none", "legacy") or dataset.spec.properties.canmount == "off":
            continue
        first = seen.setdefault(place, dataset)
        if first is not dataset and first.spec.dataset != dataset.spec.dataset:
            what = f"`{first.spec.dataset}` is mounted at {place}, too"
            path = ("mountpoint",) if dataset.spec.mountpoint is not None else ("dataset",)
            yield dataset, path, what, "Give each a place of its own."


def mount_place(name: str, described: dict[str, Resource[DatasetSpec]]) -> str:
    """Where a dataset is mounted as far as it is written; above what is written, below the name of the pool."""
    below = ""
    for upper in (name, *ways_up(name)):
        resource = described.get(upper)
        if resource is not None and resource.spec.mountpoint is not None:
            point = resource.spec.mountpoint
            return (point.rstrip("/") + below or "/") if point.startswith("/") else point
        below = f"/{upper.rpartition('/')[2]}{below}"
    return below


@defect("destroy-above")
def destroy_above(draft: SpecDraft) -> Iterator[Finding]:
    """A dataset is to be destroyed, and one below it is to stay."""
    described = described_datasets(draft)
    for dataset in draft.datasets.values():
        if dataset.spec.destroy:
            continue
        for name in ways_up(dataset.spec.dataset):
            upper = described.get(name)
            if upper is not None and upper.spec.destroy:
                what = f"`{dataset.spec.dataset}` lies below it and is to stay"
                yield upper, ("destroy",), what, "Keep both, or destroy both."


@defect("encryption-key")
def encryption_key(draft: SpecDraft) -> Iterator[Finding]:
    """A dataset is encrypted and says nothing of its key."""
    for dataset in draft.datasets.values():
        properties = dataset.spec.properties
        if properties.encryption in (None, "off"):
            continue
        for name in ("keyformat", "keylocation"):
            if getattr(properties, name) is None and not dataset.spec.destroy:
                what = f"the dataset is encrypted and has no {name}"
                remedy = "Write keyformat: raw and keylocation: file:///…, a file that both controllers have."
                yield dataset, ("properties", "encryption"), what, remedy


@defect("pool-name")
def pool_name(draft: SpecDraft) -> Iterator[Finding]:
    """A pool has a name that ZFS does not take."""
    used = {dataset.spec.pool for dataset in draft.datasets.values()}
    for pool in draft.pools.values():
        says = pool.spec.create or pool.name in used or any(pool.spec.properties.written())
        if says and (not pool.name[0].isalpha() or _RESERVED.match(pool.name)):
            yield (
                pool,
                (),
                f"ZFS takes no pool named `{pool.name}`",
                "Begin with a letter, not with mirror or the like.",
            )


@defect("create-nobody", warning=True)
def create_nobody(draft: SpecDraft) -> Iterator[Finding]:
    """A pool is to be made, and nothing says which of two controllers is the active one."""
    for pool in draft.pools.values():
        if pool.spec.create and draft.failover is None and len(draft.sides) == 2 and not draft.incomplete:
            what = f"no controller makes `{pool.name}`: without a Failover neither of the two is the active one"
            yield pool, ("create",), what, "Add a resource of kind Failover, or make the pool by hand: zpool create."


def described_datasets(draft: SpecDraft) -> dict[str, Resource[DatasetSpec]]:
    """By the name of the dataset; of two with one name the first."""
    found: dict[str, Resource[DatasetSpec]] = {}
    for dataset in draft.datasets.values():
        found.setdefault(dataset.spec.dataset, dataset)
    return found
