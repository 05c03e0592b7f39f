"""A journal on disk: lines appended to one file that stays open, synchronised where the writer asks for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType

from reconciler.system.files import PRIVATE, state_error


class JournalFile:
    """An empty journal, open for as long as the context lasts. Each method raises StateError for a failed write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def __enter__(self) -> JournalFile:
        try:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    def write_whole(self, line: bytes) -> None:
        """Write a long line, in several writes where the kernel takes only a part."""
        try:
            written = 0
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error

    def write_at_once(self, line: bytes) -> None:
        """Write a short line with one write(2); a partial write counts as a full disk."""
        try:
            if os.write(self._handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error

    def sync(self) -> None:
        """Put all lines on the disk (fsync(2))."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise state_error(self._path, error, "write the journal") from error


def append_to_journal(path: Path, line: bytes) -> None:
    """Append a line to a journal that exists. Raises StateError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise state_error(path, error, "write the journal") from error
