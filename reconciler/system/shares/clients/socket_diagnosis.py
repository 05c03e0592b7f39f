"""SocketDiagnosis: the TCP sockets of the service points, listed and destroyed through sock_diag(7).

The kernel lists the sockets of its own servers (nfsd, the iSCSI target) like those of programs. Destroying ends a
socket as `ss --kill` does, with a RST that the port filter has to drop. Requests are those of linux/inet_diag.h.
Listening sockets stay: their server closes them.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Final, Self

from reconciler.system.findings import Finding
from reconciler.system.netlink import wire
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.shares.clients.connections import CONNECTIONS_MAX, ClientConnection, is_client_address
from reconciler.system.shares.clients.services import ServicePoints

NETLINK_SOCK_DIAG: Final = 4
BY_FAMILY, DESTROY = 20, 21
#: Sockets that appear while the others are destroyed: a request that was in the kernel when the filter closed.
PASSES: Final = 2

_REQUEST: Final = struct.Struct("=BBBxI")  # inet_diag_req_v2 up to its id: family, protocol, extensions, states
_MESSAGE: Final = struct.Struct("=BBxx")  # inet_diag_msg up to its id: family, state
_ID: Final = struct.Struct("!HH16s16s")  # inet_diag_sockid without interface and cookie
_ID_BYTES: Final = 48
_NO_COOKIE: Final = b"\xff" * 8
#: States of linux/tcp_states.h.
ESTABLISHED, TIME_WAIT, CLOSED, LISTEN = 1, 6, 7, 10
_ALL: Final = (1 << 13) - 2
_CONNECTED: Final = _ALL & ~(1 << CLOSED | 1 << LISTEN)
_MAPPED: Final = bytes(10) + b"\xff\xff"


class SocketDiagnosis:
    """A channel to the kernel in the network namespace of the calling thread. Closes itself at the end of `with`."""

    def __init__(self) -> None:
        self._channel: NetlinkChannel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._channel.close()

    def connections(self, points: ServicePoints) -> tuple[ClientConnection, ...] | Finding:
        """Return the established connections to these points, sorted, at most CONNECTIONS_MAX.

        Leaves out clients on this controller and clients with an address that means something on one link only.
        """
        try:
            found = {
                ClientConnection(here, _ID.unpack_from(identity)[0], str(there), _ID.unpack_from(identity)[1])
                for _, _, identity, here, there in self._sockets(points, 1 << ESTABLISHED)
                if is_client_address(there) and str(there) not in points.addresses
            }
        except (KernelRefused, Unreadable, wire.MalformedMessage, OSError) as problem:
            return _unlisted(problem)
        return tuple(sorted(found)[:CONNECTIONS_MAX])

    def destroy(self, points: ServicePoints) -> int | Finding:
        """Destroy all connected sockets of these points, also half-open and closing ones; return how many ended.

        Older kernels keep sockets in TIME-WAIT. These are harmless: a new connection replaces them (RFC 6191).
        """
        ended = 0
        try:
            for _ in range(PASSES):
                for family, state, identity, _, _ in list(self._sockets(points, _CONNECTED)):
                    ended += self._end(family, state, identity)
        except KernelRefused as refused:
            return _undestroyed(str(refused)) if refused.code == errno.EOPNOTSUPP else _unlisted(refused)
        except (Unreadable, wire.MalformedMessage, OSError) as problem:
            return _unlisted(problem)
        return ended

    def check(self) -> Finding | None:
        """Return why `destroy` would fail: the kernel's answer for a socket that does not exist."""
        loopback = socket.inet_aton("127.0.0.1") + bytes(12)
        nowhere = _ID.pack(1, 1, loopback, loopback) + bytes(4) + _NO_COOKIE
        try:
            self._end(socket.AF_INET, ESTABLISHED, nowhere)
        except KernelRefused as refused:
            return _undestroyed(str(refused))
        except (Unreadable, wire.MalformedMessage, OSError) as problem:
            return _unlisted(problem)
        return None

    def _sockets(
        self, points: ServicePoints, states: int
    ) -> Iterator[tuple[int, int, bytes, str, IPv4Address | IPv6Address]]:
        """Family, state and kernel's identity of each socket, its address here and there."""
        addresses = frozenset(points.addresses)
        if not addresses:
            return
        if self._channel is None:
            self._channel = NetlinkChannel(NETLINK_SOCK_DIAG)
        for family in (socket.AF_INET, socket.AF_INET6):
            for port in points.ports:
                wanted = _ID.pack(port, 0, bytes(16), bytes(16)) + bytes(4) + _NO_COOKIE
                body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states) + wanted
                for payload in self._channel.dump(BY_FAMILY, body, BY_FAMILY):
                    of_family, state = wire.header(_MESSAGE, payload)
                    identity = payload[_MESSAGE.size : _MESSAGE.size + _ID_BYTES]
                    if len(identity) < _ID_BYTES:
                        raise wire.MalformedMessage(f"socket of {len(payload)} bytes")
                    _, _, source, destination = _ID.unpack_from(identity)
                    here = str(_address(of_family, source))
                    if here in addresses:
                        yield of_family, state, identity, here, _address(of_family, destination)

    def _end(self, family: int, state: int, identity: bytes) -> int:
        """1 if the socket ended, 0 if it was gone or the kernel does not end sockets of its state."""
        if self._channel is None:
            self._channel = NetlinkChannel(NETLINK_SOCK_DIAG)
        try:
            body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ALL) + identity
            self._channel.request(DESTROY, 0, body)
        except KernelRefused as refused:
            if refused.code == errno.ENOENT or (refused.code == errno.EOPNOTSUPP and state == TIME_WAIT):
                return 0
            raise
        return 1


def _address(family: int, raw: bytes) -> IPv4Address | IPv6Address:
    """An address; one of IPv4 on a socket of IPv6 is one of IPv4."""
    if family == socket.AF_INET:
        return IPv4Address(raw[:4])
    return IPv4Address(raw[12:]) if raw.startswith(_MAPPED) else IPv6Address(raw)


def _unlisted(problem: Exception) -> Finding:
    text = "the TCP connections of the shares cannot be listed: clients may wait longer after a move"
    remedy = "try it by hand: ss -tn; the kernel needs CONFIG_INET_DIAG (module tcp_diag)"
    return Finding("sockets-unlisted", text, str(problem)[:200], remedy)


def _undestroyed(why: str) -> Finding:
    text = "the kernel does not destroy sockets: a client that comes back within minutes may wait a second longer"
    return Finding("sockets-undestroyed", text, why[:200], "use a kernel with CONFIG_INET_DIAG_DESTROY")
