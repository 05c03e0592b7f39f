"""Watches the files of the pair's secrets, in a thread, so that the event loop never waits for a disk.

Checks three files once a second (`system/secret`) and reads them when one has changed. Decides nothing about the
content.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.heartbeats.keyring import Keyring
from reconciler.errors import HagitError
from reconciler.system.node import WatchdogNode
from reconciler.system.secret import next_path, pair_keyring, previous_path

POLL_S: Final = 1.0
STACK_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Content of the files. `ring` is None if the current secret is unusable; `problems` say what is wrong."""

    ring: Keyring | None
    problems: tuple[str, ...] = ()


def read_secret_files(watchdog: WatchdogNode) -> SecretFiles:
    """Read the files. Never raises because of their content."""
    try:
        return SecretFiles(*pair_keyring(watchdog))
    except HagitError as error:
        return SecretFiles(None, (f"{error.where}: {error.what}",))


class SecretWatcher:
    """When `fileno()` is readable, a file has changed and `take_files()` returns the content."""

    def __init__(self, watchdog: WatchdogNode) -> None:
        self._watchdog = watchdog
        self._paths = (watchdog.secret, next_path(watchdog.secret), previous_path(watchdog.secret))
        #: None differs from every stamp, so a change between the start of the daemon and the first check counts.
        self._stamp: tuple[object, ...] | None = None
        self._seen: deque[SecretFiles] = deque(maxlen=1)
        self._wake = threading.Event()
        self._stopped = False
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.stack_size(STACK_BYTES)
        self._thread = threading.Thread(target=self._run, name="secrets", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """The descriptor for the event loop."""
        return self._event

    def take_files(self) -> SecretFiles | None:
        """The content of the files, once after each change; None if they have not changed."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        return self._seen.pop() if self._seen else None

    def check_now(self) -> None:
        """Check the files now."""
        self._wake.set()

    def close(self, wait_s: float) -> None:
        """End the thread, if the disk answers within `wait_s`."""
        self._stopped = True
        self._wake.set()
        self._thread.join(wait_s)
        if not self._thread.is_alive():
            os.close(self._event)

    def _run(self) -> None:
        while not self._stopped:
            stamp = self._stamps()
            if stamp != self._stamp:
                self._stamp = stamp
                self._seen.append(read_secret_files(self._watchdog))
                os.eventfd_write(self._event, 1)
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _stamps(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        facts = path.stat()
    except OSError:
        return ()
    # With mode and owner: a secret that other users could read becomes usable when they no longer can.
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode, facts.st_uid
