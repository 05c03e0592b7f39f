"""A thread for files on disks that may be slow, so that the event loop never waits for one.

Performs writes in the order of the calls, each synced. Checks once a second whether one watched file has changed, and
reads it. The queue is bounded: if the disk hangs, the oldest write is dropped. Decides nothing about the content.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import HagitError
from reconciler.system.atomic_file import replace_file
from reconciler.system.clock import monotonic_s
from reconciler.system.files import PRIVATE, append_bytes, read_bytes

JOBS_MAX: Final = 1_000
STACK_BYTES: Final = 256 << 10
POLL_S: Final = 1.0
#: Count the lines of a file only when it has more than this many bytes for each line that it may hold.
LINE_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content of a file: None if it does not exist or cannot be read. `problem`: why it cannot be read, or ""."""

    content: bytes | None
    problem: str = ""


def read_content(path: Path, bytes_max: int) -> FileContent:
    """Read a file now. Never raises."""
    try:
        return FileContent(read_bytes(path, bytes_max))
    except HagitError as error:
        return FileContent(None, error.what)


class FileThread:
    """Writes files and watches one. When `fileno()` is readable, `take_content()` returns the watched file's content.

    `problem`: why the last write failed, or "". `lost`: the number of writes that were dropped.
    """

    def __init__(self, watched: Path, bytes_max: int) -> None:
        self._watched, self._bytes_max = watched, bytes_max
        self._jobs: deque[Callable[[], None]] = deque()
        self._contents: deque[FileContent] = deque(maxlen=1)
        self._condition = threading.Condition()
        self._pending = 0
        self._stopped = self._check_requested = False
        self._stamp: tuple[int, ...] | None = ()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.problem = ""
        self.lost = 0
        threading.stack_size(STACK_BYTES)
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """The descriptor for the event loop."""
        return self._event

    def take_content(self) -> FileContent | None:
        """The newest content of the watched file, once after each change; None if it has not changed."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        with self._condition:
            return self._contents.pop() if self._contents else None

    def check_now(self) -> None:
        """Check the watched file now."""
        with self._condition:
            self._check_requested = True
            self._condition.notify()

    def write(self, path: Path, content: bytes) -> None:
        """Queue: replace a file, synced."""
        self._enqueue(lambda: replace_file(path, content))

    def append(self, path: Path, line: bytes, lines_max: int) -> None:
        """Queue: append a line, synced, to a file that holds about the last `lines_max` lines."""
        self._enqueue(lambda: _append(path, line, lines_max))

    @property
    def idle(self) -> bool:
        """Whether all writes are on the disk."""
        with self._condition:
            return self._pending == 0

    def flush(self, wait_s: float) -> bool:
        """Wait at most `wait_s` until all writes are on the disk. Returns whether they are."""
        with self._condition:
            return self._condition.wait_for(lambda: self._pending == 0, wait_s)

    def close(self, wait_s: float) -> None:
        """Finish the queued writes and end the thread, if the disk answers within `wait_s`."""
        self.flush(wait_s)
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join(wait_s)
        if not self._thread.is_alive():
            os.close(self._event)

    def _enqueue(self, job: Callable[[], None]) -> None:
        with self._condition:
            if len(self._jobs) >= JOBS_MAX:
                self._jobs.popleft()
                self._pending -= 1
                self.lost += 1
            self._jobs.append(job)
            self._pending += 1
            self._condition.notify()

    def _run(self) -> None:
        due_s = monotonic_s()
        while True:
            with self._condition:
                self._condition.wait_for(
                    lambda: self._jobs or self._stopped or self._check_requested, max(0.0, due_s - monotonic_s())
                )
                if self._stopped and not self._jobs:
                    return
                job = self._jobs.popleft() if self._jobs else None
                check, self._check_requested = self._check_requested or monotonic_s() >= due_s, False
            if job is not None:
                self._perform(job)
            if check:
                self._check()
                due_s = monotonic_s() + POLL_S

    def _perform(self, job: Callable[[], None]) -> None:
        problem = ""
        try:
            job()
        except (HagitError, OSError) as error:
            problem = str(error)
        with self._condition:
            self._pending -= 1
            self.problem = problem
            self._condition.notify_all()

    def _check(self) -> None:
        try:
            facts = self._watched.stat()
            stamp: tuple[int, ...] | None = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return
        self._stamp = stamp
        file = read_content(self._watched, self._bytes_max)
        with self._condition:
            self._contents.append(file)
        os.eventfd_write(self._event, 1)


def _append(path: Path, line: bytes, lines_max: int) -> None:
    if append_bytes(path, line, mode=PRIVATE, sync=True) > lines_max * LINE_BYTES:
        lines = path.read_bytes().splitlines(keepends=True)
        if len(lines) > lines_max:
            replace_file(path, b"".join(lines[-lines_max * 3 // 4 :]), mode=PRIVATE)
