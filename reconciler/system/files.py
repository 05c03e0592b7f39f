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
import select
import signal
import stat
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from reconciler.errors import StateError
from reconciler.system.atomic_file import fill_and_rename, sync_directory

#: Nothing that hagit keeps for itself comes near this; a larger file is not ours.
FILE_BYTES_MAX: Final = 64 << 20

_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

#: A pipe or terminal takes everything within this time.
TAKEN_S: Final = 10.0
_REMEDIES: Final = {
    errno.ENXIO: "start the program that reads this pipe first, or name a file",
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


#: Modes of what hagit makes. flock(2) needs no more than the right to read: a lock that others may read they may hold.
PRIVATE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
PUBLIC: Final = 0o644
PUBLIC_DIRECTORY: Final = 0o755


def make_directory(path: Path, mode: int = PRIVATE_DIRECTORY) -> None:
    """Make a directory that is not there, with those above it, which everyone may pass. Raises StateError."""
    try:
        for above in reversed(path.parents):
            if not above.exists():
                above.mkdir(mode=PUBLIC_DIRECTORY, exist_ok=True)
        path.mkdir(mode=mode, exist_ok=True)
    except OSError as error:
        raise state_error(path, error, "make this directory") from error


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading, without ever waiting for a writer. Raises OSError for everything else.

    A pipe is never at its end, and to open a device may start something: what is there is looked at before.
    """
    _refuse_odd(path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _refuse_odd(os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _refuse_odd(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in _KINDS if test(mode)), "something else")
        raise OSError(errno.EINVAL, f"{kind} is in the place of a file")


def read_bytes(path: Path, limit: int = FILE_BYTES_MAX) -> bytes | None:
    """The content of a regular file, None when there is none. Raises StateError when larger than `limit` bytes."""
    try:
        with open_regular(path) as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise state_error(path, error, "read this file") from error
    if len(content) > limit:
        raise StateError(f"larger than {limit} bytes", where=str(path))
    return content


def write_atomic(path: Path, content: bytes, *, mode: int = PRIVATE, sync: bool = True) -> None:
    """Replace `path` whole: a reader or a crash sees the old content or the new, never a part (rename(2)).

    `sync` makes it survive a power cut as well. Raises StateError and leaves the old content.
    """
    # Imported late: a process that only reads files does not pay for it.
    import tempfile

    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise state_error(path, error, "write beside this file") from error
    try:
        fill_and_rename(handle, Path(temporary), path, content, mode=mode, sync=sync)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise state_error(path, error, "write this file") from error


def write_named(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write to a path that a person gave: what stands there stays what it is.

    A regular file gets new content, whole; where a symbolic link leads is written to, and the link stays; a pipe or a
    terminal is written into. Raises StateError, for a disk, a socket or a directory without touching it.
    """
    try:
        found = path.stat().st_mode if path.exists() else stat.S_IFREG
        # /dev/stdout, >(program) of a shell: what is open already cannot be replaced.
        is_open = path.absolute().parts[1:2] in (("dev",), ("proc",))
        if stat.S_ISFIFO(found) or stat.S_ISCHR(found) or (is_open and stat.S_ISREG(found)):
            _write_into(path, content)
            return
        _refuse_odd(found)
        target = path.resolve()
    except (OSError, RuntimeError) as error:
        error = error if isinstance(error, OSError) else OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        raise state_error(path, error, "write this") from error
    write_atomic(target, content, mode=mode)


def _write_into(path: Path, content: bytes) -> None:
    """Write all of it to what is there. Raises OSError, also when nothing takes it in time."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        end_s = time.monotonic() + TAKEN_S
        while content:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not select.select([], [descriptor], [], left_s)[1]:
                raise TimeoutError(errno.ETIMEDOUT, "nothing reads what is written here")
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


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


def remove_file(path: Path) -> None:
    """Remove a file if it is there, for good: a power cut does not bring it back. Raises StateError."""
    try:
        path.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise state_error(path, error, "remove this file") from error


def json_line(document: Any) -> bytes:
    """A document as one line of compact JSON, with the line's end: the form of every file and answer for programs."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def write_json(path: Path, document: Any, *, mode: int = PRIVATE, sync: bool = True) -> None:
    """Replace a file by a document, whole. Raises StateError."""
    write_atomic(path, json_line(document), mode=mode, sync=sync)


def append_line(path: Path, document: Any, *, sync: bool = False) -> None:
    """Add one JSON line; see `append_bytes`. Raises StateError."""
    append_bytes(path, json_line(document), sync=sync)


def append_bytes(path: Path, line: bytes, *, mode: int = PRIVATE, sync: bool = False) -> int:
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
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
            self._close_to_others()
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

    def _close_to_others(self) -> None:
        """Narrow a lock file that an earlier release made for everyone to read, and so to hold."""
        status = os.fstat(self._handle)
        if status.st_mode & 0o077 and status.st_uid == os.geteuid():
            os.fchmod(self._handle, PRIVATE)

    @property
    def handle(self) -> int:
        """The open file, to be sent to the process that goes on with the lock. Negative while it is not held."""
        return self._handle

    def adopt(self, handle: int) -> None:
        """Go on with a lock that another process held. It belongs to the open file, so it was never free (flock(2))."""
        assert self._handle < 0, "this lock is held already"
        self._handle = handle
        self._close_to_others()
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
    """The process that holds the lock at `path`, None when no process does or none ever did.

    A process that may not open the file finds the holder in /proc/locks. Asking by the file holds the lock for a
    moment, so a process that takes such a lock waits for one.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        return _listed_holder(path)
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


def _listed_holder(path: Path) -> int | None:
    """The process that holds flock(2) on `path`, as the kernel lists it for everyone (proc_locks(5))."""
    try:
        status = path.stat()
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        # 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF; a waiting process has "->" after the number.
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1:2] == ["FLOCK"] and words[5:6] == [device] and words[4].isdecimal() and words[4] != "0":
                return int(words[4])
    except OSError:
        pass
    return None


def keep_newest_files(directory: Path, pattern: str, count: int) -> None:
    """Remove all but the `count` newest files of a directory that match `pattern`."""
    found = sorted(directory.glob(pattern), key=lambda path: path.stat().st_mtime)
    for path in found[:-count]:
        path.unlink(missing_ok=True)


def file_stamp(path: Path) -> tuple[int, ...]:
    """Inode, time of the last change (ns) and size: another value after each change. Empty without the file."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


def hang_up_holder(path: Path) -> None:
    """Send SIGHUP to the process that holds the lock at `path`, if there is one and this process may."""
    holder = holder_of(path)
    if holder is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(holder, signal.SIGHUP)


def narrow(directory: Path, public: Collection[str] = ()) -> None:
    """Take from other users what they need not have in `directory`, which hagit made.

    Files become private, but for those named `public`; directories in it become private whole. For what an earlier
    release made for everyone to read. Changes nothing that belongs to another user, and no symbolic link.
    """
    me = os.geteuid()
    try:
        if directory.stat().st_uid != me:
            return
        _keep_bits(directory, PUBLIC_DIRECTORY)
        with os.scandir(directory) as entries:
            for entry in entries:
                kept = PRIVATE_DIRECTORY if entry.is_dir(follow_symlinks=False) else PRIVATE
                if entry.name in public:
                    kept = PUBLIC
                if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                    _keep_bits(Path(entry.path), kept, me)
    except OSError as error:
        raise state_error(directory, error, "take the rights of other users away here") from error


def _keep_bits(path: Path, kept: int, owner: int | None = None) -> None:
    """Remove every permission but `kept`. A file that another process has just replaced is passed over."""
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        if status.st_mode & 0o777 & ~kept and owner in (None, status.st_uid):
            path.chmod(status.st_mode & kept)
