"""JSON objects, one a line, over a connected socket; each wait has a limit.

Knows neither QEMU's monitor nor the agent's protocol; both use such lines.
"""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any

#: Treat a longer line as a defect.
LINE_MAX = 32 << 20


class ChannelError(Exception):
    """The other side is gone, silent for too long, or sends no JSON object."""


class Channel:
    """One end of a connection that carries lines."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = bytearray()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, message: dict[str, Any]) -> None:
        """Send one object to the other side. Raises ChannelError if it is gone."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ChannelError(f"cannot send: {error}") from None

    def receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the next object. Raises ChannelError if none arrives in time."""
        deadline_s = time.monotonic() + timeout_s
        while (end := self._input.find(b"\n")) < 0:
            if len(self._input) > LINE_MAX:
                raise ChannelError(f"a line of more than {LINE_MAX} bytes")
            if not select.select([self._connection], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                raise ChannelError(f"silent for {timeout_s:.0f} s")
            try:
                data = self._connection.recv(1 << 16)
            except OSError as error:
                raise ChannelError(f"cannot receive: {error}") from None
            if not data:
                raise ChannelError("the other side has ended")
            self._input += data
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        try:
            message = json.loads(line)
        except ValueError:
            raise ChannelError(f"not JSON: {line[:100]!r}") from None
        if not isinstance(message, dict):
            raise ChannelError(f"not an object: {line[:100]!r}")
        return message
