"""The exports in the words of rpc.mountd's table, `etab`: one line for each client of an export. Pure.

Every option is written out, so no default of a release of nfs-utils matters. mountd stops reading at the first line
that it does not understand, so each value is checked here and a bad one concerns its own export only. Does not know
whether a path exists. Sources: exports(5), support/nfs/exports.c and support/nfs/xio.c of nfs-utils 2.6.2.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from reconciler.core.shares.shares import ExportAccess, NfsClients, NfsExport, Squash

#: Space for the identifiers of file systems: another one would make every handle of every client stale.
NAMESPACE: Final = uuid.UUID("8d4c2f1a-5b0e-4c56-9d5a-3f6e1c7b9a42")
#: getexportent() reads a client and its options into 512 bytes.
ENTRY_BYTES_MAX: Final = 500
#: PATH_MAX of linux/limits.h, with the byte at its end.
PATH_BYTES_MAX: Final = 4_095
FLAVOURS: Final = ("sys", "krb5", "krb5i", "krb5p", "null", "none")
ANYBODY: Final = "*"
_HOST_NAME: Final = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.?")
_SPECIAL: Final = re.compile(rb"[^A-Za-z0-9/._+:@%=~-]")
_SQUASH: Final = {
    Squash.ROOT: "root_squash,no_all_squash",
    Squash.ALL: "root_squash,all_squash",
    Squash.NONE: "no_root_squash,no_all_squash",
}


class UnfitExport(Exception):
    """An export that mountd could not read. The text says why."""


def file_system_identifier(guid: str, path: str | None) -> str:
    """Return the fsid of an export: a UUID that follows from the GUID of its dataset and the path in it.

    Handles of clients contain it, so it must be the same on both controllers and after every start.
    """
    return str(uuid.uuid5(NAMESPACE, f"{guid}/{path or ''}"))


def is_host_name(hosts: str) -> bool:
    """Whether these clients are given by a host name, which has to be resolved."""
    return hosts != ANYBODY and not _network(hosts) and _HOST_NAME.fullmatch(hosts) is not None


def export_lines(export: NfsExport, directory: str, guid: str, resolved: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the lines of one export, without the ends of the lines. Raises UnfitExport.

    `directory`: its absolute path here. `resolved`: the addresses of host names; a name that is missing there gets no
    line. mountd would ask DNS for each name, one after another, before it answers any client.
    """
    place = escaped_path(directory)
    fsid = file_system_identifier(guid, export.path)
    lines = []
    for clients in export.clients:
        for hosts in _hosts(clients.hosts, resolved):
            entry = f"{hosts}({_options(clients, fsid, whole=export.path is None)})"
            if len(entry) > ENTRY_BYTES_MAX:
                raise UnfitExport(f"the options for {clients.hosts} are too long")
            lines.append(f"{place}\t{entry}")
    return lines


def escaped_path(path: str) -> str:
    """Return the path with octal escapes. Raises UnfitExport for one that mountd cannot read back."""
    data = path.encode(errors="surrogateescape")
    if len(data) > PATH_BYTES_MAX:
        raise UnfitExport(f"its path has more than {PATH_BYTES_MAX} bytes")
    if b"\\" in data or any(byte < 32 or byte == 127 for byte in data):
        raise UnfitExport("its path has a backslash or a control character, which rpc.mountd does not read")
    return _SPECIAL.sub(lambda match: b"\\%03o" % match[0][0], data).decode("ascii")


def path_of(line: str) -> str:
    """Return the path in one line of the table."""
    octal = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.partition("\t")[0])
    return octal.encode("latin-1", errors="replace").decode(errors="surrogateescape")


def _hosts(hosts: str, resolved: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if hosts == ANYBODY:
        return (ANYBODY,)
    if is_host_name(hosts):
        return resolved.get(hosts, ())
    if network := _network(hosts):
        return (network,)
    raise UnfitExport(f"{hosts!r} is no address, network or host name")


@lru_cache(maxsize=4_096)
def _network(hosts: str) -> str:
    """Return an address or a network in the kernel's form, "" for any other text."""
    try:
        network = ipaddress.ip_network(hosts, strict=False)
    except ValueError:
        return ""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _options(clients: NfsClients, fsid: str, *, whole: bool) -> str:
    if not clients.security or any(flavour not in FLAVOURS for flavour in clients.security):
        raise UnfitExport(f"sec={':'.join(clients.security)} is not known; exports(5) has {', '.join(FLAVOURS[:4])}")
    access = "ro" if clients.access is ExportAccess.READ_ONLY else "rw"
    words = [
        access, "sync", "no_wdelay", "hide", "nocrossmnt", "secure", _SQUASH[clients.squash], "no_subtree_check",
        "secure_locks", "acl", "no_pnfs", f"fsid={fsid}",
        # mountd itself refuses the directory under a dataset that is not mounted.
        *(("mountpoint",) if whole else ()),
        f"anonuid={clients.anonymous_uid:d}", f"anongid={clients.anonymous_gid:d}", f"sec={':'.join(clients.security)}",
    ]  # fmt: skip
    return ",".join(words)
