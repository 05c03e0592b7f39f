"""The daemon as a systemd service: finds out whether a stop is a restart, and lets a new unit start adopt a daemon.

`systemctl restart` is a stop and then a start: systemd starts nothing before the main process has ended. So at SIGTERM
the daemon asks systemd which job this is (`JobQuery`). At a restart it first hands over to a successor, which the unit
leaves alone (KillMode=process), and ends. The process that systemd then starts finds the running daemon, names it to
systemd as the main process of the unit, and ends (`adopt_running_daemon`). Any other job is a plain stop.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler.core.status.watchdog import ReasonStatus
from reconciler.errors import ControlError
from reconciler.system.control import client
from reconciler.system.control_protocol import ControlRequest, RequestKind
from reconciler.system.files import holder_of
from reconciler.system.systemd_notifier import SystemdNotifier
from reconciler.watchdog.event_loop import EventLoop, Timer, monotonic_ms

#: The environment variable in which the unit file names the unit.
UNIT: Final = "HAGIT_UNIT"
QUERY_MS: Final = 20_000
ANSWER_BYTES_MAX: Final = 4_096
#: Extension of the stop time-out, and the interval at which it is asked for.
EXTEND_S, EXTEND_AGAIN_MS = 5.0, 1_000
#: A daemon that does not answer for this long hangs.
ANSWER_S: Final = 10.0
END_S: Final = 5.0
#: The status names an unsupervised daemon after this time.
ALONE_MS: Final = 15_000


class JobQuery:
    """Asks systemd once which job it runs on this unit. Calls `found` with its type ("restart", "stop"), or ""."""

    def __init__(self, loop: EventLoop, unit: str, found: Callable[[str], None]) -> None:
        self._loop, self._on_answer, self._output = loop, found, b""
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: Timer | None = None
        try:
            self._process = subprocess.Popen(
                ["systemctl", "list-jobs", "--no-legend", "--plain", "--full", unit],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            loop.after(0, lambda: found(""))
            return
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        loop.watch(self._pipe, self._read)
        self._timer = loop.after(QUERY_MS, self._end)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(self._output) <= ANSWER_BYTES_MAX and (data := os.read(self._pipe, ANSWER_BYTES_MAX)):
                self._output += data
            self._end()

    def _end(self) -> None:
        assert self._process is not None and self._process.stdout is not None and self._timer is not None
        self._timer.cancel()
        self._loop.unwatch(self._pipe)
        self._process.stdout.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)
        self._on_answer(job_type(self._output.decode(errors="replace")))


def job_type(listed: str) -> str:
    """The type of the job in the only line of `systemctl list-jobs UNIT`: number, unit, type, state."""
    words = [line.split() for line in listed.splitlines()]
    return words[0][2] if len(words) == 1 and len(words[0]) == 4 else ""


class SystemdService:
    """The daemon as the main process of its systemd unit.

    `unsupervised_since_ms`: since when systemd does not know this daemon as a main process; None while it does.
    `begin` starts a successor, `end` ends the daemon, `replaceable` says why no hand-over is possible, or "".
    """

    def __init__(
        self,
        loop: EventLoop,
        systemd: SystemdNotifier,
        *,
        replaceable: Callable[[], str],
        begin: Callable[[], str],
        end: Callable[[], None],
    ) -> None:
        self._loop, self._systemd = loop, systemd
        self._why_not_replaceable, self._start_successor, self._end_daemon = replaceable, begin, end
        self._ending = False
        self._extending = False
        self.unsupervised_since_ms: int | None = None
        #: Whether a successor becomes the main process immediately. Not at a restart, see the module docstring.
        self.keeps_unit = True

    def terminate_requested(self) -> None:
        """Handle SIGTERM. A second one, before the first is decided, ends the daemon."""
        unit = os.environ.get(UNIT, "")
        if not unit or not self._systemd.environment or self._ending:
            self._end_daemon()
            return
        self._ending = True
        self._extend_timeout()
        JobQuery(self._loop, unit, self._decide)

    def _decide(self, job: str) -> None:
        if job != "restart" or self._why_not_replaceable():
            self._end_daemon()
            return
        self.keeps_unit = False
        if self._start_successor():
            self.successor_failed("")

    def _extend_timeout(self) -> None:
        if self._ending:
            self._systemd.extend_timeout(EXTEND_S)
            self._loop.after(EXTEND_AGAIN_MS, self._extend_timeout)

    def successor_failed(self, why: str) -> None:
        """Continue without a successor, past the stop of the unit (SendSIGKILL=no), until a start adopts it."""
        if self._ending:
            self._ending, self.keeps_unit, self.unsupervised_since_ms = False, True, monotonic_ms()

    def adopt_this_process(self) -> int:
        """Note that a start of the unit has adopted this daemon. Returns the process number."""
        self.unsupervised_since_ms, self._ending, self.keeps_unit = None, False, True
        return os.getpid()

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """The reason if systemd would not start this daemon again."""
        if self.unsupervised_since_ms is None or monotonic_ms() - self.unsupervised_since_ms < ALONE_MS:
            return ()
        return (
            ReasonStatus(
                code="UNSUPERVISED",
                text="the daemon runs outside of its unit, and nothing starts it again when it ends",
                evidence=f"process {os.getpid()}",
                remedy="systemctl start hagit-watchdog makes it the unit's own again",
            ),
        )


def adopt_running_daemon(run: Path, systemd: SystemdNotifier) -> bool:
    """Make a running daemon the main process of the unit. Returns whether there is one. Kills one that hangs."""
    if not systemd.environment:
        return False
    try:
        answer = client(run / "watchdog.sock", ControlRequest(RequestKind.ADOPT), ANSWER_S)
    except ControlError:
        _end_hung(run / "watchdog.lock")
        return False
    pid = answer.document.get("pid")
    if not answer.accepted or type(pid) is not int or pid != holder_of(run / "watchdog.lock"):
        return False
    systemd.main_process(pid, ready=True)
    return True


def _end_hung(lock: Path) -> None:
    """Kill a daemon that hangs, as systemd would do if the unit did not forbid it."""
    pid = holder_of(lock)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if holder_of(lock) == pid:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], END_S)
        finally:
            os.close(process)
    deadline_s = time.monotonic() + END_S
    while holder_of(lock) is not None and time.monotonic() < deadline_s:
        time.sleep(0.02)
