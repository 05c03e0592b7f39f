"""The mirror: a bare repository in the state directory that holds every commit ever followed, and no other.

Decides in which order remotes are tried and what it means that all of them failed. Work goes on with what is here
when none answers. What comes is received into a quarantine, and kept when the caller has judged it (`history`). It
never checks anything out.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pygit2

from reconciler.errors import RemoteUnreachable, SourceError, UnsupportedSource
from reconciler.system.files import state_error
from reconciler.system.git.defects import hagit_errors
from reconciler.system.git.fetcher import fetch_in_child
from reconciler.system.git.quarantine import HEAD_REF, keep, quarantine
from reconciler.system.git.remote import GitTransport, Remote, address_of
from reconciler.system.local_branch import odd_file_of, tip_of

REMOTES_MAX = 16
#: To move what was accepted takes no longer than another process moves its own.
KEEP_S = 20.0


@dataclass(frozen=True, slots=True)
class RemoteFailure:
    """A remote that was tried and failed, and why."""

    remote: Remote
    why: SourceError


@dataclass(frozen=True, slots=True)
class Fetched:
    """The tip of the branch (full id), the remote that gave it, and those before it that failed.

    `fallback`: it is not the first in order, so it may lag behind what was already accepted.
    """

    commit: str
    remote: Remote
    refused: tuple[RemoteFailure, ...] = ()
    fallback: bool = False


class Mirror:
    """The bare repository at `path`, made on first use. For one thread; other processes may use it meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises StateError when it can neither be opened nor made."""
        self.path = path
        if path.exists() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            # Before libgit2 takes it for a repository of another user, which has another remedy.
            denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            raise state_error(path, denied, "write to this directory")
        with hagit_errors(str(path)):
            if not (path / "HEAD").is_file():
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
                pygit2.init_repository(str(path), bare=True)
            self.repository = pygit2.Repository(str(path))
        #: Trees read lately, by id; filled by `tree`.
        self.trees: dict[str, Mapping[str, bytes]] = {}
        #: The shared folders that the files of a folder name, by its path and tree; filled by `folder`.
        self.shared: dict[str, tuple[str, ...]] = {}

    @contextmanager
    def receive(
        self, remotes: Sequence[Remote], branch: str, timeout_s: float, refused: Collection[str] = ()
    ) -> Iterator[FetchedSource]:
        """Ask the remotes in order until one gives the whole branch; each gets at most `timeout_s`. What came is gone
        at the end unless it was kept. A tip that is `refused` is named only.

        Raises when none did: the reason itself if there is one remote or all agree on its kind, else
        RemoteUnreachable with every reason. StateError at once, because another remote cannot mend our own disk.
        """
        if not remotes:
            raise SourceError("there is no remote to fetch from", remedy="name one in the Source resource")
        if len(remotes) > REMOTES_MAX:
            raise SourceError(f"there are {len(remotes)} remotes, more than {REMOTES_MAX}")
        failed: list[RemoteFailure] = []
        for remote in remotes:
            try:
                with self._receive_one(remote, branch, timeout_s, refused) as (commit, repository):
                    fetched = Fetched(commit, remote, tuple(failed), fallback=bool(failed))
                    yield FetchedSource(fetched, repository, self)
                    return
            except _Failed as error:
                failed.append(RemoteFailure(remote, error.why))
        raise _all_failed(failed)

    @contextmanager
    def _receive_one(
        self, remote: Remote, branch: str, timeout_s: float, refused: Collection[str]
    ) -> Iterator[tuple[str, Mirror]]:
        """The tip of one remote, and the repository that has it. Raises _Failed where another remote may do better."""
        tip = self._unmoved(remote, branch, refused)
        if tip is not None:
            yield tip, self
            return
        with quarantine(self.path) as path:
            try:
                commit = fetch_in_child(path, self.path, remote, branch, timeout_s, refused)
            except SourceError as error:
                raise _Failed(error) from error
            yield commit, Mirror(path)

    def _unmoved(self, remote: Remote, branch: str, refused: Collection[str]) -> str | None:
        """The tip of a local remote, when it can be read at once and nothing need be fetched."""
        try:
            address = address_of(remote.url)
        except SourceError as error:
            raise _Failed(error) from error
        if address.transport is not GitTransport.LOCAL:
            return None
        tip = tip_of(Path(address.path), branch)
        if tip is not None and (tip == self.head or tip in refused):
            return tip
        odd = odd_file_of(Path(address.path))
        if odd is not None:
            why = "a pipe, a socket or a device is in the place of a file of this repository"
            raise _Failed(UnsupportedSource(why, where=str(odd), remedy="remove it, and push the branch again"))
        return None

    def fetch(self, remotes: Sequence[Remote], branch: str, timeout_s: float) -> Fetched:
        """`receive`, and keep it, whatever it is."""
        with self.receive(remotes, branch, timeout_s) as received:
            received.keep(timeout_s)
            return received.fetched

    @property
    def head(self) -> str | None:
        """The last complete tip that was fetched (full id), also when offline; None before the first fetch."""
        with hagit_errors(str(self.path)):
            reference = self.repository.references.get(HEAD_REF)
            return None if reference is None else str(reference.target)

    def commit(self, commit_id: str) -> pygit2.Commit:
        """The commit with this full or abbreviated id. Raises SourceError when it is not here."""
        # `object`, because the library's own annotations do not know that a commit is one of its objects.
        found: object = None
        try:
            found = self.repository.get(commit_id)
        except (KeyError, ValueError) as error:
            if "ambiguous" in str(error):
                raise SourceError(f"{commit_id} is the beginning of several ids", remedy="give more digits") from error
        except (pygit2.GitError, OSError) as error:
            raise SourceError(f"commit {commit_id} cannot be read: {error}", where=str(self.path)) from error
        if not isinstance(found, pygit2.Commit):
            raise SourceError(
                f"there is no commit {commit_id} in the mirror", where=str(self.path), remedy="fetch it first"
            )
        return found


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """What a fetch brought, in quarantine. `repository` has its objects and those of the mirror."""

    fetched: Fetched
    repository: Mirror
    _mirror: Mirror

    def keep(self, timeout_s: float = KEEP_S) -> None:
        """Move it into the mirror: it was accepted. Raises StateError."""
        if self.repository is not self._mirror:
            keep(self._mirror.path, self.repository.path, time.monotonic() + timeout_s)


class _Failed(Exception):
    """One remote failed, for a reason that another may not have."""

    def __init__(self, why: SourceError) -> None:
        super().__init__(str(why))
        self.why = why


def head_of(path: Path, branch: str) -> str | None:
    """The tip of `branch` in the local repository at `path` (full id), for noticing a change cheaply; None if unborn.

    Raises SourceError when there is no repository that can be read.
    """
    with hagit_errors(str(path)):
        reference = pygit2.Repository(str(path)).references.get(f"refs/heads/{branch}")
        return None if reference is None else str(reference.resolve().target)


def _all_failed(refused: Sequence[RemoteFailure]) -> SourceError:
    first = refused[0].why
    if len(refused) == 1:
        return first
    kind = type(first) if len({type(one.why) for one in refused}) == 1 else RemoteUnreachable
    reasons = "".join(f"\n  {one.why}" for one in refused)
    error = kind(f"none of {len(refused)} remotes could be followed:{reasons}")
    if isinstance(error, UnsupportedSource) and isinstance(first, UnsupportedSource):
        error.tip = first.tip
    return error
