"""The facts of a controller's pools and datasets, in the words of zpool(8) and zfs(8).

Every key names the pool second, so that a pool that hangs makes everything in it unknown and nothing else. How a pool
or a dataset is made stands in its fact and is no part of its value: two facts that differ only there are equal.

Values of properties are as `zfs get -p` prints them: sizes in bytes, `0` where there is no quota.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from reconciler.core.facts.change import ActionStage, ActionVerb, Impact
from reconciler.core.facts.fact_kind import Document, FactKind

#: The user property by which a dataset says which resource it belongs to (zfsprops(7), User Properties).
STAMP: Final = "hagit:resource"

#: What can be given when a dataset or a pool is made and never changed (zfsprops(7), zpoolprops(7)).
FIXED: Final = frozenset(
    {"ashift", "volblocksize", "encryption", "keyformat", "casesensitivity", "normalization", "utf8only"}
)

#: What a dataset has from the one above unless it is set (zfsprops(7)); a mount point grows on the way down.
INHERITED: Final = frozenset(
    {
        "aclinherit", "aclmode", "acltype", "atime", "checksum", "compression", "copies", "dedup", "devices", "exec",
        "logbias", "mountpoint", "primarycache", "readonly", "recordsize", "relatime", "secondarycache", "setuid",
        "snapdir", "sync", "volmode", "xattr",
    }
)  # fmt: skip

#: Properties that are sizes in bytes, 0 for none.
SIZES: Final = frozenset(
    {"quota", "refquota", "reservation", "refreservation", "volsize", "volblocksize", "recordsize"}
)

#: Clients lose their files for a moment, or for good, when one of these changes (zfsprops(7)).
_SEEN_BY_CLIENTS: Final = frozenset({"mountpoint", "canmount", "readonly"})

#: zfs(8) takes these letters behind a number.
UNITS: Final = "KMGTPE"

Options: TypeAlias = tuple[tuple[str, str], ...]


class DatasetKind(StrEnum):
    """What a dataset is: files, or one block device."""

    FILESYSTEM = "filesystem"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool is imported here.

    Where it is to be made: `create`, from `layout` (for each vdev what it is for, its kind, and its disks by their
    names in /dev/disk/by-id), with pool properties `options` and those of its root dataset, `root`.
    """

    name: str
    create: bool = field(default=False, compare=False)
    layout: tuple[tuple[str, ...], ...] = field(default=(), compare=False)
    options: Options = field(default=(), compare=False)
    root: Options = field(default=(), compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return ("pool", self.name)


@dataclass(frozen=True, slots=True)
class PoolProperty:
    """One property of a pool (zpoolprops(7))."""

    pool: str
    name: str
    value: str

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return ("pool-property", self.pool, self.name)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset is there and of this kind. `create`: to be made where it is not, with the properties `options`."""

    name: str
    kind: DatasetKind = DatasetKind.FILESYSTEM
    create: bool = field(default=True, compare=False)
    options: Options = field(default=(), compare=False)

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return dataset_key(self.name)


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a dataset. `local`: set on this dataset, else inherited or the default (then `value` follows)."""

    dataset: str
    name: str
    value: str
    local: bool = True

    @property
    def key(self) -> tuple[str, ...]:
        """The question this fact answers."""
        return property_key(self.dataset, self.name)


StorageFact: TypeAlias = Pool | PoolProperty | Dataset | Property


def pool_of(dataset: str) -> str:
    """The pool of a dataset: `tank` of `tank/home/a`."""
    return dataset.partition("/")[0]


def dataset_key(name: str) -> tuple[str, ...]:
    """The key of a dataset."""
    return ("dataset", pool_of(name), name)


def property_key(dataset: str, name: str) -> tuple[str, ...]:
    """The key of a property of a dataset."""
    return ("property", pool_of(dataset), dataset, name)


def above(dataset: str) -> str:
    """The dataset above: `tank/home` of `tank/home/a`; empty for a pool's root."""
    return dataset.rpartition("/")[0]


def ways_up(dataset: str) -> Iterator[str]:
    """The datasets above, the nearest first."""
    while dataset := above(dataset):
        yield dataset


def rounded(size_bytes: int) -> str:
    """As a person writes a size: `10G`, each letter 1,024 times the one before; the bare number if it is not round."""
    unit = ""
    for letter in UNITS:
        if size_bytes == 0 or size_bytes % 1024:
            break
        size_bytes, unit = size_bytes // 1024, letter
    return f"{size_bytes}{unit}"


def is_inside(dataset: str, other: str) -> bool:
    """Whether a dataset lies below another."""
    return dataset.startswith(f"{other}/")


def rests_on(fact: StorageFact) -> tuple[str, ...] | None:
    """The key of what has to be there first; None for a pool."""
    if isinstance(fact, Pool):
        return None
    if isinstance(fact, PoolProperty):
        return ("pool", fact.pool)
    if isinstance(fact, Property):
        return dataset_key(fact.dataset)
    return dataset_key(above(fact.name)) if above(fact.name) else ("pool", fact.name)


def property_value(name: str, value: str) -> str:
    """The value of a property as a person writes it: `10G`, `none`; the exact number where it is no round one."""
    if name not in SIZES or not value.isdecimal():
        return value or "none"
    return rounded(int(value)) if int(value) else "none"


def _with(options: Options) -> str:
    shown = ", ".join(f"{name}={property_value(name, value)}" for name, value in options if ":" not in name)
    return f" with {shown}" if shown else ""


def _pool_value(pool: Pool) -> str:
    vdevs = "; ".join(" ".join(word for word in vdev if word) for vdev in pool.layout)
    return f"pool {pool.name}{f' of {vdevs}' if vdevs else ''}{_with(pool.options + pool.root)}"


def _property_value(fact: Property) -> str:
    source = "" if fact.local or not fact.value else " (inherited)"
    return f"{fact.name} {property_value(fact.name, fact.value)}{source}"


def _read(fields: Document) -> Document:
    """Lists back to tuples, and words to what they stand for, in the fields of a pool or dataset."""
    for name in ("options", "root"):
        if name in fields:
            fields[name] = tuple((word, value) for word, value in fields[name])
    if "layout" in fields:
        fields["layout"] = tuple(tuple(vdev) for vdev in fields["layout"])
    if "kind" in fields:
        fields["kind"] = DatasetKind(fields["kind"])
    return fields


def _impact(verb: ActionVerb, fact: StorageFact) -> Impact:
    if verb is ActionVerb.REMOVE:
        return Impact.DATA
    if isinstance(fact, Property) and fact.name in _SEEN_BY_CLIENTS:
        return Impact.TRAFFIC
    return Impact.NONE


#: The kinds of facts of this module, with their words and their form in documents.
STORAGE_KINDS: Final[tuple[FactKind[Any], ...]] = (
    FactKind(
        "pool",
        Pool,
        _pool_value,
        lambda pool: f"pool {pool.name}",
        read=_read,
        stage=ActionStage.POOL,
        impact=_impact,
    ),
    FactKind(
        "pool-property",
        PoolProperty,
        lambda fact: f"{fact.name} {property_value(fact.name, fact.value)}",
        lambda fact: f"{fact.name} of {fact.pool}",
        label="property",
        about=lambda fact: f"{fact.name} ",
        stage=ActionStage.POOL,
        impact=_impact,
    ),
    FactKind(
        "dataset",
        Dataset,
        lambda dataset: f"{dataset.kind} {dataset.name}{_with(dataset.options)}",
        lambda dataset: f"{dataset.kind} {dataset.name}",
        read=_read,
        stage=ActionStage.DATASET,
        impact=_impact,
    ),
    FactKind(
        "property",
        Property,
        _property_value,
        lambda fact: f"{fact.name} of {fact.dataset}",
        about=lambda fact: f"{fact.name} ",
        stage=ActionStage.DATASET,
        impact=_impact,
    ),
)

#: The first words of the keys of these facts.
STORAGE_WORDS: Final = frozenset(kind.word for kind in STORAGE_KINDS)
