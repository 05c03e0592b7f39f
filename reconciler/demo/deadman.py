"""`python -m reconciler.demo.deadman SOCKET SHELF SIDE [COMMAND...]`: power and deadman of a simulated controller.

The controller is on as long as this process runs (`demo/powered_controller`). Its daemons connect to SOCKET; the kernel
names their processes (SO_PEERCRED). Each message is `feed MS`, `disarm`, `reset` or a greeting. A reset happens when
the time runs out, when a daemon asks for it, or when this process gets SIGTERM (a power loss): the daemons get SIGKILL,
the pools are gone, and COMMAND removes the rest: addresses, carrier, files in /run. When the time ran out, the
file `SOCKET.fired` is left. Then this process ends.
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

from reconciler.core.failover.reservations.key import Side
from reconciler.demo.powered_controller import PoweredController

COMMAND_S: Final = 30.0
LINE_BYTES_MAX: Final = 100


class DeadmanSimulator:
    """One deadman. `due_s`: when it fires (monotonic seconds), None while disarmed. `why`: the cause of the reset."""

    def __init__(self, path: Path, life: PoweredController, command: list[str]) -> None:
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
        """Run until the reset."""
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
        # A handle, because the number of an ended process may be given to another.
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
        """Forget a daemon that closed its connection. An armed deadman goes on counting."""
        self.selector.unregister(daemon)
        os.close(self.daemons.pop(daemon))
        daemon.close()

    def _end(self) -> None:
        """Reset: kill the daemons, end the life, run COMMAND."""
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
    """Run one life of a controller."""
    path, shelf, side, *command = sys.argv[1:]
    deadman = DeadmanSimulator(Path(path), PoweredController(Path(shelf), Side(side)), command)
    print("ready", flush=True)
    deadman.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
