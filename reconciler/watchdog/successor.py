"""Replacing the running daemon, from the side of the new one: get ready beside it, then go on where it was.

Until the predecessor hands over, this process decides nothing and changes nothing: it opens its sockets, starts its
children and looks, so that afterwards it acts at once. Its core begins only with what it is given. When the predecessor
ends without handing over, this process ends too: the service manager sees to what comes next.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.orders.orders import Orders
from reconciler.errors import StateError
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import EventLoop
from reconciler.watchdog.handover import Handover, read_handover
from reconciler.watchdog.successor_handle import COMMIT, MESSAGE_BYTES_MAX

#: Document, lock, control socket, and the deadman's device.
HANDLES_MAX: Final = 8
#: How often what has not been seen yet is looked for.
AGAIN_MS: Final = 50


@dataclass(frozen=True, slots=True)
class ReceivedHandover:
    """What the predecessor gave: what it knew, its lock, its control socket, and the deadman's open files."""

    handover: Handover
    lock: int
    control: socket.socket
    deadman: tuple[int, ...]


class PredecessorLink:
    """The daemon that still decides, at the other end of a socket."""

    def __init__(self, handle: int) -> None:
        self._socket = socket.socket(fileno=handle)
        self._socket.setblocking(False)
        self._last_sent = ""

    def fileno(self) -> int:
        """Readable when it hands over, or is gone."""
        return self._socket.fileno()

    def send_hello(self) -> None:
        """Which process this is. Raises StateError when nobody is there."""
        process = os.pidfd_open(os.getpid())
        try:
            socket.send_fds(self._socket, [b"hello %d" % os.getpid()], [process])
        except OSError as error:
            raise StateError(f"the daemon that was to be replaced is gone: {error.strerror}") from None
        finally:
            os.close(process)

    def send_waiting(self, what: str) -> None:
        """What this process waits for, in case it waits in vain."""
        if what != self._last_sent:
            self._last_sent = what
            self._send(b"waits " + what.encode()[: MESSAGE_BYTES_MAX - 10])

    def send_ready(self) -> None:
        """Everything has been seen: the predecessor may hand over at any moment."""
        self._send(b"ready")

    def receive(self) -> ReceivedHandover:
        """What it hands over. Raises StateError when it ended without that."""
        try:
            data, handles, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES_MAX, HANDLES_MAX)
        except OSError:
            data, handles = b"", []
        if data != COMMIT or len(handles) < 3:
            raise StateError("the daemon before ended, or wants no successor any more")
        document, lock, control, *deadman = handles
        try:
            left = read_handover(document)
        finally:
            os.close(document)
        return ReceivedHandover(left, lock, socket.socket(fileno=control), tuple(deadman))

    def close(self) -> None:
        """Nothing more is to be said."""
        self._socket.close()

    def _send(self, message: bytes) -> None:
        # When nobody is there any more, reading will say so.
        with contextlib.suppress(OSError):
            self._socket.send(message)


class Successor:
    """Gets ready. `begin` is called with what was handed over, once."""

    def __init__(
        self, loop: EventLoop, daemon: Daemon, predecessor: PredecessorLink, begin: Callable[[ReceivedHandover], None]
    ) -> None:
        self._loop, self._daemon, self._predecessor, self._take_over = loop, daemon, predecessor, begin
        self._ready = self._looking = False
        #: Whether the predecessor still decides.
        self.predecessor_decides = True
        self.orders: Orders | None = None
        loop.watch(predecessor.fileno(), self._handed_over)

    def set_orders(self, orders: Orders) -> None:
        """Get ready for these orders."""
        self.orders = orders
        self._daemon.prepare(orders)
        if not self._looking:
            self._looking = True
            self._look()

    def _look(self) -> None:
        if not self.predecessor_decides or self._ready:
            return
        if unseen := self._daemon.look_at_missing():
            self._predecessor.send_waiting(f"{unseen} have not been seen yet")
            self._loop.after(AGAIN_MS, self._look)
            return
        self._ready = True
        self._predecessor.send_ready()

    def _handed_over(self) -> None:
        received = self._predecessor.receive()
        self.predecessor_decides = False
        self._loop.unwatch(self._predecessor.fileno())
        self._predecessor.close()
        # Until now the predecessor heard what this process had to complain about.
        os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
        self._take_over(received)
