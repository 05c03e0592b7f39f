"""The folder of one pair in a repository of many: its files, and the newest commit that changed them.

*A commit that leaves the folder as it was is no new state*, whatever it changes elsewhere. Two commits have the same
state if the folder and the folders that it shares have the same tree objects, so a look costs the same in a repository
of one pair and of many. Without a folder every file of the repository belongs to the pair, and every commit is a state.
Which folders are shared stands in the files; the caller knows how to read that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import pygit2

from reconciler.errors import UnsupportedSource
from reconciler.system.git.defects import hagit_errors
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.tree import Intake, Tree, read_directory, read_tree, remember_tree

#: How far back the commit that changed a folder is looked for.
WALKED_MAX: Final = 100_000
#: A merge of more parents is a new state.
PARENTS_MAX: Final = 8
_SHARED_CACHED_MAX: Final = 64
_SMALLER: Final = "keep only the desired state of this pair in its folder"

#: The tree objects of a folder and of the folders that it shares, with their paths; None for one that is not there.
FolderState: TypeAlias = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """`path`: from the root of the repository; empty for all of it. `shared_of`: the shared folders that files name."""

    path: str
    shared_of: Callable[[Tree], tuple[str, ...]]


#: The whole repository.
WHOLE: Final = Folder("", lambda tree: ())


def read_folder(mirror: Mirror, commit_id: str, folder: Folder) -> Tree:
    """`{path: content}` of a folder in a commit and of what it shares; paths begin at the root of the repository.

    A folder that is not there has no files. The limits are those of `read_tree`, for all files together; raises alike.
    """
    if not folder.path:
        return read_tree(mirror, commit_id)
    state = folder_state(mirror, commit_id, folder)
    key = repr(state)
    cached = mirror.trees.pop(key, None)
    return remember_tree(mirror, key, cached if cached is not None else _read(mirror, commit_id, state))


def read_folder_directory(root: Path, folder: Folder) -> Tree:
    """The same mapping from the files of a repository as they lie in the directory `root`. Raises as `read_directory`.

    A folder that is not there has no files.
    """
    if not folder.path:
        return read_directory(root)
    intake = Intake(str(root), _SMALLER)
    own = read_directory(root, folder.path, intake)
    for name in folder.shared_of(own):
        read_directory(root, name, intake)
    return intake.finished()


def folder_state(mirror: Mirror, commit_id: str, folder: Folder) -> FolderState:
    """The state of a folder in a commit. Raises SourceError for damaged objects."""
    commit = mirror.commit(commit_id)
    with hagit_errors(f"commit {commit_id[:7]}"):
        own = (folder.path, _tree_at(commit, folder.path))
        return (own, *((name, _tree_at(commit, name)) for name in _shared(mirror, commit_id, own, folder)))


def newest_change(mirror: Mirror, head: str, folder: Folder, known: tuple[str, str] | None = None) -> str:
    """The commit to which the state of `head` goes back: the newest that changed the folder. A full id.

    From `head` it follows a parent with the same state, as git-log(1) does (History Simplification). It stops at a
    merge that leaves out what another parent changed in the folder since the histories parted: that is a new state,
    so that a state that replaces another one stands later in the history. `known`: an earlier head and its result.
    Raises SourceError for damaged objects.
    """
    at = mirror.commit(head)
    if not folder.path:
        return str(at.id)
    state = folder_state(mirror, str(at.id), folder)
    for _ in range(WALKED_MAX):
        if known is not None and str(at.id) == known[0]:
            return known[1]
        before = _unchanged_parent(mirror, at, state, folder)
        if before is None:
            break
        at = before
    return str(at.id)


def changes_folder(mirror: Mirror, commit_id: str, folder: Folder) -> bool:
    """Whether the state of a folder differs between a commit and any of its parents; true without a folder."""
    commit = mirror.commit(commit_id)
    if not folder.path or not commit.parents or len(commit.parents) > PARENTS_MAX:
        return True
    state = folder_state(mirror, commit_id, folder)
    return any(folder_state(mirror, str(parent), folder) != state for parent in commit.parent_ids)


def _unchanged_parent(
    mirror: Mirror, commit: pygit2.Commit, state: FolderState, folder: Folder
) -> pygit2.Commit | None:
    """The parent that `commit` has its state from; None if the commit makes a new one."""
    parents = [str(parent) for parent in commit.parent_ids]
    if len(parents) > PARENTS_MAX:
        return None
    states = {parent: folder_state(mirror, parent, folder) for parent in parents}
    same = next((parent for parent in parents if states[parent] == state), None)
    if same is None:
        return None
    for other in parents:
        if other == same:
            continue
        with hagit_errors(f"commit {commit.id}"):
            base = mirror.repository.merge_base(same, other)
        if base is None or folder_state(mirror, str(base), folder) != states[other]:
            return None
    return mirror.commit(same)


def _tree_at(commit: pygit2.Commit, path: str) -> str | None:
    """The tree object of a folder; None where there is none. A symbolic link is none."""
    try:
        entry = commit.tree[path]
    except KeyError:
        return None
    return str(entry.id) if isinstance(entry, pygit2.Tree) else None


def _shared(mirror: Mirror, commit_id: str, own: tuple[str, str | None], folder: Folder) -> tuple[str, ...]:
    """The shared folders that the files of a folder name; none if they cannot be read, which the reader says."""
    key = repr(own)
    known = mirror.shared.get(key)
    if known is None:
        try:
            known = folder.shared_of(_read(mirror, commit_id, (own,)))
        except UnsupportedSource:
            known = ()
        while len(mirror.shared) >= _SHARED_CACHED_MAX:
            mirror.shared.pop(next(iter(mirror.shared)))
        mirror.shared[key] = known
    return known


def _read(mirror: Mirror, commit_id: str, state: FolderState) -> Tree:
    where = f"commit {commit_id[:7]}"
    intake = Intake(where, _SMALLER)
    with hagit_errors(where):
        for path, tree_id in state:
            tree = mirror.repository[tree_id] if tree_id is not None else None
            if isinstance(tree, pygit2.Tree):
                intake.take_tree(mirror.repository, tree, f"{path}/")
    return MappingProxyType(dict(intake.finished()))
