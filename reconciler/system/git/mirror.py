"""The mirror: a bare repository in the state directory that holds every commit ever followed.

Decides in which order remotes are tried and what it means that all of them failed. Work goes on with what is here
when none answers. It never checks anything out, and it does not judge the history it fetches (`history`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from reconciler.errors import RemoteUnreachable, SourceError
from reconciler.system.git.defects import speaking
from reconciler.system.git.fetcher import fetch_in_child
from reconciler.system.git.remote import Remote, Transport, address_of
from reconciler.system.git.transfer import HEAD_REF, transfer

REMOTES_MAX = 16


@dataclass(frozen=True, slots=True)
class Refused:
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
    refused: tuple[Refused, ...] = ()
    fallback: bool = False


class Mirror:
    """The bare repository at `path`, made on first use. For one thread; other processes may use it meanwhile."""

    def __init__(self, path: Path) -> None:
        """Raises StateError when it can neither be opened nor made."""
        self.path = path
        with speaking(str(path)):
            if not (path / "HEAD").is_file():
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
                pygit2.init_repository(str(path), bare=True)
            self.repository = pygit2.Repository(str(path))
        #: Trees read lately, by id; filled by `tree`.
        self.trees: dict[str, Mapping[str, bytes]] = {}

    def fetch(self, remotes: Sequence[Remote], branch: str, timeout_s: float) -> Fetched:
        """Ask the remotes in order until one gives the whole branch; each gets at most `timeout_s`.

        Raises when none did: the reason itself if there is one remote or all agree on its kind, else
        RemoteUnreachable with every reason. StateError at once, because another remote cannot mend our own disk.
        """
        if not remotes:
            raise SourceError("there is no remote to fetch from", remedy="name one in the Source resource")
        if len(remotes) > REMOTES_MAX:
            raise SourceError(f"there are {len(remotes)} remotes, more than {REMOTES_MAX}")
        refused: list[Refused] = []
        for remote in remotes:
            try:
                commit = self._fetch_one(remote, branch, timeout_s)
            except SourceError as error:
                refused.append(Refused(remote, error))
                continue
            return Fetched(commit, remote, tuple(refused), fallback=bool(refused))
        raise _all_failed(refused)

    def _fetch_one(self, remote: Remote, branch: str, timeout_s: float) -> str:
        # A local path answers in a millisecond and cannot hang the way a network can, so no child is needed.
        if address_of(remote.url).transport is Transport.LOCAL:
            return transfer(self.path, remote, branch, timeout_s)
        return fetch_in_child(self.path, remote, branch, timeout_s)

    @property
    def head(self) -> str | None:
        """The last complete tip that was fetched (full id), also when offline; None before the first fetch."""
        with speaking(str(self.path)):
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


def head_of(path: Path, branch: str) -> str | None:
    """The tip of `branch` in the local repository at `path` (full id), for noticing a change cheaply; None if unborn.

    Raises SourceError when there is no repository that can be read.
    """
    with speaking(str(path)):
        reference = pygit2.Repository(str(path)).references.get(f"refs/heads/{branch}")
        return None if reference is None else str(reference.resolve().target)


def _all_failed(refused: Sequence[Refused]) -> SourceError:
    first = refused[0].why
    if len(refused) == 1:
        return first
    kind = type(first) if len({type(one.why) for one in refused}) == 1 else RemoteUnreachable
    reasons = "".join(f"\n  {one.why}" for one in refused)
    return kind(f"none of {len(refused)} remotes could be followed:{reasons}")
