"""One change of pools or datasets: an argument vector made by `arguments`, run with a deadline, its end as a value.

Decides nothing about whether the change should be made, nor whether this controller is the one to make it. A name that
cannot be one is refused before anything is run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from reconciler.core.facts.storage import DatasetKind
from reconciler.system.zfs import arguments, names, tools
from reconciler.system.zfs.devices import BY_ID
from reconciler.system.zfs.values import PoolLayout

#: Destroying a dataset may free much.
DEADLINE_S: Final = 120.0
#: In which zpool divides one disk and waits for udev's links to the partitions, one disk after the other: one that is
#: given up half-way has divided disks without a pool. Without any links it gives up by itself (DISK_LABEL_WAIT).
LABEL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """It was done."""


@dataclass(frozen=True, slots=True)
class Denied:
    """It was not done, and `why` in ZFS' own words or ours."""

    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No end within the deadline: the program was killed, and what it asked of the kernel may still be done."""

    deadline_s: float


Result: TypeAlias = Done | Denied | Unanswered


def create_pool(
    name: str,
    layout: PoolLayout,
    *,
    settings: Mapping[str, str] | None = None,
    root_settings: Mapping[str, str] | None = None,
    directory: Path = BY_ID,
    force: bool = False,
    deadline_s: float | None = None,
) -> Result:
    """Make a pool. `settings`: of the pool (cachefile is none and failmode panic unless they say otherwise);
    `root_settings`: of its root dataset. `force`: also over what looks like another pool or file system.
    `deadline_s`: as long as its disks may need, unless it is given."""
    own, root = dict(settings or {}), dict(root_settings or {})
    fault = names.fault_of_pool(name) or _fault_of(layout.disks(), own, root)
    if not fault and not layout.vdevs:
        fault = "a pool needs a vdev that holds data"
    argv = arguments.create_pool(name, layout, str(directory), own, root, force=force)
    enough_s = DEADLINE_S + LABEL_S * len(tuple(layout.disks()))
    return _run(fault, argv, enough_s if deadline_s is None else deadline_s)


def set_pool_property(pool: str, name: str, value: str, *, deadline_s: float = DEADLINE_S) -> Result:
    """Set a property of a pool."""
    fault = names.fault_of_pool(pool) or names.fault_of_settings({name: value})
    return _run(fault, arguments.set_pool_property(pool, name, value), deadline_s)


def create_dataset(
    name: str,
    kind: DatasetKind = DatasetKind.FILESYSTEM,
    *,
    settings: Mapping[str, str] | None = None,
    size_bytes: int | None = None,
    sparse: bool = False,
    parents: bool = False,
    deadline_s: float = DEADLINE_S,
) -> Result:
    """Make a filesystem, or a volume of `size_bytes`.

    `sparse`: without a reservation; `parents`: with what is missing above it.
    """
    own = dict(settings or {})
    fault = names.fault_of_dataset(name) or names.fault_of_settings(own)
    if not fault and (size_bytes is None) != (kind is DatasetKind.FILESYSTEM):
        fault = "a volume needs a size, and a filesystem has none"
    argv = arguments.create_dataset(name, kind, own, size_bytes, sparse=sparse, parents=parents)
    return _run(fault, argv, deadline_s)


def set_property(dataset: str, settings: Mapping[str, str], *, deadline_s: float = DEADLINE_S) -> Result:
    """Set properties of a dataset, user properties included, all or none."""
    fault = names.fault_of_dataset(dataset) or names.fault_of_settings(dict(settings))
    if not fault and not settings:
        fault = "nothing to set"
    return _run(fault, arguments.set_properties(dataset, settings), deadline_s)


def inherit(dataset: str, name: str, *, deadline_s: float = DEADLINE_S) -> Result:
    """Let a property be as the parent has it, or the default; a user property goes."""
    fault = names.fault_of_dataset(dataset) or names.fault_of_settings({name: ""})
    return _run(fault, arguments.inherit(dataset, name), deadline_s)


def destroy_dataset(name: str, *, snapshots: bool = False, deadline_s: float = DEADLINE_S) -> Result:
    """Destroy a filesystem or volume that has no children; one with snapshots is denied unless these may go, too."""
    fault = names.fault_of_dataset(name)
    if not fault and "/" not in name:
        fault = f"{name} is the root of a pool; destroy the pool"
    end_s = time.monotonic() + deadline_s
    if snapshots and not fault:
        # Without any it is an error, which the destruction that follows does not share.
        _run("", arguments.destroy_snapshots(name), deadline_s)
    return _run(fault, arguments.destroy_dataset(name), max(0.0, end_s - time.monotonic()))


def _fault_of(disks: Iterable[str], *settings: dict[str, str]) -> str:
    faults = (*(names.fault_of_disk(disk) for disk in disks), *(names.fault_of_settings(one) for one in settings))
    return next((fault for fault in faults if fault), "")


def _run(fault: str, argv: arguments.Argv, deadline_s: float) -> Result:
    if fault:
        return Denied(fault)
    match tools.run(argv, deadline_s=deadline_s):
        case tools.Ended(0, _, _):
            return Done()
        case tools.Ended(code, _, stderr):
            return Denied(stderr.strip() or f"{argv[0]} {argv[1]} ended with {code}")
        case tools.Overdue():
            return Unanswered(deadline_s)
        case tools.Absent(program, why):
            return Denied(f"{program}: {why}")
