"""Running `zpool` and `zfs`: several at once, with a deadline, and never waiting for one that is stuck in the kernel.

Decides when a program is given up: at the deadline it is killed and left behind. A process that waits in the kernel
for a pool ends when the kernel lets it, so hagit does not wait for that; a caller that must know passes a lock that
the program inherits (`keep`). Programs die with the thread that started them (prctl(2), PR_SET_PDEATHSIG, by
setpriv(1)). Does not know what a program is for. No secret may stand in `argv`, where every user of the
machine can read it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Where zpool and zfs are, whatever PATH a service was started with.
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What is read of a program's words.
OUTPUT_BYTES_MAX: Final = 64 << 20
ERROR_BYTES_MAX: Final = 64 << 10
#: getpriority(2), for what clients wait for: before everything that has no real-time priority.
URGENT: Final = -15
#: env(1), setpriv(1): the program could not be started.
NOT_STARTED: Final = (126, 127)


@dataclass(frozen=True, slots=True)
class Ended:
    """The program ended by itself. `code` is negative for a signal."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """The deadline passed; the program was killed, and what it asked of the kernel may still be done."""

    deadline_s: float


@dataclass(frozen=True, slots=True)
class Absent:
    """The program could not be started."""

    program: str
    why: str


Outcome: TypeAlias = Ended | Overdue | Absent
Program: TypeAlias = "subprocess.Popen[bytes]"


def fault_of(outcome: Outcome) -> str:
    """Why a program did not do what it was run for, in its own words where it has any; empty when it did."""
    match outcome:
        case Ended(0, _, _):
            return ""
        case Ended(code, _, stderr):
            return stderr.strip() or f"ended with {code}"
        case Overdue(deadline_s):
            return f"no answer within {deadline_s:.3g} s"
        case Absent(program, why):
            return f"{program}: {why}"


def start(argv: Sequence[str], *, stdin: int, stdout: int, stderr: int, keep: Iterable[int] = ()) -> Program:
    """Start a program that dies with the thread that starts it. Raises OSError when setpriv(1) cannot be started."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *argv],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        # Ours, with the places of the programs, and with their words as they are parsed.
        env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
        pass_fds=tuple(keep),
        process_group=0,
    )


class Running:
    """One program from its start; `fileno` is readable when it has ended (pidfd_open(2))."""

    def __init__(self, argv: Sequence[str], *, stdin: bytes = b"", keep: Iterable[int] = (), nice: int = 0) -> None:
        """Raises OSError when setpriv(1) cannot be started."""
        self.argv = tuple(argv)
        self._said = [os.memfd_create("stdout"), os.memfd_create("stderr")]
        given = os.memfd_create("stdin")
        try:
            os.write(given, stdin)
            os.lseek(given, 0, os.SEEK_SET)
            self._process = start(argv, stdin=given, stdout=self._said[0], stderr=self._said[1], keep=keep)
        except OSError:
            self._close()
            raise
        finally:
            os.close(given)
        self._pidfd = os.pidfd_open(self._process.pid)
        if nice:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)

    def fileno(self) -> int:
        """For selectors."""
        return self._pidfd

    def outcome(self) -> Ended | Absent:
        """What came of it; only when it has ended."""
        code = self._process.wait()
        stdout, stderr = (
            os.pread(descriptor, limit, 0).decode(errors="replace")
            for descriptor, limit in zip(self._said, (OUTPUT_BYTES_MAX, ERROR_BYTES_MAX), strict=True)
        )
        os.close(self._pidfd)
        self._close()
        if code in NOT_STARTED and stderr.startswith("setpriv:"):
            return Absent(self.argv[0], stderr.strip())
        return Ended(code, stdout, stderr)

    def abandon(self) -> None:
        """Kill it and never wait for it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        self._close()
        _abandoned.append(self._process)

    def _close(self) -> None:
        for descriptor in self._said:
            os.close(descriptor)


#: Killed and perhaps not ended; looked after whenever a program is run.
_abandoned: list[Program] = []


def abandoned() -> int:
    """How many killed programs of this process have not ended yet."""
    _abandoned[:] = [process for process in _abandoned if process.poll() is None]
    return len(_abandoned)


def run(argv: Sequence[str], *, deadline_s: float, stdin: bytes = b"", keep: Iterable[int] = ()) -> Outcome:
    """Run one program to its end or to the deadline. `keep`: descriptors that it holds as long as it lives."""
    return run_all([argv], width=1, deadline_s=deadline_s, stdin=stdin, keep=keep)[0]


def run_all(
    argvs: Sequence[Sequence[str]],
    *,
    width: int,
    deadline_s: float,
    stdin: bytes = b"",
    keep: Iterable[int] = (),
    nice: int = 0,
) -> list[Outcome]:
    """Run programs, at most `width` at a time, all within one deadline; outcomes in the order of `argvs`.

    What was not started by the deadline is Overdue, too. `nice`: see setpriority(2); where it may not be, it is not.
    """
    end_s = time.monotonic() + deadline_s
    kept = tuple(keep)
    abandoned()
    outcomes: list[Outcome] = [Overdue(deadline_s)] * len(argvs)
    waiting = list(enumerate(argvs))[::-1]
    running: dict[int, tuple[int, Running]] = {}
    poll = select.poll()
    while waiting or running:
        while waiting and len(running) < width:
            at, argv = waiting.pop()
            try:
                one = Running(argv, stdin=stdin, keep=kept, nice=nice)
            except OSError as error:
                outcomes[at] = Absent("setpriv", error.strerror or str(error))
                continue
            running[one.fileno()] = (at, one)
            poll.register(one.fileno(), select.POLLIN)
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            break
        for descriptor, _ in poll.poll(left_s * 1000) if running else ():
            poll.unregister(descriptor)
            at, one = running.pop(descriptor)
            outcomes[at] = one.outcome()
    for _, one in running.values():
        one.abandon()
    return outcomes
