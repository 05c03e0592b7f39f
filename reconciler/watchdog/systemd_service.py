"""What the service manager does with the daemon: which end it asks for, and how one that runs is made its own again.

`systemctl restart` is a stop and then a start: systemd starts nothing before the main process has ended. So at SIGTERM
the daemon asks systemd which job this is (`JobQuery`). At a restart it first hands over to a successor, which the unit
leaves alone (KillMode=process), and ends; the process that systemd then starts finds a daemon at work, names it to
systemd as the main process of the unit, and ends (`adopt`). Any other end is one.
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
from reconciler.system.control_protocol import Request, RequestKind
from reconciler.system.files import holder_of
from reconciler.watchdog.event_loop import Loop, Timer, monotonic_ms
from reconciler.watchdog.process_protection import Systemd

#: The unit's name, which the unit file puts into the environment.
UNIT: Final = "HAGIT_UNIT"
QUERY_MS: Final = 20_000
ANSWER_BYTES_MAX: Final = 4_096
#: How long the end is put off at a time, and how often that is said.
EXTEND_S, EXTEND_AGAIN_MS = 5.0, 1_000
#: A daemon that answers nothing for so long hangs.
ANSWER_S: Final = 10.0
END_S: Final = 5.0
#: From when on it is worth a word that no service manager knows this daemon.
ALONE_MS: Final = 15_000


class JobQuery:
    """Asks systemd once which job it runs on this unit; `found` gets its type ("restart", "stop"), or ""."""

    def __init__(self, loop: Loop, unit: str, found: Callable[[str], None]) -> None:
        self._loop, self._found, self._heard = loop, found, b""
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
            while len(self._heard) <= ANSWER_BYTES_MAX and (data := os.read(self._pipe, ANSWER_BYTES_MAX)):
                self._heard += data
            self._end()

    def _end(self) -> None:
        assert self._process is not None and self._process.stdout is not None and self._timer is not None
        self._timer.cancel()
        self._loop.forget(self._pipe)
        self._process.stdout.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)
        self._found(job_type(self._heard.decode(errors="replace")))


def job_type(listed: str) -> str:
    """The type of the job in the only line of `systemctl list-jobs UNIT`: number, unit, type, state."""
    words = [line.split() for line in listed.splitlines()]
    return words[0][2] if len(words) == 1 and len(words[0]) == 4 else ""


class Service:
    """The daemon's place in its unit. `alone_ms`: since when no service manager knows it as a main process.

    `begin` starts a successor and `end` ends the daemon; `replaceable` says why there is nothing to be handed over.
    """

    def __init__(
        self,
        loop: Loop,
        systemd: Systemd,
        *,
        replaceable: Callable[[], str],
        begin: Callable[[], str],
        end: Callable[[], None],
    ) -> None:
        self._loop, self._systemd = loop, systemd
        self._replaceable, self._begin, self._stop = replaceable, begin, end
        self._asked = False
        self._extending = False
        self.alone_ms: int | None = None
        #: Whether a successor is to be the main process at once; not at a restart, see above.
        self.keeps_unit = True

    def asked_to_end(self) -> None:
        """SIGTERM. The second one while the first is being considered ends the daemon."""
        unit = os.environ.get(UNIT, "")
        if not unit or not self._systemd.environment or self._asked:
            self._stop()
            return
        self._asked = True
        self._extend()
        JobQuery(self._loop, unit, self._decide)

    def _decide(self, job: str) -> None:
        if job != "restart" or self._replaceable():
            self._stop()
            return
        self.keeps_unit = False
        if self._begin():
            self.failed("")

    def _extend(self) -> None:
        if self._asked:
            self._systemd.extend(EXTEND_S)
            self._loop.after(EXTEND_AGAIN_MS, self._extend)

    def failed(self, why: str) -> None:
        """No successor: this daemon goes on, past its unit's end (SendSIGKILL=no), until a start finds it."""
        if self._asked:
            self._asked, self.keeps_unit, self.alone_ms = False, True, monotonic_ms()

    def adopted(self) -> int:
        """A start of the unit has found this daemon: its process number."""
        self.alone_ms, self._asked, self.keeps_unit = None, False, True
        return os.getpid()

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Whether this daemon would not be started again."""
        if self.alone_ms is None or monotonic_ms() - self.alone_ms < ALONE_MS:
            return ()
        return (
            ReasonStatus(
                code="UNSUPERVISED",
                text="the daemon runs outside of its unit, and nothing starts it again when it ends",
                evidence=f"process {os.getpid()}",
                remedy="systemctl start hagit-watchdog makes it the unit's own again",
            ),
        )


def adopt(run: Path, systemd: Systemd) -> bool:
    """Whether a daemon runs here already and is the unit's main process now. One that answers nothing is ended."""
    if not systemd.environment:
        return False
    try:
        answer = client(run / "watchdog.sock", Request(RequestKind.ADOPT), ANSWER_S)
    except ControlError:
        _end_hung(run / "watchdog.lock")
        return False
    pid = answer.document.get("pid")
    if not answer.accepted or type(pid) is not int or pid != holder_of(run / "watchdog.lock"):
        return False
    systemd.main_process(pid, ready=True)
    return True


def _end_hung(lock: Path) -> None:
    """What systemd would do after its limit, had the unit not been told to leave the daemon alone."""
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
