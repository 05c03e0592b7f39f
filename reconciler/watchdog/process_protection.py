"""Staying alive: memory locked, scheduled before others, spared by the OOM killer, and known to systemd.

Everything here is best effort: what could not be had is said, and the daemon runs all the same. Does not
decide whether the daemon is healthy; whoever calls `alive` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import socket
from pathlib import Path
from typing import Final

#: sys/mman.h: lock what is mapped now and later; later only when it is touched, so that no reserve costs memory.
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
#: Above whatever is not real time, below the kernel's own threads.
PRIORITY: Final = 50
OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
STATUS_CHARACTERS_MAX: Final = 200


def protect_process() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lock, prioritise, spare. Says what is missing so that beats may come late, and what else could not be had."""
    missing, problems = [], []
    # What was imported is never rubbish; later collections look only at what came after.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)
    if problem := _lock():
        missing.append(f"its memory is not locked: {problem}")
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except OSError as error:
        missing.append(f"it has no real-time priority: {error.strerror}")
    try:
        OOM_SCORE.write_text("-1000")
    except OSError as error:
        problems.append(f"the OOM killer does not spare this process: {error.strerror}")
    return tuple(missing), tuple(problems)


def _lock() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return ""
    return os.strerror(ctypes.get_errno())


class SystemdNotifier:
    """systemd's notification socket (sd_notify(3)); silent when the daemon was not started by systemd."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        usec = os.environ.pop("WATCHDOG_USEC", "")
        #: What a daemon that takes over from this one needs in its environment.
        self.environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": usec} if address else {}
        self.interval_ms = int(usec) // 4_000 if usec.isdigit() and int(usec) >= 4_000 else 0
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) if address else None
        self._status = ""
        self._due_ms = 0

    def ready(self) -> None:
        """The daemon is up."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """The one line in `systemctl status`."""
        text = text.replace("\n", " ")[:STATUS_CHARACTERS_MAX]
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def watchdog(self, now_ms: int) -> None:
        """The loop turns. Told as often as systemd wants to hear it, not more."""
        if self.interval_ms and now_ms >= self._due_ms:
            self._due_ms = now_ms + self.interval_ms
            self._send("WATCHDOG=1")

    def main_process(self, pid: int, *, ready: bool = False) -> None:
        """Another process of this unit is its main process from now on. Counts only when the present one says so."""
        self._send(f"MAINPID={pid}" + ("\nREADY=1" if ready else ""))

    def extend_timeout(self, for_s: float) -> None:
        """The end takes so much longer (EXTEND_TIMEOUT_USEC, sd_notify(3))."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(for_s * 1_000_000)}")

    def stopping(self) -> None:
        """The daemon ends in good order."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._address)
