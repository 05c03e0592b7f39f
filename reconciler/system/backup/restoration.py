"""Restores a backup: where each file goes, what that changes, and all of it or nothing.

**The node file goes last, and is set aside first.** No unit starts without it, so a controller that lost power in the
middle starts nothing from half a backup; the next restore begins anew. After an error every file is as it was. No
name leads through a symbolic link, and no directory may be open to other users.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.system.atomic_file import sync_directory
from reconciler.system.backup.archive import FILE_BYTES_MAX, Backup, BackupFile, Place
from reconciler.system.backup.collection import kept_beside
from reconciler.system.files import PRIVATE, PUBLIC, make_directory, read_bytes, state_error, write_atomic
from reconciler.system.node import Node
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend
from reconciler.system.peer.identity import DIRECTORY

#: A file that a restore replaces has this behind its name until the restore has ended.
ASIDE: Final = ".before-restore"


class Effect(StrEnum):
    """What a restore does to one file."""

    NEW = "new"
    REPLACED = "replaced"
    SAME = "same"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RestoredFile:
    """One file of a restore; without a `file` it is removed."""

    path: Path
    effect: Effect
    file: BackupFile | None = None


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore does, the node file last. `outside`: files elsewhere, which only an operator allows."""

    targets: tuple[RestoredFile, ...]
    outside: tuple[Path, ...] = ()

    @property
    def changes(self) -> tuple[RestoredFile, ...]:
        """The files that do not stay as they are."""
        return tuple(target for target in self.targets if target.effect is not Effect.SAME)


def plan_restore(backup: Backup, node_file: Path, state: Path, present: Node | None, *, outside: bool) -> RestorePlan:
    """Where the files of a backup go on this machine, and what that changes.

    `state`: the state directory. `present`: the node that is here now, whose enrolment and half-changed secret go.
    Raises StateError for a place that cannot be used.
    """
    roots = {Place.CONFIGURATION: node_file.absolute().parent.resolve(), Place.PEER: state.absolute() / DIRECTORY}
    targets: list[RestoredFile] = []
    elsewhere: list[Path] = []
    for file in backup.files:
        if file.place is Place.NODE:
            continue
        path = Path(file.name) if file.place is Place.OUTSIDE else roots[file.place] / file.name
        if file.place is Place.OUTSIDE and not outside:
            elsewhere.append(path)
            continue
        targets.append(RestoredFile(path, _effect(path, file), file))
    taken = {target.path for target in targets}
    left = [path for path in (kept_beside(present) if present is not None else ()) if path not in taken]
    targets += [RestoredFile(path, Effect.REMOVED) for path in left]
    own = roots[Place.CONFIGURATION] / node_file.name
    targets.append(RestoredFile(own, _effect(own, backup.node), backup.node))
    for target in targets:
        _require_safe(target.path)
    return RestorePlan(tuple(targets), tuple(elsewhere))


def perform_restore(plan: RestorePlan) -> None:
    """Carry out a plan: all of it, or nothing. Raises StateError."""
    *others, node = plan.targets
    done: list[tuple[RestoredFile, bool]] = []
    try:
        _set_aside(node, done)
        for target in others:
            if target.effect is not Effect.SAME:
                _set_aside(target, done)
                _write(target)
        _write(node)
        for directory in {target.path.parent for target in plan.targets}:
            sync_directory(directory)
    except (OSError, StateError) as error:
        _undo(done)
        raise error if isinstance(error, StateError) else state_error(node.path, error, "restore this file") from error
    for target in plan.targets:
        _aside(target.path).unlink(missing_ok=True)


def _effect(path: Path, file: BackupFile) -> Effect:
    try:
        found = read_bytes(path, FILE_BYTES_MAX)
    except StateError:
        return Effect.REPLACED
    if found is None:
        return Effect.NEW
    same = found == file.content and (file.public or not path.stat().st_mode & 0o077)
    return Effect.SAME if same else Effect.REPLACED


def _require_safe(path: Path) -> None:
    """Raise StateError for a path through a symbolic link, over something odd, or in a directory open to others."""
    try:
        if path.parent.resolve() != path.parent or path.is_symlink():
            raise StateError("a symbolic link stands here, and no restore follows one", where=str(path))
        if path.exists() and not path.is_file():
            raise StateError("something else than a file stands here", where=str(path), remedy="move it away")
        above = next(directory for directory in path.parents if directory.exists())
        if why := exposed(above):
            raise StateError(f"other users could replace what is restored: {why}", where=str(path), remedy=mend(why))
    except OSError as error:
        raise state_error(path, error, "look at this place") from error


def _set_aside(target: RestoredFile, done: list[tuple[RestoredFile, bool]]) -> None:
    there = target.path.exists()
    if there:
        target.path.replace(_aside(target.path))
    done.append((target, there))


def _write(target: RestoredFile) -> None:
    if target.file is None:
        return
    if not target.path.parent.exists():
        make_directory(target.path.parent)
    write_atomic(target.path, target.file.content, mode=PUBLIC if target.file.public else PRIVATE)


def _undo(done: Sequence[tuple[RestoredFile, bool]]) -> None:
    """Put every file back that was set aside, the node file last."""
    for target, there in reversed(done):
        with contextlib.suppress(OSError):
            if there:
                _aside(target.path).replace(target.path)
            else:
                target.path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ASIDE)
