"""Read from a socket with a limit on total time and bytes.

A timeout on each system call alone would let a client that sends a byte now and then hold a thread for hours.
"""

from __future__ import annotations

import errno
import io
import socket
import time
from typing import Any


class BoundedReader(io.RawIOBase):
    """A raw stream over a socket.

    Raises TimeoutError after `deadline_s` (monotonic clock) and ConnectionAbortedError when more than `budget_bytes`
    are read; `extend` allows more.
    """

    def __init__(self, sock: socket.socket, deadline_s: float, budget_bytes: int) -> None:
        # The stream that `makefile` gives keeps the descriptor open until both it and the socket are closed.
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline_s = deadline_s
        self._budget_bytes = budget_bytes

    def extend(self, count: int) -> None:
        """Allow `count` bytes more."""
        self._budget_bytes += count

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """See `io.RawIOBase`."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        view = memoryview(buffer)[: self._budget_bytes]
        if not view:
            raise ConnectionAbortedError(errno.ECONNABORTED, "it sends more than the limit")
        self._socket.settimeout(left_s)
        count = self._raw.readinto(view)
        self._budget_bytes -= count or 0
        return int(count or 0)

    def close(self) -> None:
        """Close the descriptor."""
        self._raw.close()
        super().close()
