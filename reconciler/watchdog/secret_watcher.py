"""Notices that the files of the pair's secrets changed: a thread, so that the loop never waits for a disk.

Looks once a second at three files (`system/secret`) and reads them when one changed. Decides nothing about what it
reads.
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
    """What the files held: `ring` is None when the current secret is unfit, `problems` say what is wrong, in words."""

    ring: Keyring | None
    problems: tuple[str, ...] = ()


def look(watchdog: WatchdogNode) -> SecretFiles:
    """Read the files. Never raises for what they are."""
    try:
        return SecretFiles(*pair_keyring(watchdog))
    except HagitError as error:
        return SecretFiles(None, (f"{error.where}: {error.what}",))


class SecretWatcher:
    """`fileno()` is readable when a file changed; then `news()` says what they hold."""

    def __init__(self, watchdog: WatchdogNode) -> None:
        self._watchdog = watchdog
        self._paths = (watchdog.secret, next_path(watchdog.secret), previous_path(watchdog.secret))
        #: Unlike any: what changed between the start of the daemon and the first look counts.
        self._stamp: tuple[object, ...] | None = None
        self._seen: deque[SecretFiles] = deque(maxlen=1)
        self._wake = threading.Event()
        self._stopped = False
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.stack_size(STACK_BYTES)
        self._thread = threading.Thread(target=self._run, name="secrets", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """For the loop."""
        return self._event

    def take_files(self) -> SecretFiles | None:
        """What the files hold since they changed last, once."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        return self._seen.pop() if self._seen else None

    def check_now(self) -> None:
        """Look now."""
        self._wake.set()

    def close(self, wait_s: float) -> None:
        """End, if the disk lets it."""
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
                self._seen.append(look(self._watchdog))
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
    # The mode counts: a secret that others could read becomes fit when they no longer can.
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode, facts.st_uid
