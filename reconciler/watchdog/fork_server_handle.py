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

#: The first restart is immediate. The second waits this long, and each further one twice as long.
RESTART_DELAY_MS: Final = 100
RESTART_DELAY_MS_MAX: Final = 5_000
NAME_BYTES_MAX: Final = 64


def restart_delay_ms(failures: int) -> int:
    """Delay before the next start, after this number of failures in a row."""
    return 0 if failures < 2 else min(RESTART_DELAY_MS << min(failures - 2, 8), RESTART_DELAY_MS_MAX)


class ForkServerHandle:
    """Starts workers through the fork server. `problem`: why the fork server ended last, "" before the first time."""

    def __init__(self, selector: selectors.EpollSelector) -> None:
        self.problem = ""
        self._selector = selector
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._failures = 0
        self.start_ms = 0
        #: Killed fork servers that have not been reaped yet.
        self._unreaped: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, now_ms: int) -> socket.socket | None:
        """Have a worker forked. Returns the watchdog's end of its socket, or None: try again at `start_ms`."""
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
        """The workers forked since the last call, each with a descriptor of its process (pidfd_open(2)).

        The caller owns the descriptors.
        """
        found: list[tuple[str, int]] = []
        while self._control is not None:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, NAME_BYTES_MAX, 1)
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
        """Kill the fork server and with it every worker. The next `start` starts another one."""
        if self._control is not None:
            self._selector.unregister(self._control)
            self._control.close()
            self._control = None
        self._failures += 1
        self.start_ms, self.problem = now_ms + restart_delay_ms(self._failures), why
        if self._process is not None:
            self._process.kill()
            self._unreaped.append(self._process)
            self._process = None

    def reap(self, within_s: float = 0.0) -> None:
        """Reap killed fork servers. Waits for each at most `within_s`."""
        for process in list(self._unreaped):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(within_s)
                self._unreaped.remove(process)

    def _start_process(self, now_ms: int) -> bool:
        self.reap()
        # Sequenced packets: each message arrives whole, with its descriptor.
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reconciler.watchdog.fork_server", str(far.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(far.fileno(),),
                # A process group of its own: signals from a terminal go to the watchdog only.
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
