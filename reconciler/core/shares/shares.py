"""Shares of a pair: NFS exports, iSCSI targets, and what all shares of one protocol have in common.

Both controllers have the same shares. Identities that clients remember (file system identifiers, unit serial numbers)
are not here: a server derives them from the GUIDs of the datasets, so they come with the pools. Holds no secret: CHAP
passwords stay in files of the controllers, and a share gives their names only. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: The name of the state dataset below its pool, and where it is mounted.
STATE_NAME: Final = "hagit-state"
STATE_MOUNTPOINT: Final = "/var/lib/hagit/pool-state"
#: The name of a CHAP secret: a bare key of TOML, because the node file gives its file.
SECRET_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"


class Protocol(StrEnum):
    """A protocol that clients speak."""

    NFS = "nfs"
    ISCSI = "iscsi"


class ExportAccess(StrEnum):
    """What a client may do with an export, in the words of exports(5)."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"


class Squash(StrEnum):
    """Which users of a client become the anonymous user, in the words of exports(5)."""

    ROOT = "root_squash"
    ALL = "all_squash"
    NONE = "no_root_squash"


@dataclass(frozen=True, slots=True)
class NfsClients:
    """Who may use an export, and how: one entry of exports(5).

    `hosts`: one address, one network as ADDRESS/PREFIX, one host name, or `*`. `security`: the flavours of `sec=`, in
    the order in which they are offered. `anonymous_uid`, `anonymous_gid`: the user that squashed users become.
    """

    hosts: str
    access: ExportAccess = ExportAccess.READ_WRITE
    squash: Squash = Squash.ROOT
    security: tuple[str, ...] = ("sys",)
    anonymous_uid: int = 65_534
    anonymous_gid: int = 65_534


@dataclass(frozen=True, slots=True)
class NfsExport:
    """One export. `name`: of the resource. `dataset`: the whole name of a filesystem.

    `path`: relative to the mount point of the dataset; None is all of it.
    """

    name: str
    dataset: str
    clients: tuple[NfsClients, ...]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class NfsServer:
    """What all exports have in common.

    `addresses`: the virtual addresses at which clients find the server, without prefix lengths. `versions`: those that
    are served, of "3", "4.0", "4.1" and "4.2". `lease_s` and `grace_s`: as in nfsd(7).
    """

    addresses: tuple[str, ...]
    versions: tuple[str, ...] = ("4.1", "4.2")
    threads: int = 16
    lease_s: int = 15
    grace_s: int = 15


@dataclass(frozen=True, slots=True)
class Chap:
    """Credentials of CHAP (RFC 7143, 12.1.3). `secret`: the name under which the node file gives the file."""

    user: str
    secret: str


@dataclass(frozen=True, slots=True)
class Initiator:
    """A machine that may log in. `chap`: how it proves itself; `mutual`: how the target proves itself to it."""

    iqn: str
    chap: Chap | None = None
    mutual: Chap | None = None


@dataclass(frozen=True, slots=True)
class Lun:
    """One logical unit. `dataset`: the whole name of a volume."""

    number: int
    dataset: str


@dataclass(frozen=True, slots=True)
class IscsiTarget:
    """One target with a single portal group. `addresses`: its portals, virtual addresses without prefix lengths."""

    name: str
    iqn: str
    addresses: tuple[str, ...]
    luns: tuple[Lun, ...]
    initiators: tuple[Initiator, ...]


@dataclass(frozen=True, slots=True)
class IscsiServer:
    """What all targets have in common. `port`: of every portal. `nop_s`: when a silent initiator is asked (nopin)."""

    port: int = 3_260
    nop_s: int = 5
    login_s: int = 10


@dataclass(frozen=True, slots=True)
class Shares:
    """All shares of a pair.

    `hostname`: the virtual host name, if there is one. `state`: the filesystem that keeps what the servers know of
    their clients; it lies in a shared pool and so comes with it. None without shares. `nfs` is None exactly if there
    are no exports, and `iscsi` exactly if there are no targets.
    """

    pair: str
    hostname: str | None = None
    state: str | None = None
    nfs: NfsServer | None = None
    exports: tuple[NfsExport, ...] = ()
    iscsi: IscsiServer | None = None
    targets: tuple[IscsiTarget, ...] = ()

    def names(self) -> Iterator[tuple[Protocol, str]]:
        """Every share: its protocol and name, in the order of the resources."""
        yield from ((Protocol.NFS, export.name) for export in self.exports)
        yield from ((Protocol.ISCSI, target.name) for target in self.targets)

    def __bool__(self) -> bool:
        """Whether there is anything to serve."""
        return bool(self.exports or self.targets)
