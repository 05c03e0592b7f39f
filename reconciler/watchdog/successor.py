"""A new daemon that replaces a running one: prepares beside its predecessor, and continues after the hand-over.

Before the hand-over this process decides and changes nothing: it opens its sockets, starts its workers and looks, so
that it can act immediately afterwards. Its core starts with the state that it is given. If the predecessor ends without
a hand-over, this process ends, too, and the service manager starts a daemon.
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

#: Descriptors in the hand-over: document, lock, control socket, and the devices of the deadman.
HANDLES_MAX: Final = 8
#: Interval of looks at what has not been seen yet.
LOOK_MS: Final = 50


@dataclass(frozen=True, slots=True)
class ReceivedHandover:
    """What the predecessor handed over: its state, and descriptors of lock, control socket and deadman."""

    handover: Handover
    lock: int
    control: socket.socket
    deadman: tuple[int, ...]


class PredecessorLink:
    """The socket to the daemon that still decides."""

    def __init__(self, handle: int) -> None:
        self._socket = socket.socket(fileno=handle)
        self._socket.setblocking(False)
        self._last_sent = ""

    def fileno(self) -> int:
        """Readable when the predecessor hands over or has ended."""
        return self._socket.fileno()

    def send_hello(self) -> None:
        """Send the process number and descriptor. Raises StateError if the predecessor has ended."""
        process = os.pidfd_open(os.getpid())
        try:
            socket.send_fds(self._socket, [b"hello %d" % os.getpid()], [process])
        except OSError as error:
            raise StateError(f"the daemon that was to be replaced is gone: {error.strerror}") from None
        finally:
            os.close(process)

    def send_waiting(self, what: str) -> None:
        """Report what this process waits for, so that a time-out can name it."""
        if what != self._last_sent:
            self._last_sent = what
            self._send(b"waits " + what.encode()[: MESSAGE_BYTES_MAX - 10])

    def send_ready(self) -> None:
        """Report that this process has seen everything and is ready for the hand-over."""
        self._send(b"ready")

    def receive(self) -> ReceivedHandover:
        """Receive the hand-over. Raises StateError if the predecessor ended without one."""
        try:
            data, handles, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES_MAX, HANDLES_MAX)
        except OSError:
            data, handles = b"", []
        if data != COMMIT or len(handles) < 3:
            raise StateError("the running daemon ended, or gave this successor up")
        document, lock, control, *deadman = handles
        try:
            handover = read_handover(document)
        finally:
            os.close(document)
        return ReceivedHandover(handover, lock, socket.socket(fileno=control), tuple(deadman))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, message: bytes) -> None:
        # If the predecessor has ended, reading reports that.
        with contextlib.suppress(OSError):
            self._socket.send(message)


class Successor:
    """Prepares this process. `begin` is called once, with what was handed over."""

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
        """Prepare for these orders."""
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
            self._loop.after(LOOK_MS, self._look)
            return
        self._ready = True
        self._predecessor.send_ready()

    def _handed_over(self) -> None:
        received = self._predecessor.receive()
        self.predecessor_decides = False
        self._loop.unwatch(self._predecessor.fileno())
        self._predecessor.close()
        # Until now standard error went to the predecessor.
        os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
        self._take_over(received)
