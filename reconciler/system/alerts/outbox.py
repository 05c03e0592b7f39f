"""The outbox: alerts on disk until each target has received them.

The backlog (`core/alerts/backlog`) survives a restart, SIGKILL, a torn write and a full disk. Its records are lines
`crc32 json` in one file, appended and synchronised before `put` returns, and rewritten as a snapshot now and then. Torn
and damaged lines are skipped. A delivery whose record was lost is repeated: each alert reaches a target at least once,
and exactly once while the process lives. `system/alerts/delivery` sends the alerts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from reconciler.core.alerts.alert import Alert
from reconciler.core.alerts.backlog import ENTRY_COUNT_MAX, Backlog, QueuedAlert, Record, TargetMode
from reconciler.errors import StateError
from reconciler.system.files import Lock, make_directory, state_error

#: A larger log is refused: a full backlog takes some tens of megabytes.
LOG_BYTES_MAX: Final = 512 * 1024 * 1024

#: The log is rewritten after at least this many appended records.
APPENDED_COUNT_MAX: Final = 2_000

#: After a failed write, the whole backlog is written again after this time.
REWRITE_INTERVAL_S: Final = 10.0


class Outbox:
    """Alerts on their way. All methods may be called from any thread.

    Raises StateError when the directory cannot be used or another process uses it. An unreadable log does not prevent
    the start; its alerts are lost, and `damaged` counts its bad lines.
    """

    def __init__(
        self,
        directory: Path,
        *,
        entry_count_max: int = ENTRY_COUNT_MAX,
        rewrite_interval_s: float = REWRITE_INTERVAL_S,
    ) -> None:
        self._directory = directory
        self._path = directory / "outbox.log"
        self._changed = threading.Condition()
        self._backlog = Backlog(entry_count_max)
        self._version = 0
        self._appended = 0
        self._unsaved = False
        self._rewrite_interval_s = rewrite_interval_s
        self._rewrite_after_s = 0.0
        self._log = -1
        self.damaged = 0
        make_directory(directory, 0o700)
        self._resources = contextlib.ExitStack()
        self._resources.enter_context(Lock(directory / "outbox.lock", "agent"))
        try:
            self._open_log()
        except OSError as error:
            self.close()
            raise state_error(self._path, error, "open the outbox for alerts") from error

    def put(self, alert: Alert) -> bool:
        """Accept an alert for every target; False when it is known already.

        Raises StateError when it could not be stored. It is delivered all the same while this process lives.
        Alerts that were stored before stay stored, and later calls store this one as soon as that is possible.
        """
        with self._changed:
            entry = self._backlog.accept(alert)
            if entry is None:
                return False
            self._notify()
            self._record({"put": entry.number, "alert": alert.document()}, durable=True)
            return True

    def configure(self, targets: Mapping[str, TargetMode]) -> None:
        """Set the targets, by name, and forget what waited for others. Raises StateError."""
        with self._changed:
            if self._backlog.configure(targets):
                self._notify()
                self._record({"targets": {name: mode.value for name, mode in targets.items()}}, durable=True)

    def next_event(self, target: str) -> QueuedAlert | None:
        """The next alert of an EVENTS target; None when none waits."""
        with self._changed:
            return self._backlog.next_event(target)

    def state_alerts(self, target: str) -> tuple[QueuedAlert, ...]:
        """The alerts for a STATE target: all lasting conditions, and ended ones whose end it has not received."""
        with self._changed:
            return self._backlog.state_alerts(target)

    def mark_delivered(self, target: str, entries: Iterable[QueuedAlert]) -> None:
        """Record that the target has received these. Not synchronised: a crash may repeat them. Never raises."""
        with self._changed:
            for entry in entries:
                if self._backlog.targets.get(target) is TargetMode.STATE and not entry.alert.ended:
                    self._backlog.mark_announced(target, entry)
                else:
                    identity = entry.alert.identity
                    self._backlog.mark_delivered(target, entry.number, identity)
                    self._try_record({"done": entry.number, "target": target, "identity": identity})
            self._notify()

    def drop(self, target: str, entry: QueuedAlert) -> None:
        """Drop an alert that an EVENTS target refuses, count it, and go on with the next. Never raises."""
        if entry.number < 0:
            # The target refuses the count of dropped alerts itself: do not count that again.
            self.mark_delivered(target, (entry,))
            return
        with self._changed:
            self._backlog.drop(target, entry.number)
            self._try_record({"gave_up": entry.number, "target": target})
            self._notify()

    def firing(self) -> tuple[Alert, ...]:
        """The alerts of all lasting conditions, oldest first."""
        with self._changed:
            return self._backlog.firing()

    def pending_counts(self) -> dict[str, int]:
        """For each target, how many alerts it has not received yet."""
        with self._changed:
            return {name: self._backlog.pending_count(name) for name in self._backlog.targets}

    def dropped(self) -> dict[str, int]:
        """For each target, how many alerts were dropped and not reported to it yet."""
        with self._changed:
            return {name: count for name, count in self._backlog.dropped.items() if count}

    def version(self) -> int:
        """A number that rises with every change."""
        with self._changed:
            return self._version

    def wait(self, seen: int, timeout_s: float | None) -> int:
        """Wait until the version differs from `seen`, or for `timeout_s`; return the version."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout_s)
            return self._version

    def wake(self) -> None:
        """Wake all threads in `wait`."""
        with self._changed:
            self._notify()

    def close(self) -> None:
        """Close the log and release the directory. All alerts were written before."""
        with self._changed:
            if self._log >= 0:
                os.close(self._log)
            self._log = -1
            self._resources.close()
            self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _open_log(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._log = os.open(self._path, flags, 0o600)
        size = os.fstat(self._log).st_size
        if size > LOG_BYTES_MAX:
            raise OSError(errno.EFBIG, f"it is larger than {LOG_BYTES_MAX} bytes")
        with os.fdopen(os.dup(self._log), "rb") as stream:
            for line in stream:
                try:
                    self._backlog.replay(_read(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    self.damaged += 1
        try:
            self._snapshot()
        except OSError:
            # A full disk: append to the old log. The empty line ends a torn one.
            self._unsaved = True
            self._try_append(b"\n")

    def _record(self, record: Record, *, durable: bool) -> None:
        if self._log < 0:
            raise StateError("the outbox for alerts is closed", where=str(self._directory))
        if self._rewrite_when_due():
            return
        try:
            self._append(_line(record))
            self._appended += 1
            if durable:
                os.fdatasync(self._log)
        except OSError as error:
            self._unsaved = True
            raise state_error(self._path, error, "store an alert (it is delivered from memory)") from error

    def _rewrite_when_due(self) -> bool:
        """Write a snapshot when the log has grown or lacks something; True when that was done."""
        grown = self._appended >= max(APPENDED_COUNT_MAX, 2 * self._backlog.size())
        if not (grown or self._unsaved) or time.monotonic() < self._rewrite_after_s:
            return False
        try:
            self._snapshot()
        except OSError:
            self._rewrite_after_s = time.monotonic() + self._rewrite_interval_s
            return False
        return True

    def _try_record(self, record: Record) -> None:
        try:
            self._record(record, durable=False)
        except StateError:
            # The alert was delivered. Without the record it may be delivered again after a restart.
            return

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._log).st_size
        try:
            written = os.write(self._log, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            try:
                os.ftruncate(self._log, size)
            except OSError:
                self._try_append(b"\n")
            raise

    def _try_append(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._log, line)

    def _snapshot(self) -> None:
        """Write the whole backlog to a new file and replace the log by it. On failure the log stays as it was."""
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as stream:
                stream.writelines(map(_line, self._backlog.records()))
            os.fsync(descriptor)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
            fresh.rename(self._path)
        except OSError:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        os.close(self._log)
        self._log = descriptor
        self._appended = 0
        self._unsaved = False
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _line(record: Record) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(line: bytes) -> Record:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if int(checksum, 16) != zlib.crc32(text):
        raise ValueError("damaged")
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("not a record")
    return record
