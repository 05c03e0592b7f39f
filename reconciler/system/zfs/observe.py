"""What is imported here: pools with layout and properties, as plain frozen values.

Each look is one program or a few, all within one deadline; what could not be seen is `Unseen`, never absent. Decides
nothing. Must not run in a loop that may not block: a pool that hangs makes `zpool` and `zfs` wait until the deadline.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.devices import BY_ID, Names
from reconciler.system.zfs.status import DeviceRow, PoolTree, parse_status
from reconciler.system.zfs.tables import settings_of
from reconciler.system.zfs.values import (
    Health,
    ImportedPool,
    LayoutVdev,
    Member,
    PoolLayout,
    Setting,
    Unseen,
    VdevKind,
    health_of,
)

DEADLINE_S: Final = 30.0
#: A resilver to another disk, or to a spare: zpoolconcepts(7).
REPLACING, SPARED = "replacing-", "spare-"


def pools(
    known: Iterable[str] = (), *, directory: Path = BY_ID, deadline_s: float = DEADLINE_S
) -> tuple[ImportedPool, ...] | Unseen:
    """Every imported pool, by name. `known`: names of disks that are preferred to others which the same disks have."""
    end_s = time.monotonic() + deadline_s
    outcomes = tools.run_all(
        [arguments.pool_properties(), arguments.pool_status()], width=2, deadline_s=end_s - time.monotonic()
    )
    texts = [_text(outcome) for outcome in outcomes]
    failed = next((text for text in texts if isinstance(text, Unseen)), None)
    if failed is not None:
        return failed
    properties, status = (str(text) for text in texts)
    names = Names(directory, known)
    settings = settings_of(properties)
    return tuple(
        pool_seen(one, settings[one.name], names)
        for one in sorted(parse_status(status), key=lambda one: one.name)
        if one.name in settings
    )


# Pure ---------------------------------------------------------------------------------------------------------------


def pool_seen(status: PoolTree, settings: dict[str, Setting], names: Names) -> ImportedPool:
    """One pool from what two programs say of it."""
    guid = settings.get("guid")
    return ImportedPool(
        name=status.name,
        guid=int(guid.value) if guid is not None and guid.value.isdecimal() else 0,
        health=status.health if status.health is not Health.UNKNOWN else _listed(settings),
        layout=layout_of(status, names),
        members=tuple(_member(row, names) for row in status.leaves()),
        settings=_sorted(settings),
    )


def layout_of(status: PoolTree, names: Names) -> PoolLayout:
    """The devices of a pool. Of a replacement that is going on the new disk counts, of a spare in use the old one."""
    return PoolLayout.of((row.role, _vdev(row, names)) for row in status.rows)


def _vdev(row: DeviceRow, names: Names) -> LayoutVdev:
    disks = tuple(names.disk(leaf.path, leaf.guid) for leaf in _standing(row))
    kind = VdevKind.DISK if len(disks) == 1 and row.kind is VdevKind.OTHER else row.kind
    return LayoutVdev(kind, disks)


def _standing(row: DeviceRow) -> Iterable[DeviceRow]:
    """The devices that a vdev is made of once every replacement has ended."""
    if not row.below:
        return (row,)
    if row.name.startswith(REPLACING):
        return _standing(row.below[-1])
    if row.name.startswith(SPARED):
        return _standing(row.below[0])
    return tuple(leaf for below in row.below for leaf in _standing(below))


def _member(row: DeviceRow, names: Names) -> Member:
    return Member(names.disk(row.path, row.guid), row.path, row.health, row.role, *row.errors, row.note)


def _listed(settings: dict[str, Setting]) -> Health:
    return health_of(settings["health"].value) if "health" in settings else Health.UNKNOWN


def _sorted(settings: dict[str, Setting]) -> tuple[tuple[str, Setting], ...]:
    return tuple(sorted(settings.items()))


def _text(outcome: tools.Outcome) -> str | Unseen:
    return outcome.stdout if isinstance(outcome, tools.Ended) and not outcome.code else Unseen(tools.fault_of(outcome))
