"""The kernel's NFS server through its own file system, /proc/fs/nfsd (nfsd(7)), and the caches of its exports.

Decides nothing: each function does one thing or reads one. Writing may wait in the kernel, for as long as a dataset
does not answer; the caller has a deadline. Sources: fs/nfsd/nfsctl.c, nfssvc.c and net/sunrpc/svcsock.c of Linux 6.1.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reconciler.system.shares.nfs.mounted_datasets import MOUNTS
from reconciler.system.zfs import tools

NFSD: Final = Path("/proc/fs/nfsd")
PIPES: Final = Path("/run/rpc_pipefs")
CACHES: Final = Path("/proc/net/rpc")
TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
PORT: Final = 2_049
#: TCP_LISTEN of include/net/tcp_states.h.
_LISTEN: Final = "0A"
#: Connections that wait to be accepted: after a failover all clients come at once.
BACKLOG: Final = 1_024
#: Caches of addresses, of exports and of handles, in the order in which exportfs(8) flushes them.
FLUSHED: Final = ("auth.unix.ip", "auth.unix.gid", "nfsd.fh", "nfsd.export")
MODULE_S: Final = 20.0
#: Bytes of the list of exports in use that are read: more than 1,000 exports.
EXPORTS_BYTES_MAX: Final = 1 << 20
#: linux/in.h, linux/in6.h: a socket may be bound to an address that is not here yet.
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78
_CLONE_NEWUTS: Final = 0x04000000


def has_module() -> bool:
    """Whether this kernel has the server, or a module with it."""
    if "nfsd" in Path("/proc/filesystems").read_text().split():
        return True
    return any(Path("/lib/modules", os.uname().release, "kernel/fs/nfsd").glob("nfsd.ko*"))


def mount_file_systems() -> str:
    """Mount nfsd's file system and the one of its pipes where they are missing. Returns the problem, or ""."""
    filesystems = Path("/proc/filesystems").read_text().split()
    if "nfsd" not in filesystems and (fault := tools.fault_of(tools.run(["modprobe", "nfsd"], deadline_s=MODULE_S))):
        return f"the kernel module nfsd cannot be loaded: {fault}"
    if not (NFSD / "threads").exists() and (fault := _mount("nfsd", NFSD)):
        return f"nfsd's file system cannot be mounted at {NFSD}: {fault}"
    if pipes() is None:
        with contextlib.suppress(OSError):
            PIPES.mkdir(exist_ok=True)
        if fault := _mount("rpc_pipefs", PIPES):
            return f"rpc_pipefs cannot be mounted at {PIPES}: {fault}"
    return ""


def pipes() -> Path | None:
    """Return where rpc_pipefs is mounted, None if it is not."""
    for line in MOUNTS.read_text(errors="replace").splitlines():
        head, _, tail = line.partition(" - ")
        if tail.startswith("rpc_pipefs "):
            return Path(head.split()[4])
    return None


def threads() -> int:
    """Return the number of nfsd's threads; 0 also if the kernel has no nfsd."""
    return _number("threads")


def set_threads(count: int, scope: str) -> None:
    """Set the number of threads; the first one starts the server. Raises OSError.

    The kernel takes the server's owner and scope (RFC 8881, 2.10.4) from the host name of the thread that writes here,
    and nfs-utils 2.6.2 has no option for it. So a thread of its own writes, in a UTS namespace of its own.
    """
    fault: list[OSError] = []

    def write() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(_CLONE_NEWUTS):
                number = ctypes.get_errno()
                raise OSError(number, f"no UTS namespace: {os.strerror(number)}")
            socket.sethostname(scope)
            _write("threads", f"{count}\n")
        except OSError as error:
            fault.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join()
    if fault:
        raise fault[0]


def end_threads() -> None:
    """End all threads: the server closes its connections and drops all state of its clients. Raises OSError."""
    _write("threads", "0\n")


def settings() -> dict[str, str]:
    """Return lease and grace time and versions of the server, as the kernel prints them."""
    return {name: _read(name) for name in ("nfsv4leasetime", "nfsv4gracetime", "versions")}


def configure(lease_s: int, grace_s: int, versions: Iterable[str]) -> None:
    """Set what the kernel takes only while there is no server. Raises OSError."""
    _write("nfsv4leasetime", f"{lease_s}\n")
    _write("nfsv4gracetime", f"{grace_s}\n")
    _write("versions", version_words(versions) + "\n")


def version_words(versions: Iterable[str]) -> str:
    """Return the versions in the words of nfsd(7). Pure."""
    wanted = set(versions)
    words = ["-2", "+3" if "3" in wanted else "-3", "+4" if wanted - {"3"} else "-4"]
    # "+4" switches all minor versions on unless one is on already, so each of them is named.
    words += [f"{'+' if minor in wanted else '-'}{minor}" for minor in ("4.0", "4.1", "4.2")]
    return " ".join(words)


def has_listeners() -> bool:
    """Whether the server has any listener; the kernel does not print their addresses."""
    return bool(_read("portlist").strip())


def listeners() -> set[str]:
    """Return the addresses of this controller at which the port of NFS is listened at, from /proc/net/tcp and tcp6."""
    found = set()
    for table in TABLES:
        with contextlib.suppress(OSError), table.open() as lines:
            next(lines, "")
            for line in lines:
                fields = line.split()
                # The kernel prints listeners before all connections.
                if len(fields) < 4 or fields[3] != _LISTEN:
                    break
                address, _, port = fields[1].partition(":")
                if int(port, 16) == PORT:
                    found.add(str(_address(address)))
    return found


def listen(address: str) -> None:
    """Listen at one address, which need not be on this controller yet. Raises OSError.

    At the virtual addresses only: a mount by an address of one controller would not survive a failover.
    """
    version = ipaddress.ip_address(address).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if version == 4:
            bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        bound.bind((address, PORT))
        bound.listen(BACKLOG)
        # The kernel keeps a reference of its own.
        _write("portlist", f"{bound.fileno()}\n")


def in_grace() -> bool:
    """Whether clients may still reclaim what they had, and new opens and locks wait."""
    return _read("v4_end_grace").startswith("N")


def flush_caches() -> None:
    """Make the kernel ask mountd anew for every client, export and handle. Raises OSError."""
    for name in FLUSHED:
        place = CACHES / name / "flush"
        if place.exists():
            place.write_text("1\n")


def exports_in_use() -> set[str]:
    """Return the paths that the kernel exports now, apart from directories that only lead to exports."""
    found = set()
    for line in _read("exports", EXPORTS_BYTES_MAX).splitlines():
        path, tab, entry = line.partition("\t")
        if tab and not line.startswith("#") and "v4root" not in entry:
            found.add(path)
    return found


def escaped(path: str) -> str:
    """Return a path as the kernel prints it in its list of exports (seq_path). Pure."""
    return "".join(f"\\{ord(sign):03o}" if sign in " \t\n\\" else sign for sign in path)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address of /proc/net/tcp: words of 32 bits, each in the machine's own order of bytes."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))


def _number(name: str) -> int:
    text = _read(name).strip()
    return int(text) if text.isdigit() else 0


def _read(name: str, limit: int = 65_536) -> str:
    try:
        with (NFSD / name).open("rb") as file:
            return file.read(limit).decode(errors="surrogateescape")
    except OSError:
        return ""


def _write(name: str, text: str) -> None:
    # One write(2) for the whole text: each one is a command.
    handle = os.open(NFSD / name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _mount(kind: str, place: Path) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), os.fsencode(place), kind.encode(), 0, None):
        return os.strerror(ctypes.get_errno())
    return ""
