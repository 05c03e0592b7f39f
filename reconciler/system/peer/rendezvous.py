"""How two controllers that do not know each other's address meet: over IPv6 link-local multicast on their links.

The host listens for connections on one TCP port, and answers datagrams on the UDP port of the same number; the joiner
sends one to all nodes of each link (ff02::1, RFC 4291 2.7.1) and connects to those that answer. An answer proves
nothing, and has the length of the question: only the code counts. Any machine on the link may answer, so each is tried.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from reconciler.errors import PeerError, PeerErrorCode
from reconciler.system.peer.connections import Connections

ALL_NODES: Final = "ff02::1"
QUESTION: Final = b"hagit enrol 1 ?"
ANSWER: Final = b"hagit enrol 1 !"
#: Time between two questions on each link.
ASK_S: Final = 0.5
#: How long others are waited for after the first machine has answered and was not the right one.
OTHERS_S: Final = 1.0
DATAGRAM_BYTES_MAX: Final = 64
BACKLOG: Final = 8


class Meeting:
    """The host's end: waits for joiners on every address of this controller, or on those of one link."""

    def __init__(self, port: int, link: str = "") -> None:
        """Raises PeerError (failed) when the port is in use, or there is no such link."""
        self._tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            for sock in (self._tcp, self._udp):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if link:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
                sock.bind(("::", port))
            self._tcp.listen(BACKLOG)
        except OSError as error:
            self.close()
            remedy = "another `hagit enroll` may run here" if error.errno == errno.EADDRINUSE else "see: ip link"
            raise PeerError(
                PeerErrorCode.FAILED, f"cannot wait for the other controller: {error.strerror}", f"port {port}", remedy
            ) from error

    def joiner(self, deadline_s: float) -> socket.socket | None:
        """The next machine that connects; None at `deadline_s` of the monotonic clock."""
        while (left_s := deadline_s - time.monotonic()) > 0:
            ready, _, _ = select.select([self._tcp, self._udp], [], [], left_s)
            if self._udp in ready:
                self._answer()
            if self._tcp in ready:
                with contextlib.suppress(OSError):
                    return self._tcp.accept()[0]
        return None

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            data, place = self._udp.recvfrom(DATAGRAM_BYTES_MAX)
            if data == QUESTION:
                self._udp.sendto(ANSWER, place)

    def close(self) -> None:
        """Stop listening."""
        self._tcp.close()
        self._udp.close()


def hosts_on(links: Callable[[], Sequence[str]], port: int, deadline_s: float) -> Iterator[str]:
    """Each machine on these links that says it waits for a joiner, once, as an address with its link.

    `links` is asked before each question: a link may just be coming up.
    """
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
        found: set[str] = set()
        ask_s = 0.0
        while (now_s := time.monotonic()) < deadline_s:
            if now_s >= ask_s:
                for link in links():
                    with contextlib.suppress(OSError):
                        sock.sendto(QUESTION, (ALL_NODES, port, 0, socket.if_nametoindex(link)))
                ask_s = now_s + ASK_S
            if not select.select([sock], [], [], max(0.0, min(ask_s, deadline_s) - now_s))[0]:
                continue
            with contextlib.suppress(OSError):
                data, place = sock.recvfrom(DATAGRAM_BYTES_MAX)
                address = f"{str(place[0]).partition('%')[0]}%{socket.if_indextoname(place[3])}"
                if data == ANSWER and place[1] == port and address not in found:
                    found.add(address)
                    yield address
                    # It was not the right one. The others have heard the same question.
                    deadline_s = min(deadline_s, time.monotonic() + OTHERS_S)


def connect(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to one address. Raises PeerError (unreachable)."""
    with contextlib.closing(Connections([address], port, time.monotonic() + timeout_s)) as connections:
        for _, sock in connections:
            return sock
        why = connections.failures.get(address, os.strerror(errno.ETIMEDOUT))
    raise PeerError(
        PeerErrorCode.UNREACHABLE,
        f"no enrolment waits there on port {port}: {why}",
        address,
        "run there first: hagit enroll",
    )
