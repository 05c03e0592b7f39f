"""A wake-up call for a selector: any thread sets it, one thread takes it; it is never lost and never queued twice."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wakeup:
    """A set of reasons behind a file descriptor that is readable while the set is not empty (level, not edge)."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._reasons: set[str] = set()
        self._guard = threading.Lock()

    def fileno(self) -> int:
        """For a selector."""
        return self._near.fileno()

    def set(self, reason: str) -> None:
        """Add a reason and wake the selector. Reasons are few fixed words, so the set stays small."""
        with self._guard:
            if not self._reasons:
                self._far.send(b"!")
            self._reasons.add(reason)

    def take(self) -> frozenset[str]:
        """All reasons since the last call; empty when there are none."""
        with self._guard:
            with contextlib.suppress(BlockingIOError):
                self._near.recv(16)
            reasons = frozenset(self._reasons)
            self._reasons.clear()
        return reasons

    def close(self) -> None:
        """Close both ends."""
        self._near.close()
        self._far.close()
