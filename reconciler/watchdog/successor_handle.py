"""The running daemon's handle on the daemon that replaces it: starts the successor and hands over in one step.

The successor is started from the installed files, by the command line that started this process. It opens and looks at
everything while this daemon continues, and reports when it is ready. Then, after a heartbeat at which no activity is in
progress, one message gives it the state and the open files that only one process can have: lock, control socket,
deadman. *That message is the hand-over: before it only this daemon decides, after it only the successor.* A successor
that fails, hangs or takes too long is killed, and this daemon continues. A successor that dies right after the
hand-over is a crash of the daemon: the deadman is not fed and expires.

Leaves the content of the hand-over to `handover`, and the successor's side to `successor`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reconciler.core.status.watchdog import ReasonStatus
from reconciler.watchdog.event_loop import EventLoop, Timer

#: The option that starts a successor. The number of its descriptor follows.
OPTION: Final = "--succeed"
#: A successor that is not ready after this time is killed.
READY_MS: Final = 120_000
#: A ready successor waits at most this long for the end of the activity of this daemon.
RESTING_MS: Final = 600_000
MESSAGE_BYTES_MAX: Final = 1_000
WORDS_BYTES_MAX: Final = 4_000
SAID_CHARACTERS_MAX: Final = 400
COMMIT: Final = b"commit"


class HandedOver(Exception):
    """The successor decides from now on. Ends the event loop of this daemon immediately."""


def words_of(data: bytes) -> str:
    """The end of a program's output, on one line, with "?" for characters that do not print."""
    text = " ".join(data.decode(errors="replace").split())
    return "".join(character if character.isprintable() else "?" for character in text)[-SAID_CHARACTERS_MAX:]


class SuccessorHandle:
    """At most one successor at a time.

    `activity` names the activity that a hand-over must not interrupt, "" when there is none. `handover` returns what is
    sent: a descriptor of the document, then the open files. `on_failure` is called with the reason when no hand-over
    took place.
    """

    def __init__(
        self,
        loop: EventLoop,
        command: Sequence[str],
        environment: Mapping[str, str],
        activity: Callable[[], str],
        handover: Callable[[], tuple[int, ...]],
        *,
        ready_ms: int = READY_MS,
        resting_ms: int = RESTING_MS,
    ) -> None:
        self._ready_ms, self._resting_ms = ready_ms, resting_ms
        self._loop, self._command, self._environment = loop, tuple(command), dict(environment)
        self._activity, self._handover = activity, handover
        self.on_failure: Callable[[str], None] = lambda why: None
        self.failure = ""
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._stderr: int | None = None
        self._printed = b""
        self._waits_for = "it has not said anything yet"
        self._pidfd: int | None = None
        self._timer: Timer | None = None
        self._ready = False

    @property
    def running(self) -> bool:
        """Whether a successor was started and has neither taken over nor failed."""
        return self._socket is not None

    def start(self) -> str:
        """Start a successor, unless one is running. Returns why that failed, or ""."""
        if self.running:
            return ""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        words, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(theirs, True)
        self.failure, self._printed, self._ready, self.pid = "", b"", False, 0
        self._waits_for = "it has not said anything yet"
        try:
            self._process = subprocess.Popen(
                [*self._command, OPTION, str(far.fileno())],
                stdin=subprocess.DEVNULL,
                stderr=theirs,
                pass_fds=(far.fileno(),),
                env=os.environ | self._environment,
            )
        except OSError as error:
            near.close()
            os.close(words)
            self.failure = f"it cannot be started: {error.strerror}"
            return self.failure
        finally:
            far.close()
            os.close(theirs)
        self._socket, self._stderr = near, words
        self._loop.watch(near.fileno(), self._handle_message)
        self._loop.watch(words, self._read_stderr)
        late = f"not ready after {self._ready_ms // 1_000} s"
        self._timer = self._loop.after(self._ready_ms, lambda: self._fail(late))
        return ""

    def hand_over_if_ready(self) -> None:
        """Hand over if the successor is ready and no activity is in progress. Raises HandedOver after it."""
        if self._process is not None:
            # Reap the first process of the successor: it forks the successor and ends immediately.
            self._process.poll()
        if not self._ready or self._activity():
            return
        assert self._socket is not None
        handles = self._handover()
        try:
            # One packet arrives whole or not at all (unix(7), SOCK_SEQPACKET).
            socket.send_fds(self._socket, [COMMIT], list(handles))
        except OSError as error:
            self._fail(f"it does not take what it is given: {error.strerror}")
            return
        finally:
            os.close(handles[0])
        raise HandedOver

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Why the last attempt failed, until the next one."""
        if not self.failure:
            return ()
        return (
            ReasonStatus(
                code="SUCCESSOR_FAILED",
                text="a new daemon could not take over; the one that ran before continues",
                evidence=self.failure,
                remedy="correct what is named, then: systemctl reload hagit-watchdog",
            ),
        )

    def close(self) -> None:
        """Close the socket, which ends a waiting successor. One that has taken over is not affected."""
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in (self._stderr, self._socket.fileno() if self._socket is not None else None):
            if descriptor is not None:
                self._loop.unwatch(descriptor)
        if self._socket is not None:
            self._socket.close()
        for handle in (self._stderr, self._pidfd):
            if handle is not None:
                os.close(handle)
        self._socket = self._stderr = self._pidfd = self._timer = None
        self._ready = False

    def _handle_message(self) -> None:
        assert self._socket is not None
        try:
            data, handles, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES_MAX, 1)
        except BlockingIOError:
            return
        except OSError:
            data, handles = b"", []
        kind, _, text = data.partition(b" ")
        match kind:
            case b"hello" if len(handles) == 1 and text.isdigit() and self._pidfd is None:
                self.pid, self._pidfd = int(text), handles[0]
                return
            case b"waits":
                self._waits_for = words_of(text)
            case b"ready" if self._pidfd is not None and not self._ready:
                self._ready, self._waits_for = True, "it is ready"
                self._limit_rest(self._resting_ms)
            case _:
                self._read_stderr()
                self._fail("it ended" if not data else "it speaks another language")
        for handle in handles:
            os.close(handle)

    def _limit_rest(self, within_ms: int) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = self._loop.after(
            within_ms, lambda: self._fail(f"this controller is not at rest: {self._activity()}")
        )

    def _read_stderr(self) -> None:
        """Read what the successor prints on standard error before the hand-over."""
        if self._stderr is None:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._stderr, WORDS_BYTES_MAX):
                self._printed = (self._printed + data)[-WORDS_BYTES_MAX:]
            self._loop.unwatch(self._stderr)

    def _fail(self, why: str) -> None:
        """Kill the successor. This daemon continues."""
        self._read_stderr()
        said = words_of(self._printed)
        self.failure = f"{why}; {said}" if said else f"{why}; {self._waits_for}"
        # By its descriptor: after its end, another process may have its number.
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
        self.close()
        self.on_failure(self.failure)
