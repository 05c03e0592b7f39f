"""The files of this controller that belong into a backup: what git has not, and no state.

The node file and every file that it names, the secret that is being changed, what an enrolment left, and the secrets of
alert targets. Programs are left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.errors import StateError, UsageError
from reconciler.system.backup.archive import FILE_BYTES_MAX, BackupFile, Place, fits
from reconciler.system.files import read_bytes, state_error
from reconciler.system.node import Node
from reconciler.system.node_files import files_of
from reconciler.system.peer.identity import peer_directory
from reconciler.system.peer.pending_enrolment import PENDING_FILE
from reconciler.system.secret import next_path, previous_path


def collect_files(node: Node, more: Iterable[Path] = ()) -> tuple[tuple[BackupFile, ...], tuple[Path, ...]]:
    """The files of a backup, the node file first, and those that are named and not there. `more`: further files.

    Raises StateError for a file that cannot be read, is too large, or lies where none can be restored.
    """
    found = [_read(node.path, Place.NODE, "")]
    missing: list[Path] = []
    for path in _paths(node, more):
        place, name = place_of_file(path, node)
        if path.exists():
            found.append(_read(path, place, name))
        else:
            missing.append(path)
    return tuple(found), tuple(missing)


def require_new(file: Path) -> None:
    """Raise UsageError for the name of a backup that is taken: no backup overwrites another one."""
    if file.exists() or file.is_symlink():
        raise UsageError("this file is there already", where=str(file), remedy="name another one, or remove it")


def place_of_file(path: Path, node: Node) -> tuple[Place, str]:
    """The place of a file of a controller, and its name there. Raises StateError for one of the system."""
    for place, root in ((Place.PEER, peer_directory(node)), (Place.CONFIGURATION, node.path.absolute().parent)):
        if path.is_relative_to(root):
            return place, str(path.relative_to(root))
    if not fits(str(path), absolute=True):
        raise StateError(
            "this file lies where no restore writes",
            where=str(path),
            remedy=f"move it beside the node file, {node.path.absolute().parent}, and name it there",
        )
    return Place.OUTSIDE, str(path)


def kept_beside(node: Node) -> tuple[Path, ...]:
    """Files that are part of a backup if they are there: those of an enrolment, and of a secret that is changed."""
    beside: list[Path] = []
    if node.watchdog is not None:
        beside += [next_path(node.watchdog.secret), previous_path(node.watchdog.secret)]
    return tuple(path for path in (*beside, *_files_below(peer_directory(node))) if path.is_file())


def _paths(node: Node, more: Iterable[Path]) -> tuple[Path, ...]:
    """Every file but the node file, once, without `..`."""
    programs = {path for _, path in node.fence_agents}
    named = [path for path in files_of(node) if path not in programs]
    # The kernel follows `..` behind a link elsewhere; no name of a backup has one.
    paths = (Path(os.path.normpath(path)) for path in (*named, *more, *kept_beside(node)))
    own = Path(os.path.normpath(node.path.absolute()))
    return tuple(path for path in dict.fromkeys(paths) if path != own)


def _files_below(directory: Path) -> Iterator[Path]:
    try:
        found = sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    except OSError as error:
        raise state_error(directory, error, "read this directory") from error
    # What a code that was not entered yet has left counts for ten minutes only.
    yield from (path for path in found if path.name != PENDING_FILE)


def _read(path: Path, place: Place, name: str) -> BackupFile:
    content = read_bytes(path, FILE_BYTES_MAX)
    if content is None:
        raise StateError("this file vanished while the backup was made", where=str(path), remedy="run it again")
    return BackupFile(place, name, bool(path.stat().st_mode & stat.S_IROTH), content)
