"""Where a source lives: the URL of a remote taken apart, and what this controller needs to be let in.

Decides which URLs are acceptable. It connects to nothing. Plain `git://` and `http://` are refused because any
machine on the way could answer; a password inside a URL is refused because the URL stands in git.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler.errors import SourceError

#: `git@host:path`, as in git-fetch(1): no slash before the first colon.
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>\[[^\]]+\]|[^/:]+):(?P<path>.+)")


class GitTransport(Enum):
    """How a remote is reached."""

    LOCAL = "local"
    SSH = "ssh"
    HTTPS = "https"


#: The usual ones.
PORTS: Final[Mapping[GitTransport, int]] = {GitTransport.SSH: 22, GitTransport.HTTPS: 443}


@dataclass(frozen=True, slots=True)
class Access:
    """What this controller needs to be let in: names of files, never their content.

    `known_hosts_file` None means the user's own `~/.ssh/known_hosts`; `ssh_key_file` None means the ssh-agent, if
    there is one. `token_file` holds `user:token` in one line, for https; `ca_file` PEM certificates for https.
    `hosts`: where key and token may be used, as `host:port` (`place_of`). A commit names remotes, and only the node
    file names these hosts: a remote elsewhere gets neither, also by a redirect.
    """

    ssh_key_file: Path | None = None
    known_hosts_file: Path | None = None
    ca_file: Path | None = None
    token_file: Path | None = None
    hosts: frozenset[str] = frozenset()


NO_ACCESS = Access()


@dataclass(frozen=True, slots=True)
class Remote:
    """One place to fetch from. `name` is what messages call it; the URL is used when it is empty."""

    url: str
    name: str = ""
    access: Access = NO_ACCESS

    def __str__(self) -> str:
        return self.name or shown(self.url)


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """A URL taken apart. `port` 0 is the usual one; `path` is a local directory for LOCAL."""

    transport: GitTransport
    host: str
    port: int
    user: str
    path: str


def place_of(address: RemoteAddress) -> str:
    """Host and port of a remote, `git.example.org:443`; empty for a local one."""
    if address.transport is GitTransport.LOCAL:
        return ""
    port = address.port or PORTS[address.transport]
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host.lower()}:{port}"


def places_of(urls: Iterable[str]) -> frozenset[str]:
    """Host and port of every remote that can be read as one."""
    found = set()
    for url in urls:
        with contextlib.suppress(SourceError):
            found.add(place_of(address_of(url)))
    return frozenset(found - {""})


def address_of(url: str) -> RemoteAddress:
    """Take `url` apart. Raises SourceError for what hagit does not follow, with what to write instead."""
    if url.startswith("/"):
        return RemoteAddress(GitTransport.LOCAL, "", 0, "", url)
    if "://" not in url:
        return _scp_like(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError as error:
        raise SourceError(f"not a URL: {error}", where=url) from None
    if parts.password is not None or (parts.username is not None and parts.scheme == "https"):
        raise SourceError(
            "the URL holds a password or a token, and everybody who reads the repository reads it too",
            where=shown(url),
            remedy="take it out, and write it as user:token into the token file named in the node file",
        )
    match parts.scheme:
        case "file":
            if host not in ("", "localhost"):
                raise SourceError(f"a file URL cannot name another host ({host})", where=url)
            return RemoteAddress(GitTransport.LOCAL, "", 0, "", unquote(parts.path))
        case "ssh" | "git+ssh" | "ssh+git":
            transport = GitTransport.SSH
        case "https":
            transport = GitTransport.HTTPS
        case "http" | "git":
            raise SourceError(
                f"{parts.scheme}:// is neither encrypted nor authenticated, so any machine on the way could answer",
                where=url,
                remedy="use https://, ssh:// or a local path",
            )
        case other:
            raise SourceError(
                f"hagit does not fetch by {other}://", where=url, remedy="use https://, ssh:// or a local path"
            )
    if not host or not parts.path.strip("/"):
        raise SourceError("the URL names no host or no repository", where=url)
    return RemoteAddress(transport, host, port, parts.username or "", parts.path)


def _scp_like(url: str) -> RemoteAddress:
    found = _SCP_LIKE.fullmatch(url)
    if found is None:
        raise SourceError(
            "a relative path means something else in every working directory",
            where=url,
            remedy="write an absolute path, or a URL with https:// or ssh://",
        )
    return RemoteAddress(GitTransport.SSH, found["host"].strip("[]"), 0, found["user"] or "", found["path"])


def shown(url: str) -> str:
    """A URL as it may be printed and kept: without a password, and without what could be a token."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at and (":" in user or not scheme.endswith("ssh")):
        user = "***"
    return f"{scheme}://{user}{at}{host}{slash}{path.partition('?')[0]}"
