"""Pools and datasets as plain frozen values. Decides nothing; does not know how they are read or made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class VdevKind(StrEnum):
    """How the disks of a top-level vdev share the data (zpoolconcepts(7)). OTHER is only seen: draid and such."""

    DISK = "disk"
    MIRROR = "mirror"
    RAIDZ1 = "raidz1"
    RAIDZ2 = "raidz2"
    RAIDZ3 = "raidz3"
    OTHER = "other"


class VdevRole(StrEnum):
    """What a top-level vdev is for, by the words of zpool-create(8)."""

    DATA = ""
    SPECIAL = "special"
    DEDUP = "dedup"
    LOG = "log"
    CACHE = "cache"
    SPARE = "spare"


class Health(StrEnum):
    """The state of a pool or vdev (zpoolconcepts(7)); AVAIL and INUSE are spares', UNKNOWN is a word of no release."""

    ONLINE = "ONLINE"
    DEGRADED = "DEGRADED"
    FAULTED = "FAULTED"
    OFFLINE = "OFFLINE"
    REMOVED = "REMOVED"
    UNAVAIL = "UNAVAIL"
    SUSPENDED = "SUSPENDED"
    SPLIT = "SPLIT"
    AVAIL = "AVAIL"
    INUSE = "INUSE"
    TRANSITIONING = "TRANSITIONING"
    UNKNOWN = "UNKNOWN"


def health_of(word: str) -> Health:
    """A word of ZFS as a state."""
    return next((health for health in Health if health.value == word), Health.UNKNOWN)


class PropertySource(StrEnum):
    """Where a value comes from (zfs-get(8)). NONE: it cannot be set."""

    LOCAL = "local"
    DEFAULT = "default"
    INHERITED = "inherited"
    RECEIVED = "received"
    TEMPORARY = "temporary"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a property, numbers exact (-p). `of`: the dataset that an INHERITED value comes from."""

    value: str
    origin: PropertySource
    of: str = ""


@dataclass(frozen=True, slots=True)
class LayoutVdev:
    """One top-level vdev, or one cache device or spare: `disks` by their names in /dev/disk/by-id, without partition.

    A disk that is known there by no name stands with its path, one that is gone with the path or GUID ZFS has for it.
    """

    kind: VdevKind
    disks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PoolLayout:
    """Every device of a pool, in the order in which ZFS has them. A DISK is a vdev for each disk."""

    vdevs: tuple[LayoutVdev, ...]
    special: tuple[LayoutVdev, ...] = ()
    dedup: tuple[LayoutVdev, ...] = ()
    log: tuple[LayoutVdev, ...] = ()
    cache: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()

    @classmethod
    def of(cls, vdevs: Iterable[tuple[VdevRole, LayoutVdev]]) -> PoolLayout:
        """The layout of these vdevs, each with what it is for."""
        by_role: dict[VdevRole, list[LayoutVdev]] = {role: [] for role in VdevRole}
        for role, vdev in vdevs:
            by_role[role].append(vdev)
        return cls(
            vdevs=tuple(by_role[VdevRole.DATA]),
            special=tuple(by_role[VdevRole.SPECIAL]),
            dedup=tuple(by_role[VdevRole.DEDUP]),
            log=tuple(by_role[VdevRole.LOG]),
            cache=tuple(disk for vdev in by_role[VdevRole.CACHE] for disk in vdev.disks),
            spares=tuple(disk for vdev in by_role[VdevRole.SPARE] for disk in vdev.disks),
        )

    def top_level(self) -> Iterator[tuple[VdevRole, LayoutVdev]]:
        """Every vdev that is written, with what it is for, in the order of zpool-create(8)."""
        for role, vdevs in (
            (VdevRole.DATA, self.vdevs),
            (VdevRole.SPECIAL, self.special),
            (VdevRole.DEDUP, self.dedup),
            (VdevRole.LOG, self.log),
        ):
            yield from ((role, vdev) for vdev in vdevs)

    def disks(self) -> Iterator[str]:
        """Every disk."""
        for _, vdev in self.top_level():
            yield from vdev.disks
        yield from (*self.cache, *self.spares)


@dataclass(frozen=True, slots=True)
class Member:
    """One device: `path` as ZFS names it, `disk` as `LayoutVdev` does; errors counted since the last `zpool clear`."""

    disk: str
    path: str
    health: Health
    role: VdevRole
    read_errors: int = 0
    write_errors: int = 0
    checksum_errors: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class ImportedPool:
    """An imported pool. `settings`: its own properties, features included (zpoolprops(7)), by name, sorted."""

    name: str
    guid: int
    health: Health
    layout: PoolLayout
    members: tuple[Member, ...]
    settings: tuple[tuple[str, Setting], ...]

    def setting(self, name: str) -> Setting | None:
        """One property; None: this release does not have it."""
        return next((setting for found, setting in self.settings if found == name), None)


@dataclass(frozen=True, slots=True)
class Unseen:
    """An observation that failed: nothing is known, neither presence nor absence."""

    why: str
