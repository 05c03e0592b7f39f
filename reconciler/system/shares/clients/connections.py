"""The clients' connections as a file on the state filesystem of the pool: written by the active controller, read after
a takeover by the next one.

The file comes with the pool, so it needs no message between the controllers and outlives both; the filesystem has
`sync=always`, so it is durable when it is written. Decides what a usable file is: whatever wrote it, every line is
checked against the addresses and ports that are served. Sends nothing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from reconciler.core.failover.strict_json import Defect, build, canonical, parse, quoted
from reconciler.system.atomic_file import replace_file
from reconciler.system.findings import Finding
from reconciler.system.shares.clients.services import ServicePoints

NAME: Final = "clients.json"
FORMAT: Final = "hagit.connections/1"
#: As many as the strict decoder takes in one list.
CONNECTIONS_MAX: Final = 4_096
#: The longest file of that many connections has 600 kB.
FILE_BYTES_MAX: Final = 1 << 20
#: The file is written at most this often, in seconds.
WRITE_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True, order=True)
class ClientConnection:
    """One TCP connection of a client: virtual address and port, and the client's. Addresses as Python prints them."""

    address: str
    port: int
    client: str
    client_port: int


@dataclass(frozen=True, slots=True)
class _Document:
    format: str
    connections: tuple[ClientConnection, ...]


class ConnectionFile:
    """The file in `state`, the mount point of the state filesystem. One process writes at a time."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._path = state / NAME
        self._written: tuple[ClientConnection, ...] | None = None
        self._written_s = -WRITE_EVERY_S

    def write(self, connections: Sequence[ClientConnection]) -> Finding | None:
        """Replace the file if the connections changed since the last call and WRITE_EVERY_S has passed.

        Writes nothing while no filesystem is mounted there: the file would stay on this controller.
        """
        wanted = tuple(connections)
        now_s = time.monotonic()
        if wanted == self._written or now_s - self._written_s < WRITE_EVERY_S:
            return None
        try:
            if not self._state.is_mount():
                return _unwritten(f"no filesystem is mounted at {self._state}")
            replace_file(self._path, encode_connections(wanted))
        except OSError as problem:
            return _unwritten(f"{self._path}: {problem.strerror}")
        self._written, self._written_s = wanted, now_s
        return None

    def load(self) -> bytes | Finding:
        """Return the bytes of the file, unchecked and at most one more than allowed; none if there is no file."""
        try:
            return _read_file(self._path)
        except FileNotFoundError:
            return b""
        except OSError as problem:
            return _unread(self._path, problem.strerror or str(problem))

    def decode(self, data: bytes, points: ServicePoints) -> tuple[ClientConnection, ...] | Finding:
        """Return the connections to these service points in the bytes of a file."""
        if not data:
            return ()
        if len(data) > FILE_BYTES_MAX:
            return _unread(self._path, f"longer than {FILE_BYTES_MAX} bytes, or no regular file")
        try:
            return decode_connections(data, points)
        except Defect as defect:
            return _unread(self._path, str(defect))


def encode_connections(connections: Sequence[ClientConnection]) -> bytes:
    """Return the bytes of the file: one line of canonical JSON, sorted, of at most CONNECTIONS_MAX connections."""
    return canonical(_Document(FORMAT, tuple(sorted(set(connections))[:CONNECTIONS_MAX]))) + b"\n"


def decode_connections(data: bytes, points: ServicePoints) -> tuple[ClientConnection, ...]:
    """Return the connections in the file whose address and port are among these points. Raises Defect."""
    document = build(_Document, parse(data), "clients")
    if document.format != FORMAT:
        raise Defect("clients.format", "a newer hagit wrote it")
    addresses, ports = frozenset(points.addresses), frozenset(points.ports)
    found = dict.fromkeys(_checked(connection) for connection in document.connections)
    return tuple(
        connection
        for connection in found
        # Shares change: an address of yesterday is no defect, but no packet leaves with it.
        if connection.address in addresses and connection.port in ports and connection.client not in addresses
    )


def is_client_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether a client on the network may have this address: unicast, and the same on each controller."""
    return not (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address == IPv4Address("255.255.255.255")
    )


def _checked(connection: ClientConnection) -> ClientConnection:
    here, there = _address(connection.address), _address(connection.client)
    if here.version != there.version or not is_client_address(there):
        raise Defect("clients.connections", f"{there} cannot be a client of {here}")
    if not (0 < connection.port < 65_536 and 0 < connection.client_port < 65_536):
        raise Defect("clients.connections", "a port from 1 to 65535")
    return connection


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise Defect("clients.connections", f"{quoted(text)} is no address") from None
    if str(address) != text or (isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped)):
        raise Defect("clients.connections", f"{quoted(text)} is not the plain form of an address")
    return address


def _read_file(path: Path) -> bytes:
    """Return at most one byte more than allowed; all of that for what is no regular file. Raises OSError."""
    # Without O_NONBLOCK a FIFO would be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return bytes(FILE_BYTES_MAX + 1)
    with os.fdopen(handle, "rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def _unwritten(why: str) -> Finding:
    text = "the clients' connections are not written to the pool: after a takeover clients may wait longer"
    return Finding("clients-unwritten", text, why, "look at the state filesystem: zfs list -o name,mounted,mountpoint")


def _unread(path: Path, why: str) -> Finding:
    text = "the list of the clients' connections is not usable: clients connect again when their own timers expire"
    return Finding("clients-unread", text, f"{path}: {why}", f"rm {path}; the active controller writes it anew")
