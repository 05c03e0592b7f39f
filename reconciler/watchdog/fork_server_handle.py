"""The watchdog's handle on the fork server, the process from which all workers are forked.

The fork server has loaded every module that a worker needs. So a new worker costs a fork: milliseconds, and the memory
in which it differs. Decides when the fork server itself is started again. Leaves what a worker does to `worker_handle`,
and the inside of the process to `fork_server`.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import sys
from typing import Final

#: The first replacement comes at once, the next after this, then twice as late each time.
PAUSE_MS: Final = 100
PAUSE_MS_MAX: Final = 5_000
TEXT_BYTES_MAX: Final = 64


def pause_ms(failures: int) -> int:
    """How long to wait before the next start after so many failures in a row."""
    return 0 if failures < 2 else min(PAUSE_MS << min(failures - 2, 8), PAUSE_MS_MAX)


class ForkServerHandle:
    """Starts arms. `problem`: what was wrong with it last."""

    def __init__(self, selector: selectors.EpollSelector) -> None:
        self.problem = ""
        self._selector = selector
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._failures = 0
        self.start_ms = 0
        #: Killed and not reaped yet.
        self._unreaped: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, now_ms: int) -> socket.socket | None:
        """Have an arm started; returns our end of its socket. None: not now; try again at `start_ms`."""
        if self._control is None and (now_ms < self.start_ms or not self._start_process(now_ms)):
            return None
        assert self._control is not None
        near, far = socket.socketpair()
        near.setblocking(False)
        try:
            socket.send_fds(self._control, [name.encode()], [far.fileno()])
        except OSError as error:
            near.close()
            self.kill(now_ms, f"takes no request: {error.strerror}")
            return None
        finally:
            far.close()
        return near

    def take_started(self, now_ms: int) -> list[tuple[str, int]]:
        """Arms that were started, each with a descriptor of its process (pidfd_open(2)), which is the caller's now."""
        found: list[tuple[str, int]] = []
        while self._control is not None:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, TEXT_BYTES_MAX, 1)
            except BlockingIOError:
                break
            except OSError:
                data, descriptors = b"", []
            if not data or len(descriptors) != 1:
                self.kill(now_ms, "ended by itself")
                break
            self._failures = 0
            found.append((data.decode(), descriptors[0]))
        return found

    def kill(self, now_ms: int, why: str) -> None:
        """Kill it, and with it every arm; another is begun when one is needed."""
        if self._control is not None:
            self._selector.unregister(self._control)
            self._control.close()
            self._control = None
        self._failures += 1
        self.start_ms, self.problem = now_ms + pause_ms(self._failures), why
        if self._process is not None:
            self._process.kill()
            self._unreaped.append(self._process)
            self._process = None

    def reap(self, within_s: float = 0.0) -> None:
        """Let the kernel forget trunks that have ended; waits for each so long at the most."""
        for process in list(self._unreaped):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(within_s)
                self._unreaped.remove(process)

    def _start_process(self, now_ms: int) -> bool:
        self.reap()
        # Whole messages, each with its descriptor.
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reconciler.watchdog.fork_server", str(far.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(far.fileno(),),
                # In a group of its own: what is typed at a terminal is for the watchdog.
                process_group=0,
            )
        except OSError as error:
            near.close()
            self.kill(now_ms, f"cannot be started: {error.strerror}")
            return False
        finally:
            far.close()
        self._control = near
        self._selector.register(near, selectors.EVENT_READ, self)
        return True
