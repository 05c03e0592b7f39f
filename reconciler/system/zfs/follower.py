"""`zpool events` as a child that goes on: whether a disk has refused a write of our pools since it was last asked.

Decides nothing. The child dies with whoever started it, and is started again when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import Final

from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.events import EventReader

CHUNK_BYTES: Final = 1 << 16
#: A child that cannot be started, or ends, is not started again before this.
AGAIN_S: Final = 5.0


class Follower:
    """Reads what has been said, and waits for nothing."""

    def __init__(self) -> None:
        self._process: tools.Program | None = None
        self._reader = EventReader()
        self._since_s = int(time.time())
        self._start_s = 0.0

    def refused(self, pools: frozenset[str]) -> bool:
        """Whether a disk has answered these pools with RESERVATION CONFLICT since the last time this was asked."""
        if self._process is None:
            self._start()
        if self._process is None:
            return False
        assert self._process.stdout is not None
        found = False
        while True:
            try:
                data = os.read(self._process.stdout.fileno(), CHUNK_BYTES)
            except BlockingIOError:
                return found
            if not data:
                self.stop()
                return found
            # What the kernel kept from before is told again to each new reader.
            found |= any(
                error.conflict and error.pool in pools and error.at_s >= self._since_s
                for error in self._reader.take(data.decode(errors="replace"))
            )

    def stop(self) -> None:
        """End the child. It waits for events only, so it ends at once."""
        if self._process is not None:
            self._process.kill()
            with self._process, contextlib.suppress(OSError):
                self._process.wait()
        self._process, self._reader, self._since_s = None, EventReader(), int(time.time())

    def _start(self) -> None:
        if time.monotonic() < self._start_s:
            return
        self._start_s = time.monotonic() + AGAIN_S
        with contextlib.suppress(OSError):
            nothing = subprocess.DEVNULL
            self._process = tools.start(arguments.events(), stdin=nothing, stdout=subprocess.PIPE, stderr=nothing)
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
