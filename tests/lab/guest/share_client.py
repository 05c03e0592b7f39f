"""Run in a client's machine: write records to a share, and remember each one that the server acknowledged.

    python -m tests.lab.guest.share_client write PLACE KEPT      PLACE: a file in a mounted export, or a block device
    python -m tests.lab.guest.share_client check PLACE KEPT
    python -m tests.lab.guest.share_client lock PLACE KEPT       takes a lock on PLACE, then writes as `write` does
    python -m tests.lab.guest.share_client copy PLACE KEPT       PLACE: a directory that exists, for copies of files
    python -m tests.lab.guest.share_client unlinked PLACE KEPT   as `write`, to a file that has lost its name meanwhile
    python -m tests.lab.guest.share_client storm PLACE KEPT      PLACE: an empty directory, for changes of names

Record N lies at N mod SLOTS × 4096, written with O_DSYNC (O_DIRECT on a device). KEPT, a file in the client's memory,
has the newest number of each slot, and the longest time between two acknowledgements. `copy` makes file N mod FILES
anew for each N, as cp does: open, truncate, write; then fsync(2) and close. `unlinked` reads its records back itself
before it closes the file. `storm` makes a file, renames it, removes it, makes a directory, and removes it. The kernel's
NFS server keeps no replies over a failover, so a name that is there or gone already, because a call was sent twice, is
counted as `repeated` and not as an error; the directory must be empty in the end. All end at SIGTERM. `check` prints a
line of JSON. A write that fails is counted and tried again, as no application would: a test wants to see none.
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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.lab.pair.records import RECORD_BYTES, record

SLOTS = 1_024
#: Seconds between two records: the resolution of a silence.
PACE_S = 0.02
ERRORS_MAX = 20
#: Number of files that `copy` makes, and records in each: 64 KiB.
FILES = 64
FILE_RECORDS = 16


class Writer:
    """One writer; `life` tells its records from those of earlier ones at the same place."""

    def __init__(self, place: Path, kept: Path) -> None:
        self._place, self._kept, self.life = place, kept, os.getpid()
        self._newest: dict[int, int] = {}
        self._errors: list[str] = []
        self._longest_ms = 0.0
        self._repeated = 0
        #: Records that are not there, for a writer that must look for itself.
        self._missing: list[int] | None = None
        self.ending = threading.Event()

    def run(self, *, locked: bool = False, unlinked: bool = False) -> None:
        """Write records until SIGTERM. `locked`: to a locked file. `unlinked`: to a file without a name."""
        block = self._place.exists() and stat.S_ISBLK(self._place.stat().st_mode)
        flags = os.O_DSYNC | (os.O_RDWR | os.O_DIRECT if block else os.O_RDWR | os.O_CREAT)
        file = os.open(self._place, flags, 0o600)
        if locked:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if unlinked:
            self._place.unlink()
        # O_DIRECT needs memory that is aligned to pages.
        memory = mmap.mmap(-1, RECORD_BYTES)

        def store(number: int) -> None:
            memory[:] = record(self.life, number)
            wrote = os.pwrite(file, memory, number % SLOTS * RECORD_BYTES)
            if wrote != RECORD_BYTES:
                raise OSError(errno.EIO, f"{wrote} bytes written")

        self._repeat(store, SLOTS)
        if unlinked:
            self._missing = unread(file, self.life, self._newest)
            self._keep(max(self._newest.values(), default=-1) + 1)
        if locked:
            # Fails if the server has lost the lock meanwhile and gave it to another client.
            fcntl.lockf(file, fcntl.LOCK_UN)
        os.close(file)

    def copy(self) -> None:
        """Make copies of files until SIGTERM."""
        self._repeat(lambda number: copied(self._place / str(number % FILES), content(self.life, number)), FILES)

    def storm(self) -> None:
        """Make, rename and remove names until SIGTERM."""
        self._repeat(self._change_names, 1)
        self._missing = [0] if any(self._place.iterdir()) else []
        self._keep(self._newest.get(0, -1) + 1)

    def _change_names(self, number: int) -> None:
        first, second, directory = (self._place / f"{name}-{number}" for name in ("first", "second", "directory"))
        for change in (
            lambda: os.close(os.open(first, os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
            lambda: first.rename(second),
            second.unlink,
            directory.mkdir,
            directory.rmdir,
        ):
            try:
                change()
            except (FileExistsError, FileNotFoundError):
                self._repeated += 1

    def _repeat(self, store: Callable[[int], None], slots: int) -> None:
        """Store number after number, until SIGTERM. A store that fails is counted and tried again."""
        number, last_s = 0, time.monotonic()
        while not self.ending.is_set():
            try:
                store(number)
            except OSError as error:
                self._errors = [*self._errors, f"record {number}: {error.strerror}"][:ERRORS_MAX]
                self.ending.wait(0.2)
                continue
            now_s = time.monotonic()
            if number:
                self._longest_ms = max(self._longest_ms, (now_s - last_s) * 1_000)
            self._newest[number % slots], last_s, number = number, now_s, number + 1
            self._keep(number)
            self.ending.wait(PACE_S)

    def _keep(self, count: int) -> None:
        told = {
            "life": self.life,
            "count": count,
            "longest_ms": round(self._longest_ms),
            "errors": self._errors,
            "repeated": self._repeated,
            "missing": self._missing,
            "newest": {str(slot): number for slot, number in self._newest.items()},
        }
        fresh = self._kept.with_suffix(".new")
        fresh.write_text(json.dumps(told))
        fresh.rename(self._kept)


def content(life: int, number: int) -> bytes:
    """Return the bytes of a copied file."""
    return b"".join(record(life, number * FILE_RECORDS + at) for at in range(FILE_RECORDS))


def copied(place: Path, data: bytes) -> None:
    """Make a file anew; returns once the server has it on disk."""
    with place.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def check(place: Path, kept: Path) -> dict[str, Any]:
    """Compare what the server gives with what it acknowledged; `missing`: records that are not there."""
    told = json.loads(kept.read_text())
    if told["missing"] is not None:
        del told["newest"]
        return told
    if place.is_dir():
        return check_copies(place, told)
    file = os.open(place, os.O_RDONLY)
    told["missing"] = unread(file, told["life"], {int(slot): number for slot, number in told["newest"].items()})
    os.close(file)
    del told["newest"]
    return told


def unread(file: int, life: int, newest: Mapping[int, int]) -> list[int]:
    """Return the records that the server does not give. `newest`: the newest one of each slot."""
    # The server must answer, not this machine's memory.
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    missing = []
    for slot, number in sorted(newest.items()):
        data = os.pread(file, RECORD_BYTES, slot * RECORD_BYTES)
        # The last write may have been on its way when the writer ended.
        if data not in (record(life, number), record(life, number + SLOTS)):
            missing.append(number)
    return missing


def check_copies(place: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Compare each copied file with what it must be."""
    missing = []
    for slot, number in sorted((int(slot), number) for slot, number in told["newest"].items()):
        path = place / str(slot)
        data = path.read_bytes() if path.exists() else b""
        if data != content(told["life"], number):
            missing.append(number)
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
    if wanted == "copy":
        writer.copy()
    elif wanted == "storm":
        writer.storm()
    else:
        writer.run(locked=wanted == "lock", unlinked=wanted == "unlinked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
