"""One import or export at a time on this controller, known to everybody, and until the kernel itself is done with it.

The process that moves pools holds a lock (flock(2)), and so does every program that it starts. A program that is killed
while it waits in the kernel for an import holds it until that has ended, so no second import or export overtakes the
first, from whichever process. Every process can see without waiting whether pools are being moved, and which process
moves them: it stands in the file, so that the processor time of its programs can be counted (`processor_time`). Decides
nothing.

Beside the lock lie marks: for each pool whose filesystems have been mounted, and for each that was taken without being
there, because it is still to be made; and when an export was refused last because a program uses a filesystem. All
are in /run: they vanish with the kernel whose pools they speak of.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.system.files import PRIVATE, PRIVATE_DIRECTORY
from reconciler.system.zfs.processor_time import ProcessIdentity, parse_identity, this_process

RUN: Final = Path("/run/hagit/zfs")
AGAIN_S: Final = 0.02
#: A refused export is tried again at once. If it is not refused again within this time, it is in the kernel.
USED_MS: Final = 2_000
USED_MS_MAX: Final = 15_000
#: No name of a process is longer.
NAME_BYTES_MAX: Final = 64


class PoolLock:
    """The lock and the marks in one directory."""

    def __init__(self, directory: Path = RUN) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def held(self, deadline_s: float) -> Iterator[int | None]:
        """The descriptor of the lock, to be inherited by what moves pools; None: another move has not ended in time."""
        descriptor = self._open()
        end_s = time.monotonic() + deadline_s
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end_s:
                        yield None
                        return
                    time.sleep(AGAIN_S)
            self.repeats(descriptor)
            with contextlib.suppress(OSError):
                os.pwrite(descriptor, f"{this_process() or ''}".encode(), 0)
            yield descriptor
        finally:
            # Never unlocked: a program that still has it goes on holding the lock.
            os.close(descriptor)

    def going_on(self) -> bool:
        """Whether any process moves pools now."""
        try:
            descriptor = self._open()
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def mover(self) -> ProcessIdentity | None:
        """The process that moves pools, if one does and does not only repeat itself; see `repeats`."""
        with contextlib.suppress(OSError), (self._directory / "lock").open("rb") as file:
            return parse_identity(file.read(NAME_BYTES_MAX).decode(errors="replace"))
        return None

    def repeats(self, descriptor: int) -> None:
        """What the holder starts from now on has failed before, so its processor time is no progress."""
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)

    def ready(self, pool: str) -> bool:
        """Whether the filesystems of this pool were mounted since it was imported."""
        return self._mark(pool, "ready").exists()

    def set_ready(self, pool: str, *, ready: bool) -> None:
        """Say so."""
        self._set(self._mark(pool, "ready"), there=ready)

    def unmade(self, pool: str) -> bool:
        """Whether the pools were taken here while this one had not been made."""
        return self._mark(pool, "unmade").exists()

    def set_unmade(self, pool: str, *, unmade: bool) -> None:
        """Say so."""
        self._set(self._mark(pool, "unmade"), there=unmade)

    def refused_export(self, took_s: float) -> None:
        """An export was refused after this time, because a process uses the mounts; the next try takes as long."""
        self._directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        self._used.write_text(str(_now_ms() + min(USED_MS + round(2_000 * took_s), USED_MS_MAX)))

    def allowed_export(self) -> None:
        """Nothing was refused yet, or is any more."""
        self._used.unlink(missing_ok=True)

    def in_use(self) -> bool:
        """Whether an export was refused a moment ago: one that is not refused is in the kernel, and may go on there."""
        try:
            return _now_ms() < int(self._used.read_text())
        except (OSError, ValueError):
            return False

    @property
    def _used(self) -> Path:
        return self._directory / "export.used"

    def _set(self, mark: Path, *, there: bool) -> None:
        if there:
            self._directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            mark.touch()
        else:
            mark.unlink(missing_ok=True)

    def _mark(self, pool: str, what: str) -> Path:
        return self._directory / f"{pool}.{what}"

    def _open(self) -> int:
        self._directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        return os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
