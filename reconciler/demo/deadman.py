"""`python -m reconciler.demo.deadman SOCKET SHELF SIDE [COMMAND...]`: power and deadman of a simulated controller.

One process for one life of a controller that is only namespaces: as long as it runs, the controller is on (see
`controller`). Whoever connects to SOCKET is a daemon there, known by its process (SO_PEERCRED). What it says, a message
each: `feed MS`, `disarm`, `reset`; anything else is a greeting. When the time runs out, a reset is asked for or this
process gets SIGTERM (the plug is pulled), the daemons get SIGKILL, the pools are gone, and COMMAND takes away what else
a reset takes away: addresses, carrier, the daemon's memory. Where nobody asked for it, a note `SOCKET.fired` is left.
Then this process ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from reconciler.core.failover.key import Side
from reconciler.demo.powered_controller import Life

COMMAND_S: Final = 30.0
LINE_BYTES_MAX: Final = 100


class Box:
    """One deadman. `due_s` is when it fires, None while nobody armed it. `why`: what ended this life."""

    def __init__(self, path: Path, life: Life, command: list[str]) -> None:
        self.path, self.life, self.command = path, life, command
        self.due_s: float | None = None
        self.why = ""
        self.daemons: dict[socket.socket, int] = {}
        self.selector = selectors.DefaultSelector()
        path.unlink(missing_ok=True)
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.server.bind(str(path))
        self.server.listen(8)
        self.selector.register(self.server, selectors.EVENT_READ)
        self.selector.register(life.socket, selectors.EVENT_READ)
        self.plug, far = socket.socketpair()
        far.setblocking(False)
        self.selector.register(self.plug, selectors.EVENT_READ)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(far.fileno())
        self._far = far

    def serve(self) -> None:
        """Until the end of this life."""
        while not self.why:
            wait_s = None if self.due_s is None else max(0.0, self.due_s - time.monotonic())
            for key, _ in self.selector.select(wait_s):
                if key.fileobj is self.server:
                    self._accept()
                elif key.fileobj is self.plug:
                    self.why = "the plug was pulled"
                elif key.fileobj is self.life.socket:
                    self.why = "the shelf took the power away"
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]
            if self.due_s is not None and time.monotonic() >= self.due_s and not self.why:
                self.path.with_name(self.path.name + ".fired").touch()
                self.why = "the deadman was not fed"
        self._end()

    def _accept(self) -> None:
        daemon, _ = self.server.accept()
        pid = struct.unpack("3i", daemon.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        # A handle, not a number: numbers are given to others when a process is gone.
        self.daemons[daemon] = os.pidfd_open(pid)
        self.selector.register(daemon, selectors.EVENT_READ)

    def _read(self, daemon: socket.socket) -> None:
        try:
            words = daemon.recv(LINE_BYTES_MAX).decode(errors="replace").split()
        except ConnectionError:
            words = []
        match words:
            case ["feed", number] if number.isdigit():
                self.due_s = time.monotonic() + int(number) / 1_000
            case ["disarm"]:
                self.due_s = None
            case ["reset"]:
                self.why = "the daemon asked for it"
            case []:
                self._drop(daemon)

    def _drop(self, daemon: socket.socket) -> None:
        """The process closed it or is gone. An armed deadman goes on counting."""
        self.selector.unregister(daemon)
        os.close(self.daemons.pop(daemon))
        daemon.close()

    def _end(self) -> None:
        """The reset."""
        for daemon, handle in tuple(self.daemons.items()):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            self._drop(daemon)
        self.life.end()
        print(f"{time.monotonic():.3f} reset: {self.why}", flush=True)
        if self.command:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(self.command, stdin=subprocess.DEVNULL, timeout=COMMAND_S, check=False)
        self.path.unlink(missing_ok=True)


def main() -> int:
    """Serve one life."""
    path, shelf, side, *command = sys.argv[1:]
    box = Box(Path(path), Life(Path(shelf), Side(side)), command)
    print("ready", flush=True)
    box.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
