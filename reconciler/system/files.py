"""Files that survive a crash: replaced whole or appended line by line, bounded when read, locked by one writer.

Every failure of the file system becomes a StateError that names the path and the way out.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from reconciler.errors import StateError

#: Nothing that hagit keeps for itself comes near this; a larger file is not ours.
FILE_BYTES_MAX: Final = 64 << 20

_REMEDIES: Final = {
    errno.ENOSPC: "free space on this file system; nothing was changed",
    errno.EDQUOT: "raise the quota; nothing was changed",
    errno.EACCES: "run as root, or as a user who may write there",
    errno.EPERM: "run as root, or as a user who may write there",
    errno.EROFS: "remount the file system read-write, or choose another `state` in the node file",
}


def state_error(path: Path, error: OSError, doing: str) -> StateError:
    """The StateError for a failed system call, with the remedy that fits."""
    why = error.strerror or str(error)
    return StateError(f"cannot {doing}: {why}", where=str(path), remedy=_REMEDIES.get(error.errno or 0, ""))


def make_directory(path: Path, mode: int = 0o755) -> None:
    """`path` exists and is a directory. Raises StateError."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise state_error(path, error, "make this directory") from error


def read_bytes(path: Path, limit: int = FILE_BYTES_MAX) -> bytes | None:
    """The content of a regular file, None when there is none. Raises StateError when larger than `limit` bytes."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise state_error(path, error, "read this file") from error
    if len(content) > limit:
        raise StateError(f"larger than {limit} bytes", where=str(path))
    return content


def write_atomic(path: Path, content: bytes, *, mode: int = 0o644, sync: bool = True) -> None:
    """Replace `path` whole: a reader or a crash sees the old content or the new, never a part (rename(2)).

    `sync` makes it survive a power cut as well. Raises StateError and leaves the old content.
    """
    # Not before it is needed: whoever only reads is spared what it imports.
    import tempfile

    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise state_error(path, error, "write beside this file") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - one system call, as the docstring promises
        if sync:
            _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise state_error(path, error, "write this file") from error


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> Any | None:
    """The document in a file, None when there is none or it was cut short. Raises StateError when unreadable."""
    content = read_bytes(path)
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StateError(
            f"not a JSON document: {error}", where=str(path), remedy="move this file away; it will be made anew"
        ) from error


def write_json(path: Path, document: Any, *, sync: bool = True) -> None:
    """Replace a file by a document, whole. Raises StateError."""
    write_atomic(path, json.dumps(document, separators=(",", ":")).encode() + b"\n", sync=sync)


def append_line(path: Path, document: Any, *, sync: bool = False) -> None:
    """Add one JSON line; see `append_bytes`. Raises StateError."""
    append_bytes(path, json.dumps(document, separators=(",", ":")).encode() + b"\n", sync=sync)


def append_bytes(path: Path, line: bytes, *, mode: int = 0o644, sync: bool = False) -> int:
    """Add a whole line with its end; the size of the file then, in bytes. Raises StateError.

    One write(2) to an O_APPEND file, so that lines of two writers never mix. `mode` is that of a file that is made now.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(handle)
            return os.fstat(handle).st_size
        finally:
            os.close(handle)
    except OSError as error:
        raise state_error(path, error, "append to this file") from error


def read_lines(path: Path) -> list[Any]:
    """Every whole JSON line of a file; a line cut short by a crash is passed over."""
    lines: list[Any] = []
    for line in (read_bytes(path) or b"").split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            if line:
                lines.append(json.loads(line))
    return lines


def keep_last_lines(path: Path, count: int) -> None:
    """Drop all but the last `count` lines when there are twice as many, so that no file grows for ever."""
    lines = (read_bytes(path) or b"").splitlines(keepends=True)
    if len(lines) > 2 * count:
        write_atomic(path, b"".join(lines[-count:]))


class Lock:
    """An exclusive lock that dies with its process (flock(2)); says who holds it when it cannot be had."""

    def __init__(self, path: Path, purpose: str, *, wait_s: float = 0.0) -> None:
        self._path = path
        self._purpose = purpose
        self._wait_s = wait_s
        self._handle = -1

    def __enter__(self) -> Lock:
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if not self._acquire():
                holder = os.pread(self._handle, 200, 0).decode(errors="replace").strip() or "another process"
                os.close(self._handle)
                self._handle = -1
                raise StateError(
                    f"locked by {holder}", where=str(self._path), remedy="wait until it has finished, then try again"
                )
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{self._purpose} (pid {os.getpid()})\n".encode(), 0)
        except OSError as error:
            raise state_error(self._path, error, "take this lock") from error
        return self

    def _acquire(self) -> bool:
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # flock(2) has no deadline of its own; a holder keeps it for milliseconds, so look every few.
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.01)
            else:
                return True

    @property
    def handle(self) -> int:
        """The open file, to be sent to the process that goes on with the lock. Negative while it is not held."""
        return self._handle

    def adopt(self, handle: int) -> None:
        """Go on with a lock that another process held. It belongs to the open file, so it was never free (flock(2))."""
        assert self._handle < 0, "this lock is held already"
        self._handle = handle
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{self._purpose} (pid {os.getpid()})\n".encode(), 0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. The lock ends when no process has it open any more."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def holder_of(path: Path) -> int | None:
    """The process that holds the lock at `path`, None when nobody does or none ever did.

    Whoever may read the file may ask. Asking holds the lock for a moment, so who takes such a lock waits for one.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found = re.search(rb"\(pid (\d+)\)", os.pread(handle, 200, 0))
        return int(found[1]) if found else None
    finally:
        os.close(handle)
    return None
