"""Run in a client's machine: write records to a share, and remember each one that the server acknowledged.

    python -m tests.lab.guest.share_client write PLACE KEPT      PLACE: a file in a mounted export, or a block device
    python -m tests.lab.guest.share_client check PLACE KEPT
    python -m tests.lab.guest.share_client lock PLACE KEPT       takes a lock on PLACE, then writes as `write` does

Record N lies at N mod SLOTS × 4096, written with O_DSYNC (O_DIRECT on a device). KEPT, a file in the client's memory,
has the newest number of each slot, and the longest time between two acknowledgements. `write` ends at SIGTERM. `check`
prints a line of JSON. A write that fails is counted and tried again, as no application would: a test wants to see none.
"""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.lab.pair.records import RECORD_BYTES, record

SLOTS = 1_024
#: Seconds between two records: the resolution of a silence.
PACE_S = 0.02
ERRORS_MAX = 20


class Writer:
    """One writer; `life` tells its records from those of earlier ones at the same place."""

    def __init__(self, place: Path, kept: Path) -> None:
        self._place, self._kept, self.life = place, kept, os.getpid()
        self._newest: dict[int, int] = {}
        self._errors: list[str] = []
        self._longest_ms = 0.0
        self.ending = threading.Event()

    def run(self, *, locked: bool) -> None:
        """Write until SIGTERM."""
        block = self._place.exists() and stat.S_ISBLK(self._place.stat().st_mode)
        flags = os.O_DSYNC | (os.O_RDWR | os.O_DIRECT if block else os.O_RDWR | os.O_CREAT)
        file = os.open(self._place, flags, 0o600)
        if locked:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # O_DIRECT needs memory that is aligned to pages.
        memory = mmap.mmap(-1, RECORD_BYTES)
        number, last_s = 0, time.monotonic()
        while not self.ending.is_set():
            memory[:] = record(self.life, number)
            try:
                wrote = os.pwrite(file, memory, number % SLOTS * RECORD_BYTES)
                if wrote != RECORD_BYTES:
                    raise OSError(errno.EIO, f"{wrote} bytes written")
            except OSError as error:
                self._errors = [*self._errors, f"record {number}: {error.strerror}"][:ERRORS_MAX]
                self.ending.wait(0.2)
                continue
            now_s = time.monotonic()
            if number:
                self._longest_ms = max(self._longest_ms, (now_s - last_s) * 1_000)
            self._newest[number % SLOTS], last_s, number = number, now_s, number + 1
            self._keep(number)
            self.ending.wait(PACE_S)
        if locked:
            # Fails if the server has lost the lock meanwhile and gave it to another client.
            fcntl.lockf(file, fcntl.LOCK_UN)
        os.close(file)

    def _keep(self, count: int) -> None:
        told = {
            "life": self.life,
            "count": count,
            "longest_ms": round(self._longest_ms),
            "errors": self._errors,
            "newest": {str(slot): number for slot, number in self._newest.items()},
        }
        fresh = self._kept.with_suffix(".new")
        fresh.write_text(json.dumps(told))
        fresh.rename(self._kept)


def check(place: Path, kept: Path) -> dict[str, Any]:
    """Compare what the server gives with what it acknowledged; `missing`: records that are not there."""
    told = json.loads(kept.read_text())
    file = os.open(place, os.O_RDONLY)
    # The server must answer, not this machine's memory.
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    missing = []
    for slot, number in sorted((int(slot), number) for slot, number in told["newest"].items()):
        data = os.pread(file, RECORD_BYTES, slot * RECORD_BYTES)
        # The last write may have been on its way when the writer ended.
        if data not in (record(told["life"], number), record(told["life"], number + SLOTS)):
            missing.append(number)
    os.close(file)
    del told["newest"]
    return {**told, "missing": missing}


def main() -> int:
    """See the module."""
    wanted, place, kept = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if wanted == "check":
        print(json.dumps(check(place, kept)))
        return 0
    writer = Writer(place, kept)
    signal.signal(signal.SIGTERM, lambda number, frame: writer.ending.set())
    writer.run(locked=wanted == "lock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
