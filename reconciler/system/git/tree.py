"""The files of a revision, read from git objects or from a plain directory: the same mapping, the same refusals.

Decides which files belong to the desired state (`*.yaml` and `*.yml` in any case, nothing hidden) and refuses what
could point elsewhere (symlinks, submodules) or grow without end. A lock of Emacs, the symlink `.#name`, is passed over.
Nothing is checked out, and no attribute or filter of git is applied, so a file is exactly the bytes that were signed.
It does not look into the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pygit2

from reconciler.errors import SourceError, UnsupportedSource
from reconciler.system.git.defects import hagit_errors
from reconciler.system.git.mirror import Mirror

FILES_MAX = 2_000
ENTRIES_MAX = 20_000
DEPTH_MAX = 32
FILE_BYTES_MAX = 1 << 20
TREE_BYTES_MAX = 4 << 20
_NAMED_MAX = 5
_CACHED_MAX = 4
_SUFFIXES = (".yaml", ".yml")

Tree = Mapping[str, bytes]


def read_tree(mirror: Mirror, commit_id: str) -> Tree:
    """`{path: content}` of a commit, paths with `/`, sorted. The last few trees are remembered by their id.

    Raises UnsupportedSource for symlinks, submodules and sizes over the limits, SourceError for damaged objects.
    """
    commit = mirror.commit(commit_id)
    where = f"commit {str(commit.id)[:7]}"
    with hagit_errors(where):
        key = str(commit.tree_id)
        cached = mirror.trees.pop(key, None)
        if cached is None:
            intake = Intake(where)
            intake.take_tree(mirror.repository, commit.tree, "")
            cached = intake.finished()
        return remember_tree(mirror, key, cached)


def remember_tree(mirror: Mirror, key: str, tree: Tree) -> Tree:
    """Keep a tree under its key, as one of the last few; return it."""
    mirror.trees[key] = tree
    while len(mirror.trees) > _CACHED_MAX:
        mirror.trees.pop(next(iter(mirror.trees)))
    return tree


def read_directory(directory: Path, folder: str = "", intake: Intake | None = None) -> Tree:
    """The same mapping from files as they lie in `directory`, committed or not. Hidden directories are not entered.

    With `folder` only the files below it, if it is there; an `intake` collects those of several folders. Raises as
    `read_tree`; SourceError for what cannot be read.
    """
    where = str(directory)
    intake = intake or Intake(where)
    try:
        if not directory.is_dir():
            raise SourceError("there is no such directory", where=where)
        for path, file in _files(*_beginning(directory, folder, intake), 0, intake):
            # Not following and not waiting: the file may be replaced by a symlink or a pipe between look and open.
            with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
                status = os.fstat(stream.fileno())
                if stat.S_ISREG(status.st_mode) and intake.admits(path, status.st_size):
                    intake.take(path, stream.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", where=str(error.filename or where)) from error
    return intake.finished()


def _beginning(directory: Path, folder: str, intake: Intake) -> tuple[Path | None, str]:
    """Where reading begins, None for a folder that is not there, and what its paths begin with."""
    at = directory
    for part in folder.split("/") if folder else ():
        at = at / part
        if at.is_symlink():
            intake.refuse(folder, "a symlink")
            return None, ""
    return (at, f"{folder}/" if folder else "") if at.is_dir() else (None, "")


@dataclass(slots=True)
class Intake:
    """What has been taken so far, against the limits; what is refused is collected, so that all is said at once."""

    where: str
    smaller: str = "keep only the desired state of this pair in the repository"
    files: dict[str, bytes] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    entries: int = 0
    size_bytes: int = 0

    def count(self, depth: int) -> None:
        """One more entry of a tree, wanted or not."""
        self.entries += 1
        if self.entries > ENTRIES_MAX:
            raise UnsupportedSource(f"more than {ENTRIES_MAX} files", where=self.where, remedy=self.smaller)
        if depth > DEPTH_MAX:
            raise UnsupportedSource(
                f"directories nested deeper than {DEPTH_MAX}", where=self.where, remedy=self.smaller
            )

    def refuse(self, path: str, what: str) -> None:
        """`path` is something that cannot be part of a desired state."""
        self.refused.append(f"{_shown(path)}: {what}")

    def admits(self, path: str, size_bytes: int) -> bool:
        """Whether a file of this size may be read; if not it is refused."""
        if size_bytes > FILE_BYTES_MAX:
            self.refuse(path, f"{size_bytes / (1 << 20):.1f} MiB is more than {FILE_BYTES_MAX >> 20} MiB")
            return False
        self.size_bytes += size_bytes
        if self.size_bytes > TREE_BYTES_MAX:
            raise UnsupportedSource(
                f"all files together are more than {TREE_BYTES_MAX >> 20} MiB", where=self.where, remedy=self.smaller
            )
        return True

    def take(self, path: str, content: bytes) -> None:
        """Keep one file."""
        if len(self.files) >= FILES_MAX:
            raise UnsupportedSource(f"more than {FILES_MAX} YAML files", where=self.where, remedy=self.smaller)
        if len(content) > FILE_BYTES_MAX:
            self.refuse(path, "it grows while it is read")
            return
        self.files[path] = content

    def take_tree(self, repository: pygit2.Repository, tree: pygit2.Tree, above: str) -> None:
        """Keep every wanted file of a git tree; `above` begins their paths."""
        for path, entry_id in _entries(repository, tree, above, 0, self):
            _, size = repository.odb.read_header(entry_id)
            if self.admits(path, size):
                self.take(path, repository.odb.read(entry_id)[1])

    def finished(self) -> Tree:
        """The mapping, or the refusal naming every path."""
        if self.refused:
            more = len(self.refused) - _NAMED_MAX
            lines = [*self.refused[:_NAMED_MAX], *([f"and {more} more"] if more > 0 else [])]
            raise UnsupportedSource(
                "the repository holds what cannot be part of a desired state:\n  " + "\n  ".join(lines),
                where=self.where,
                remedy="remove it: hagit follows plain files only, and small ones",
            )
        return MappingProxyType(dict(sorted(self.files.items())))


def _entries(
    repository: pygit2.Repository, tree: pygit2.Tree, above: str, depth: int, intake: Intake
) -> Iterator[tuple[str, pygit2.Oid]]:
    """Every wanted file below `tree`. Hidden directories are looked through as well, for what must not be there."""
    for entry in tree:
        intake.count(depth)
        path = above + os.fsdecode(entry.raw_name or b"")
        match entry.filemode:
            case pygit2.enums.FileMode.LINK:
                if not _is_lock(path):
                    intake.refuse(path, "a symlink")
            case pygit2.enums.FileMode.COMMIT:
                intake.refuse(path, "a submodule")
            case pygit2.enums.FileMode.TREE:
                below = repository[entry.id]
                assert isinstance(below, pygit2.Tree)
                yield from _entries(repository, below, path + "/", depth + 1, intake)
            case _:
                if is_wanted(path) and _named_well(path, intake):
                    yield path, entry.id


def _files(directory: Path | None, above: str, depth: int, intake: Intake) -> Iterator[tuple[str, Path]]:
    """Every wanted file below `directory`, as `_entries` finds them in a tree."""
    if directory is None:
        return
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        intake.count(depth)
        path = above + entry.name
        if entry.is_symlink():
            if not _is_lock(path):
                intake.refuse(path, "a symlink")
        elif entry.name.startswith("."):
            continue
        elif entry.is_dir():
            if (Path(entry.path) / ".git").exists():
                intake.refuse(path, "a repository of its own")
            else:
                yield from _files(Path(entry.path), path + "/", depth + 1, intake)
        elif entry.is_file() and is_wanted(path) and _named_well(path, intake):
            yield path, Path(entry.path)


def _is_lock(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".#")


def is_wanted(path: str) -> bool:
    """Whether a file belongs to the desired state, by its path."""
    return path.lower().endswith(_SUFFIXES) and not any(part.startswith(".") for part in path.split("/"))


def _named_well(path: str, intake: Intake) -> bool:
    """Paths are shown on terminals and compared as text."""
    if path.isprintable():
        return True
    intake.refuse(path, "its name is not printable UTF-8")
    return False


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
