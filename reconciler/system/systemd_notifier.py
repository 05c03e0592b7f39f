"""systemd's notification socket (sd_notify(3)).

Sends readiness, the status line, the watchdog keep-alive and changes of the main process. Does nothing when systemd did
not start this process. Leaves the decision whether the daemon is healthy to the caller.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

STATUS_CHARACTERS_MAX: Final = 200


class SystemdNotifier:
    """The socket named by NOTIFY_SOCKET, and the keep-alive interval named by WATCHDOG_USEC.

    Takes both variables out of the environment, so that child processes do not use them. `environment` holds them for a
    successor of this daemon.
    """

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        usec = os.environ.pop("WATCHDOG_USEC", "")
        self.environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": usec} if address else {}
        self.interval_ms = int(usec) // 4_000 if usec.isdigit() and int(usec) >= 4_000 else 0
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) if address else None
        self._status = ""
        self._due_ms = 0

    def ready(self) -> None:
        """The daemon has started."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the status line that `systemctl status` shows."""
        text = text.replace("\n", " ")[:STATUS_CHARACTERS_MAX]
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def keep_alive(self, now_ms: int) -> None:
        """Report that the event loop runs, four times in each watchdog interval of systemd."""
        if self.interval_ms and now_ms >= self._due_ms:
            self._due_ms = now_ms + self.interval_ms
            self._send("WATCHDOG=1")

    def main_process(self, pid: int, *, ready: bool = False) -> None:
        """Name another process of this unit as its main process. systemd accepts this from the main process only."""
        self._send(f"MAINPID={pid}" + ("\nREADY=1" if ready else ""))

    def extend_timeout(self, for_s: float) -> None:
        """Ask for more time to stop, in seconds from now (EXTEND_TIMEOUT_USEC)."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(for_s * 1_000_000)}")

    def stopping(self) -> None:
        """The daemon ends in good order."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._address)
