"""One fetch from one remote into a quarantine, in this process: complete and within limits, or refused.

Decides whether what came is whole before the quarantine's head moves: the branch exists and names a commit, the
received commits reach back to what was here or to their root, the limits hold for every object. It does not decide
which remote to ask, nor whether the history may be followed. It runs in a child without privileges (`fetcher`).
"""

from __future__ import annotations

import difflib
import os
import shlex
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import pygit2
from pygit2.enums import CredentialType, ObjectType, SortMode

from reconciler.errors import SourceError, StateError, UnsupportedSource
from reconciler.system.files import open_regular
from reconciler.system.git.defects import as_hagit_error, hagit_errors, sha256
from reconciler.system.git.hostkeys import refusal
from reconciler.system.git.quarantine import COMMITS_MAX, HEAD_REF, target
from reconciler.system.git.remote import Access, GitTransport, Remote, RemoteAddress, address_of, place_of
from reconciler.system.ownership import exposed
from reconciler.system.ownership import remedy as mend

#: Where a tip waits until it is known to be complete; the file with the tip that a remote named, for the parent.
INCOMING_REF = "refs/hagit/incoming"
TIP_FILE = "tip"

RECEIVED_BYTES_MAX = 256 << 20
#: A file of a repository's settings, and one with a key or a token.
CONFIG_BYTES_MAX = 1 << 20
SECRET_BYTES_MAX = 64 << 10
RECEIVED_OBJECTS_MAX = 500_000
#: A fetch leaves three quarters of what is free to the others on this file system, the watchdog's state among them.
FREE_PART = 4
#: The size of an object when it is inflated, by its type; and of all that are received at once.
OBJECT_BYTES_MAX = {
    ObjectType.COMMIT: 256 << 10,
    ObjectType.TREE: 4 << 20,
    ObjectType.BLOB: 16 << 20,
    ObjectType.TAG: 256 << 10,
}
INFLATED_BYTES_MAX = 512 << 20
NAMED_ENTRIES_MAX = 20_000
_SMALLER = "keep only the desired state in this repository, and replace its history if it holds more"


def transfer(received: Path, remote: Remote, branch: str, timeout_s: float, refused: Collection[str] = ()) -> str:
    """Fetch `branch` of `remote` into the quarantine `received`; the full id of its tip. A tip that is `refused` is
    only named, not fetched.

    Raises SourceError and its kinds, StateError for our own disk and permissions.
    """
    deadline_s = time.monotonic() + timeout_s
    where = str(remote)
    address = address_of(remote.url)
    name = f"refs/heads/{branch}"
    if not pygit2.reference_is_valid_name(name):
        raise SourceError(f"'{branch}' cannot be the name of a branch", where=where)
    if address.transport is GitTransport.LOCAL:
        _look_at_directory(Path(address.path), where)
    with hagit_errors(str(received)):
        repository = pygit2.Repository(str(received))
        callbacks = _Callbacks(address, remote.access, where, deadline_s, _room(received))
        known = target(repository, HEAD_REF)
        tip = _receive(repository, remote, address, name, callbacks, refused)
        if known == tip or str(tip) in refused:
            return str(tip)
        with hagit_errors(where):
            require_small(repository, received, tip, where)
            require_whole(repository, tip, known, where)
        repository.references.create(HEAD_REF, tip, force=True)
        return str(tip)


def _receive(
    repository: pygit2.Repository,
    remote: Remote,
    address: RemoteAddress,
    name: str,
    callbacks: _Callbacks,
    refused: Collection[str],
) -> pygit2.Oid:
    """The tip that the remote has for `name`, its objects being here afterwards."""
    # A path is given bare: as a URL its special characters would have to be quoted the way libgit2 unquotes them.
    url = address.path if address.transport is GitTransport.LOCAL else remote.url
    proxy: Literal[True] | None = True if address.transport is GitTransport.HTTPS else None
    try:
        connection = repository.remotes.create_anonymous(url)
        connection.connect(callbacks=callbacks, proxy=proxy)
        heads = {head.name or "": head.oid for head in connection.list_heads(connect=False)}
        known = target(repository, HEAD_REF)
        tip = _tip_among(heads, name, str(remote), emptied=known is not None)
        Path(repository.path, TIP_FILE).write_text(str(tip))
        if known != tip and str(tip) not in refused:
            connection.fetch([f"+{name}:{INCOMING_REF}"], callbacks=callbacks, proxy=proxy)
            tip = target(repository, INCOMING_REF) or tip
    except (pygit2.GitError, KeyError, ValueError, OSError) as error:
        if callbacks.refused_host is not None:
            raise refusal(address, remote.access, str(remote)) from error
        raise as_hagit_error(error, str(remote)) from error
    return tip


def _tip_among(heads: dict[str, pygit2.Oid], name: str, where: str, *, emptied: bool) -> pygit2.Oid:
    branches = {ref.removeprefix("refs/heads/"): oid for ref, oid in heads.items() if ref.startswith("refs/heads/")}
    branch = name.removeprefix("refs/heads/")
    if branch in branches:
        return branches[branch]
    if not branches and emptied:
        raise SourceError(
            f"the repository has no branch any more; '{branch}' was followed",
            where=where,
            remedy=f"push {branch} again, or name another branch in the Source resource",
        )
    if not branches:
        raise UnsupportedSource(
            "the repository is empty: it has no commit yet", where=where, remedy=f"commit to {branch} and push it"
        )
    nearest = difflib.get_close_matches(branch, branches, n=3, cutoff=0.4) or sorted(branches)[:3]
    raise SourceError(
        f"there is no branch '{branch}'", where=where, remedy=f"it has {len(branches)}, nearest: {', '.join(nearest)}"
    )


def require_whole(repository: pygit2.Repository, tip: pygit2.Oid, known: pygit2.Oid | None, where: str) -> None:
    """Walk everything that is new; a gap raises KeyError, too much raises UnsupportedSource."""
    if not isinstance(repository[tip], pygit2.Commit):
        raise SourceError(
            f"the branch names {str(tip)[:12]}, which is no commit but a {repository[tip].type_str}",
            where=where,
            remedy="let the branch name a commit: git push --force origin COMMIT^{commit}:refs/heads/BRANCH",
        )
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


def _room(received: Path) -> int:
    """How many bytes may be received into this directory."""
    status = os.statvfs(received)
    return status.f_bavail * status.f_frsize // FREE_PART


def require_small(repository: pygit2.Repository, received: Path, tip: pygit2.Oid, where: str) -> None:
    """Look at the size of every object that came, without inflating one. Raises UnsupportedSource."""
    total_bytes = 0
    for index in (received / "objects" / "pack").glob("pack-*.idx"):
        for number in _names_in(index):
            kind, size_bytes = repository.odb.read_header(number)
            total_bytes += size_bytes
            most = OBJECT_BYTES_MAX.get(ObjectType(kind), 0)
            if size_bytes > most:
                name = _name_of(repository, tip, number) or f"the {ObjectType(kind).name.lower()} {number}"
                raise UnsupportedSource(
                    f"{name}: {size_bytes / (1 << 20):.1f} MiB is more than {most / (1 << 20):g} MiB",
                    where=where,
                    remedy=_SMALLER,
                )
            if total_bytes > INFLATED_BYTES_MAX:
                raise UnsupportedSource(
                    f"what came has more than {INFLATED_BYTES_MAX >> 20} MiB when it is inflated",
                    where=where,
                    remedy=_SMALLER,
                )


def _name_of(repository: pygit2.Repository, tip: pygit2.Oid, number: pygit2.Oid) -> str:
    """The path of an object in the newest tree, for people; empty where it is in none of the first entries."""
    commit: object = repository[tip]
    folders: list[tuple[str, pygit2.Tree]] = [("", commit.tree)] if isinstance(commit, pygit2.Commit) else []
    seen = 0
    while folders:
        above, folder = folders.pop()
        for entry in folder:
            seen += 1
            if seen > NAMED_ENTRIES_MAX:
                return ""
            path = f"{above}{os.fsdecode(entry.raw_name or b'')}"
            if entry.id == number:
                return path if path.isprintable() else ascii(path)
            if isinstance(entry, pygit2.Tree):
                folders.append((f"{path}/", entry))
    return ""


def _names_in(index: Path) -> Iterator[pygit2.Oid]:
    """The objects of a pack index, gitformat-pack(5), version 2."""
    content = index.read_bytes()
    count = int.from_bytes(content[8 + 255 * 4 : 8 + 256 * 4], "big")
    for at in range(count):
        yield pygit2.Oid(raw=content[8 + 1024 + at * 20 : 8 + 1024 + at * 20 + 20])


class _Callbacks(pygit2.RemoteCallbacks):
    """libgit2's questions: who are we, is this the right host, shall it go on."""

    def __init__(self, address: RemoteAddress, access: Access, where: str, deadline_s: float, room_bytes: int) -> None:
        super().__init__()
        self.refused_host: str | None = None
        self._room_bytes = room_bytes
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
                remedy=_SMALLER,
            )
        if stats.received_bytes > self._room_bytes:
            raise StateError(
                f"nothing can be written: the remote sends more than {self._room_bytes >> 20} MiB, a quarter of what "
                "is free here",
                where=self._where,
                remedy="make room on this filesystem",
            )
        if time.monotonic() > self._deadline_s:
            raise TimeoutError("timed out while receiving")


def _secret(file: Path, where: str) -> str:
    """The content of a file with a key or a token, provided that no other user can read it."""
    try:
        if file.stat().st_mode & 0o077:
            raise SourceError(
                f"{file} can be read by others, so it is not used",
                where=where,
                remedy=f"chmod 600 {shlex.quote(str(file))}",
            )
        if why := exposed(file):
            raise SourceError(
                f"{file} is not used, because others could replace it: {why}", where=where, remedy=mend(why)
            )
        with open_regular(file) as opened:
            return opened.read(SECRET_BYTES_MAX).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {file}: {error}", where=where, remedy="check the node file") from error
