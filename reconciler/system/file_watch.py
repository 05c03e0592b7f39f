"""Noticing that a branch of a local repository moved, within a fraction of a second, by inotify.

Decides only that it is worth looking now; the caller reads the branch itself. Events are a hint and
never the truth: they overflow, and network filesystems send none. So the files that hold the branch are also looked at
every few seconds, and every second when the kernel has no watch left to give. Reading a repository makes events too;
only those of writing are listened to, or every look would cause the next.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

#: A push moves the branch once, and git touches a few more files around it.
DEBOUNCE_S = 0.05
#: How often the files are looked at with and without inotify.
RECHECK_S = 5.0
POLL_S = 1.0
_WRITING = [
    FileMovedEvent, FileCreatedEvent, FileClosedEvent, FileDeletedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip

_Print = tuple[tuple[int, int, int, int] | None, ...]


def git_directory(path: Path) -> Path | None:
    """Where the refs of the repository at `path` live: bare, with a worktree, or a linked worktree; None: nowhere.

    The layout is that of gitrepository-layout(5); a linked worktree has a `.git` file and a `commondir`.
    """
    candidate = path / ".git"
    try:
        if candidate.is_file():
            first, _, target = candidate.read_text(errors="replace").partition(": ")
            if first != "gitdir":
                return None
            candidate = path / target.strip()
            common = candidate / "commondir"
            if common.is_file():
                candidate = candidate / common.read_text(errors="replace").strip()
        elif not candidate.is_dir():
            candidate = path
        return candidate.resolve() if (candidate / "HEAD").is_file() else None
    except OSError:
        return None


class RepositoryWatch:
    """Calls `nudge` soon after `branch` of the repository at `path` moved; also when the whole repository is replaced.

    `nudge` runs in a thread of this watch and should only set an event. `warn` gets one sentence when inotify cannot
    be used, once. Nothing is raised; a repository that is not there yet is waited for.
    """

    def __init__(
        self, path: Path, branch: str, nudge: Callable[[], None], warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._path, self._branch, self._nudge, self._warn = path, branch, nudge, warn
        self._wake = threading.Event()
        self._closing = False
        self._warned = False
        self._observer: BaseObserver | None = None
        self._watched: tuple[Path, int] | None = None
        self._seen = self._look()
        self._attach()
        # Whatever happened between the first look and the first watch is found by one more look.
        self._wake.set()
        self._thread = threading.Thread(target=self._run, name="repository-watch", daemon=True)
        self._thread.start()

    @property
    def polling(self) -> bool:
        """Whether inotify is out of use at the moment."""
        return self._observer is None

    def close(self) -> None:
        """Stop watching; `nudge` is not called any more when this returns."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._detach()

    def __enter__(self) -> RepositoryWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            woken = self._wake.wait(POLL_S if self.polling else RECHECK_S)
            self._wake.clear()
            # Asked after the clearing, which may have swallowed the wake-up of `close`.
            if self._closing:
                return
            if woken:
                time.sleep(DEBOUNCE_S)
            if self._moved_away():
                self._attach()
            now = self._look()
            if now != self._seen:
                self._seen = now
                self._nudge()

    def _look(self) -> _Print:
        """What tells one state of the branch's files from another, without reading them."""
        directory = git_directory(self._path)
        if directory is None:
            return ()
        names = (f"refs/heads/{self._branch}", "packed-refs", "reftable/tables.list")
        return tuple(_identity(directory / name) for name in names)

    def _moved_away(self) -> bool:
        """Whether the directory that is watched is not the one at its place any more."""
        return self._watched != self._place()

    def _place(self) -> tuple[Path, int] | None:
        directory = git_directory(self._path)
        with contextlib.suppress(OSError):
            return None if directory is None else (directory, (directory / "refs").stat().st_ino)
        return None

    def _attach(self) -> None:
        """Watch what is there now; without inotify the files are polled."""
        self._detach()
        self._watched = self._place()
        if self._watched is None:
            return
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            self._schedule(observer, self._watched[0])
            observer.start()
        except OSError as error:
            if observer is not None:
                observer.stop()
            self._give_up(error)
            return
        self._observer = observer

    def _schedule(self, observer: BaseObserver, directory: Path) -> None:
        handler = _Handler(directory, self._branch, self._wake)
        observer.schedule(handler, str(directory / "refs"), recursive=True, event_filter=_WRITING)
        observer.schedule(handler, str(directory), recursive=False, event_filter=_WRITING)
        if (directory / "reftable").is_dir():
            observer.schedule(handler, str(directory / "reftable"), recursive=False, event_filter=_WRITING)

    def _give_up(self, error: OSError) -> None:
        """Poll from now on; say so once, unless the directory has merely vanished meanwhile."""
        if self._warned or self._place() is None:
            return
        self._warned = True
        self._warn(
            f"{self._path}: the kernel gives no file watch ({error.strerror or error}), so it is looked at every "
            f"{POLL_S:g} s; raise fs.inotify.max_user_watches or fs.inotify.max_user_instances"
        )

    def _detach(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()


class _Handler(FileSystemEventHandler):
    """Wakes the watch for the files that name the branch; called in a thread of the library."""

    def __init__(self, directory: Path, branch: str, wake: threading.Event) -> None:
        self._files = {
            str(directory / "refs" / "heads" / branch),
            str(directory / "packed-refs"),
            str(directory / "reftable" / "tables.list"),
        }
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """A lock that is moved over the file is how git writes it; `*.lock` itself is never in the set."""
        if (
            event.is_directory
            or os.fsdecode(event.src_path) in self._files
            or os.fsdecode(event.dest_path) in self._files
        ):
            self._wake.set()


def _identity(file: Path) -> tuple[int, int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
