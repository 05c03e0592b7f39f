"""One connection to the process that simulates a shelf: questions with numbers, answers until a deadline.

Connects when it is first needed, and again after it broke. Does not know what is asked.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Final

from reconciler.core.failover.reservations.key import Side
from reconciler.errors import StateError
from reconciler.system.message_stream import Frames, Message, frame

CHUNK_BYTES: Final = 1 << 16


class Silence(Exception):
    """There is no listener, or the connection broke, or it did not take the request in time."""


class Connection:
    """`role`: what this connection is for, "shelf" or "house"."""

    def __init__(self, path: str, side: Side, role: str) -> None:
        self._path = path
        self._hello: Message = {"hello": role, "side": side.value}
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._number = 0

    def ask(self, message: Message, end_s: float) -> int:
        """Send a question; returns its number. `end_s` is a moment of the monotonic clock. Raises Silence."""
        self._number += 1
        try:
            if self._socket is None:
                self._socket = self._connect(end_s)
                self._send(self._socket, frame(self._hello), end_s)
            self._send(self._socket, frame({**message, "id": self._number}), end_s)
        except OSError as error:
            self.close()
            raise Silence(error.strerror or str(error)) from None
        return self._number

    def receive(self, end_s: float) -> list[Message]:
        """Answers, as soon as there is one; none when the moment `end_s` has come. Raises Silence."""
        while self._socket is not None:
            readable, _, _ = select.select([self._socket], [], [], max(0.0, end_s - time.monotonic()))
            if not readable:
                return []
            try:
                data = self._socket.recv(CHUNK_BYTES)
                messages = self._frames.take(data)
            except (OSError, StateError) as error:
                self.close()
                raise Silence(str(error)) from None
            if not data:
                break
            if messages:
                return messages
        self.close()
        raise Silence("the shelf hung up")

    @property
    def connected(self) -> bool:
        """Whether what was asked may still be answered."""
        return self._socket is not None

    def close(self) -> None:
        """Hang up; what is unanswered stays so."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._frames = None, Frames()

    def _connect(self, end_s: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.001, end_s - time.monotonic()))
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection

    def _send(self, connection: socket.socket, data: bytes, end_s: float) -> None:
        # A part of a frame would make everything after it unreadable: the caller closes the connection when it fails.
        connection.settimeout(max(0.001, end_s - time.monotonic()))
        connection.sendall(data)
        connection.settimeout(None)
