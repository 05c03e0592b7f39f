"""A repository for a beginner: made, filled and committed in one go.

Decides only that nothing which is already there is overwritten. It does not know what the files say.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pygit2

from reconciler.errors import UsageError
from reconciler.system.git.defects import speaking


@dataclass(frozen=True, slots=True)
class Author:
    """Who stands in a commit that hagit makes for a person."""

    name: str
    email: str


def create_repository(path: Path, files: Mapping[str, bytes], author: Author, message: str, branch: str) -> str:
    """Make a repository at `path` with `files` in its first commit on `branch`; the full id of that commit.

    Raises UsageError when there is a repository or one of the files already, and StateError for the disk.
    """
    if (path / ".git").exists() or (path / "HEAD").is_file():
        raise UsageError("there is a repository already", where=str(path), remedy="choose another directory")
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UsageError(f"'{name}' lies outside the repository", where=str(path))
        if (path / name).exists():
            raise UsageError("this file is there already", where=str(path / name), remedy="choose another directory")
    with speaking(str(path)):
        path.mkdir(parents=True, exist_ok=True)
        repository = pygit2.init_repository(str(path), initial_head=branch)
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
            repository.index.add(name)
        repository.index.write()
        return _commit(repository, f"refs/heads/{branch}", author, message)


def commit_files(path: Path, files: Mapping[str, bytes], author: Author, message: str) -> str:
    """Write `files` into the repository at `path` and commit them, and nothing else, on its current branch."""
    with speaking(str(path)):
        repository = pygit2.Repository(str(path))
        repository.index.read()
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
            repository.index.add(name)
        repository.index.write()
        return _commit(repository, "HEAD", author, message)


def default_author() -> Author:
    """The author that git itself would take (user.name, user.email); empty where it knows none."""
    try:
        config = pygit2.Config.get_global_config()
    except OSError:
        return Author("", "")
    with speaking("~/.gitconfig"):
        # A Config has no `get`.
        known = {name: config[name] or "" for name in ("user.name", "user.email") if name in config}
    return Author(known.get("user.name", ""), known.get("user.email", ""))


def _commit(repository: pygit2.Repository, reference: str, author: Author, message: str) -> str:
    signature = pygit2.Signature(author.name, author.email, int(time.time()), -time.timezone // 60)
    parents = [] if repository.head_is_unborn else [repository.head.target]
    tree = repository.index.write_tree()
    return str(repository.create_commit(reference, signature, signature, message, tree, parents))
