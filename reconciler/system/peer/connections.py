"""Connections to one of several addresses: all are tried, staggered, and those that answer come first (RFC 8305).

A path that is cut costs no time when another one works. Knows nothing of what is said over a connection.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

#: Time between two tries, unless the earlier one fails sooner.
STAGGER_S: Final = 0.2
SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
#: At most this many addresses are tried.
ADDRESSES_MAX: Final = 16


def numeric_address(address: str, port: int) -> tuple[socket.AddressFamily, SocketAddress]:
    """Family and socket address of an IP address, which may name its link: `fe80::1%eth0`.

    Raises OSError when it is none, or when there is no such link here.
    """
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(errno.EADDRNOTAVAIL, f"no such address or link here: {address}") from error
    return found[0][0], found[0][4]


class Connections:
    """Iterates over connected sockets, in the order in which addresses answer, until `deadline_s` (monotonic).

    `failures`: why addresses did not answer, by address. Close it to close the sockets that it did not give out.
    """

    def __init__(self, addresses: Sequence[str], port: int, deadline_s: float) -> None:
        self.failures: dict[str, str] = {}
        self._left = list(dict.fromkeys(addresses))[:ADDRESSES_MAX]
        self._port = port
        self._deadline_s = deadline_s
        self._selector = selectors.DefaultSelector()
        self._next_s = 0.0

    def __iter__(self) -> Iterator[tuple[str, socket.socket]]:
        while self._left or self._selector.get_map():
            now_s = time.monotonic()
            if now_s >= self._deadline_s:
                self._give_up()
                return
            if self._left and (now_s >= self._next_s or not self._selector.get_map()):
                self._start(self._left.pop(0))
                self._next_s = now_s + STAGGER_S
                continue
            end_s = min(self._deadline_s, self._next_s) if self._left else self._deadline_s
            for key, _ in self._selector.select(max(0.0, end_s - now_s)):
                sock: socket.socket = key.fileobj  # type: ignore[assignment]
                self._selector.unregister(sock)
                if problem := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.failures[key.data] = os.strerror(problem)
                    sock.close()
                else:
                    yield key.data, sock

    def _start(self, address: str) -> None:
        try:
            family, place = numeric_address(address, self._port)
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self.failures[address] = error.strerror or str(error)
            return
        problem = sock.connect_ex(place)
        if problem in (0, errno.EINPROGRESS):
            self._selector.register(sock, selectors.EVENT_WRITE, address)
        else:
            self.failures[address] = os.strerror(problem)
            sock.close()

    def _give_up(self) -> None:
        for key in self._selector.get_map().values():
            self.failures.setdefault(key.data, "no answer in time")
        for address in self._left:
            self.failures.setdefault(address, "not tried in time")

    def close(self) -> None:
        """Close what was not given out."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
