"""One fetch from one remote into the mirror, in this process: complete or without effect.

Decides whether what came is whole before the mirror's head moves: the branch exists, the received commits reach back
to what was here or to their root, the limits hold. It does not decide which remote to ask, nor whether the history
may be followed. Network remotes are fetched in a child (`fetcher`), which calls the same function.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pygit2
from pygit2.enums import CredentialType, ObjectType, SortMode

from reconciler.errors import SourceError, StateError, UnsupportedSource
from reconciler.system.files import open_regular
from reconciler.system.git.defects import sha256, speaking, told
from reconciler.system.git.hostkeys import refusal
from reconciler.system.git.packs import merge_packs
from reconciler.system.git.remote import Access, Address, Remote, Transport, address_of, place_of
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend

#: The last complete tip of the followed branch, and where a tip waits until it is known to be complete.
HEAD_REF = "refs/hagit/head"
INCOMING_REF = "refs/hagit/incoming"
#: Tips that were replaced by a rewound branch stay here, so that the revision in use never loses its objects.
KEPT_REFS = "refs/hagit/kept/"

COMMITS_MAX = 10_000
RECEIVED_BYTES_MAX = 256 << 20
#: A file of a repository's settings, and one with a key or a token.
CONFIG_BYTES_MAX = 1 << 20
SECRET_BYTES_MAX = 64 << 10
RECEIVED_OBJECTS_MAX = 500_000
_LOCK_POLL_S = 0.02


def transfer(mirror: Path, remote: Remote, branch: str, timeout_s: float) -> str:
    """Fetch `branch` of `remote` into the bare repository `mirror`; the full id of its tip.

    Raises SourceError and its kinds, StateError for the mirror's own disk and permissions. On any error the mirror
    still names the tip it named before.
    """
    deadline_s = time.monotonic() + timeout_s
    where = str(remote)
    address = address_of(remote.url)
    name = f"refs/heads/{branch}"
    if not pygit2.reference_is_valid_name(name):
        raise SourceError(f"'{branch}' cannot be the name of a branch", where=where)
    if address.transport is Transport.LOCAL:
        _look_at_directory(Path(address.path), where)
    with _alone(mirror, deadline_s), speaking(str(mirror)):
        repository = pygit2.Repository(str(mirror))
        _sweep(mirror)
        callbacks = _Callbacks(address, remote.access, where, deadline_s)
        tip = _receive(repository, remote, address, name, callbacks)
        known = _target(repository, HEAD_REF)
        if known == tip:
            return str(tip)
        with speaking(where):
            _require_whole(repository, tip, known, where)
        if known is not None and not repository.descendant_of(tip, known):
            repository.references.create(KEPT_REFS + str(known), known, force=True)
        repository.references.create(HEAD_REF, tip, force=True)
        merge_packs(repository, mirror)
        return str(tip)


def _receive(
    repository: pygit2.Repository, remote: Remote, address: Address, name: str, callbacks: _Callbacks
) -> pygit2.Oid:
    """The tip that the remote has for `name`, its objects being here afterwards."""
    # A path is given bare: as a URL its special characters would have to be quoted the way libgit2 unquotes them.
    url = address.path if address.transport is Transport.LOCAL else remote.url
    proxy: Literal[True] | None = True if address.transport is Transport.HTTPS else None
    try:
        connection = repository.remotes.create_anonymous(url)
        connection.connect(callbacks=callbacks, proxy=proxy)
        heads = {head.name or "": head.oid for head in connection.list_heads(connect=False)}
        tip = _tip_among(heads, name, str(remote))
        if _target(repository, HEAD_REF) != tip:
            connection.fetch([f"+{name}:{INCOMING_REF}"], callbacks=callbacks, proxy=proxy)
            tip = _target(repository, INCOMING_REF) or tip
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        if callbacks.refused_host is not None:
            raise refusal(address, remote.access, str(remote)) from error
        raise told(error, str(remote)) from error
    return tip


def _target(repository: pygit2.Repository, name: str) -> pygit2.Oid | None:
    reference = repository.references.get(name)
    return None if reference is None else pygit2.Oid(hex=str(reference.target))


def _tip_among(heads: dict[str, pygit2.Oid], name: str, where: str) -> pygit2.Oid:
    branches = {ref.removeprefix("refs/heads/"): oid for ref, oid in heads.items() if ref.startswith("refs/heads/")}
    branch = name.removeprefix("refs/heads/")
    if branch in branches:
        return branches[branch]
    if not branches:
        raise UnsupportedSource(
            "the repository is empty: it has no commit yet", where=where, remedy=f"commit to {branch} and push it"
        )
    nearest = difflib.get_close_matches(branch, branches, n=3, cutoff=0.4) or sorted(branches)[:3]
    raise SourceError(
        f"there is no branch '{branch}'", where=where, remedy=f"it has {len(branches)}, nearest: {', '.join(nearest)}"
    )


def _require_whole(repository: pygit2.Repository, tip: pygit2.Oid, known: pygit2.Oid | None, where: str) -> None:
    """Walk everything that is new; a gap raises KeyError, too much raises UnsupportedSource."""
    if not isinstance(repository[tip].peel(ObjectType.COMMIT), pygit2.Commit):
        raise SourceError(f"{tip} is not a commit", where=where)
    walker = repository.walk(tip, SortMode.NONE)
    if known is not None:
        walker.hide(known)
    for count, commit in enumerate(walker, 1):
        if count > COMMITS_MAX:
            raise UnsupportedSource(
                f"more than {COMMITS_MAX} commits are new at once",
                where=where,
                remedy="start a fresh repository for the desired state and follow that",
            )
        _ = commit.tree


def _look_at_directory(path: Path, where: str) -> None:
    """What libgit2 would only say in riddles about a path."""
    try:
        if not path.exists():
            raise SourceError("there is no such directory", where=where, remedy="check the path of the remote")
        if not path.is_dir():
            raise SourceError("this is a file, not a repository", where=where)
        config = next((file for file in (path / ".git/config", path / "config") if file.is_file()), None)
        if config is not None:
            with open_regular(config) as opened:
                if b"objectformat = sha256" in opened.read(CONFIG_BYTES_MAX).lower():
                    raise sha256(where)
    except OSError as error:
        raise SourceError(
            f"no permission to read: {error.strerror}", where=where, remedy="check who may read it"
        ) from error


@contextmanager
def _alone(mirror: Path, deadline_s: float) -> Iterator[None]:
    """One fetch at a time into a mirror, over all processes; the kernel lets go when the holder dies."""
    try:
        descriptor = os.open(mirror / "hagit.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise told(error, str(mirror)) from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise StateError(
                        "another process has been fetching into this mirror for too long", where=str(mirror)
                    ) from None
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _sweep(mirror: Path) -> None:
    """Remove what a fetch that was killed left behind. Only we write here, and we hold the lock."""
    for pattern in ("*.lock", "refs/hagit/**/*.lock", "objects/pack/pack_git2_*"):
        for leftover in mirror.glob(pattern):
            if leftover.name != "hagit.lock":
                leftover.unlink(missing_ok=True)


class _Callbacks(pygit2.RemoteCallbacks):
    """libgit2's questions: who are we, is this the right host, shall it go on."""

    def __init__(self, address: Address, access: Access, where: str, deadline_s: float) -> None:
        super().__init__()
        self.refused_host: str | None = None
        self._address, self._access, self._where, self._deadline_s = address, access, where, deadline_s
        self._asked = 0

    def credentials(self, url: str, username_from_url: str | None, allowed_types: CredentialType) -> Any:
        """Our key or token, once; a second question means that it was not accepted."""
        user = username_from_url or "git"
        if allowed_types & CredentialType.USERNAME:
            return pygit2.Username(user)
        # `url` is that of the server which asks, also after a redirect.
        self._require_bound(place_of(address_of(url)))
        self._asked += 1
        if self._asked > 1:
            raise SourceError(
                f"the server does not accept our credentials for {user}",
                where=self._where,
                remedy="let the key or token that the node file names read this repository",
            )
        if allowed_types & CredentialType.SSH_KEY:
            return self._ssh_key(user)
        if allowed_types & CredentialType.USERPASS_PLAINTEXT and self._access.token_file is not None:
            name, _, token = _secret(self._access.token_file, self._where).partition(":")
            return pygit2.UserPass(name, token)
        raise SourceError(
            "the server asks who we are", where=self._where, remedy="name a key file or token file in the node file"
        )

    def _require_bound(self, place: str) -> None:
        """Raise SourceError unless the node file lets its key and token be used at `place`."""
        named = self._access.ssh_key_file or self._access.token_file
        if named is None or place in self._access.hosts:
            return
        bound = ", ".join(sorted(self._access.hosts)) or "no host"
        raise SourceError(
            f"{place} asks who we are, and gets neither key nor token: the node file has them for {bound}",
            where=self._where,
            remedy=f'if they are for it, write into [source] of the node file: hosts = ["{place}"]',
        )

    def _ssh_key(self, user: str) -> pygit2.Keypair:
        key_file = self._access.ssh_key_file
        if key_file is not None:
            _secret(key_file, self._where)
            return pygit2.Keypair(user, None, str(key_file), "")
        if "SSH_AUTH_SOCK" in os.environ:
            return pygit2.KeypairFromAgent(user)
        raise SourceError(
            "the server asks for an SSH key", where=self._where, remedy="name a key file in the node file"
        )

    def certificate_check(self, certificate: None, valid: bool, host: bytes | str) -> bool:
        """Exactly what libgit2 found by known_hosts or by the CA; pygit2 would wave every SSH host through."""
        if not valid:
            self.refused_host = host.decode(errors="replace") if isinstance(host, bytes) else host
        return valid

    def transfer_progress(self, stats: Any) -> None:
        """Stop a remote that sends too much, or for too long."""
        if stats.received_bytes > RECEIVED_BYTES_MAX or stats.total_objects > RECEIVED_OBJECTS_MAX:
            raise UnsupportedSource(
                f"the remote sends more than {RECEIVED_BYTES_MAX >> 20} MiB or {RECEIVED_OBJECTS_MAX} objects",
                where=self._where,
                remedy="keep only the desired state in this repository",
            )
        if time.monotonic() > self._deadline_s:
            raise TimeoutError("timed out while receiving")


def _secret(file: Path, where: str) -> str:
    """The content of a file with a key or a token, provided that nobody else can read it."""
    try:
        if file.stat().st_mode & 0o077:
            raise SourceError(
                f"{file} can be read by others, so it is not used", where=where, remedy=f"chmod 600 {file}"
            )
        if why := exposed(file):
            raise SourceError(
                f"{file} is not used, because others could replace it: {why}", where=where, remedy=mend(why)
            )
        with open_regular(file) as opened:
            return opened.read(SECRET_BYTES_MAX).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {file}: {error}", where=where, remedy="check the node file") from error
