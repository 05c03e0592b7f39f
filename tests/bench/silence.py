"""How long a client hears nothing when the active machine is killed and its port is cut, for programs people use today.

One client pings the shared address every 5 ms; the silence is the longest time between two answers. keepalived speaks
VRRP version 3 (RFC 5798), which knows intervals below a second; ucarp speaks CARP. Each run starts both machines anew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.demo.testbed import Machine, Testbed
from tests.bench.ear import Ear, Heard
from tests.bench.stopwatch import run_in

ADDRESS: Final = "10.77.1.10"
OWN: Final = {"a": "10.77.1.11", "b": "10.77.1.12"}
PROBE_MS: Final = 5
#: Answers in a row that count as being served.
STEADY: Final = 40
SETTLE_S: Final = 30.0
#: What measures goes before what is measured.
PRIORITY: Final = 80
#: Answers this long after the kill were under way before it.
IN_FLIGHT_S: Final = 0.02

KEEPALIVED: Final = """\
global_defs {{
  vrrp_version 3
  script_user root
}}
vrrp_instance shared {{
  state BACKUP
  interface data0
  virtual_router_id 20
  priority {priority}
  advert_int {interval}
  virtual_ipaddress {{
    {address}/24
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program under test: how it is started on a machine, by (machine, directory), preferred machine first."""

    name: str
    start: Callable[[Machine, Path], subprocess.Popen[bytes]]


@dataclass(frozen=True, slots=True)
class Probing:
    """A prober at work. `answers` are the moments of all answers heard so far, in seconds of the monotonic clock."""

    ear: Ear
    answers: list[float]

    def listen(self, until_s: float) -> None:
        """Hear answers until a moment."""
        while (left_s := until_s - time.monotonic()) > 0:
            self.take(self.ear.hear(left_s))

    def take(self, heard: list[Heard]) -> None:
        """Note the moments of answers."""
        self.answers.extend(float(one.line.split()[2]) for one in heard if not one.line.startswith("START"))

    def steady(self, timeout_s: float, since_s: float = 0.0) -> None:
        """Wait until answers come without a gap, counting those after a moment. Raises TimeoutError."""
        end_s = time.monotonic() + timeout_s
        while not self._is_steady(since_s):
            if time.monotonic() > end_s:
                raise TimeoutError(f"{ADDRESS} does not answer steadily within {timeout_s} s")
            self.take(self.ear.hear(0.1))

    def _is_steady(self, since_s: float) -> bool:
        last = self.answers[-STEADY:]
        within_s = STEADY * PROBE_MS * 3 / 1000
        return len(last) == STEADY and last[0] >= since_s and time.monotonic() - last[0] < within_s

    def silence_ms(self, since_s: float) -> float:
        """The longest time between two answers, of which the second came after `since_s`."""
        pairs = zip(self.answers, self.answers[1:], strict=False)
        return max(((after - before) * 1000 for before, after in pairs if after >= since_s), default=0.0)


def hurry(pid: int) -> None:
    """Let a process of the benchmark run before others, where that is allowed; its children do not."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))


@contextmanager
def at_once() -> Iterator[None]:
    """Nothing comes between two lines of this process."""
    hurry(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def probing(command: Sequence[str], cwd: Path | None = None) -> Iterator[Probing]:
    """A prober; the command says where it runs, and what it asks (`reconciler.demo.pinger`)."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd)
    hurry(process.pid)
    assert process.stdout is not None and process.stdin is not None
    try:
        with Ear({"prober": process.stdout}) as ear:
            yield Probing(ear, [])
    finally:
        # Standard output last, or its last words break the pipe.
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def keepalived(interval_s: float) -> Contestant:
    """keepalived with adverts at this interval."""

    def start(machine: Machine, directory: Path) -> subprocess.Popen[bytes]:
        file = directory / f"{machine.name}.conf"
        priority = 150 if machine.name == "a" else 100
        file.write_text(KEEPALIVED.format(priority=priority, interval=f"{interval_s:g}", address=ADDRESS))
        run = directory / machine.name
        command = ["keepalived", "--dont-fork", "--vrrp", "--log-console", f"--use-file={file}"]
        command += [f"--pid={run}.pid", f"--vrrp_pid={run}-vrrp.pid"]
        return machine.start(command, directory / f"{machine.name}.log")

    return Contestant(f"keepalived, {interval_s:g} s", start)


def ucarp() -> Contestant:
    """ucarp with its shortest whole interval, 1 s."""

    def start(machine: Machine, directory: Path) -> subprocess.Popen[bytes]:
        for name, word in (("up", "add"), ("down", "del")):
            script = directory / f"{machine.name}-{name}"
            script.write_text(f"#!/bin/sh\nexec ip address {word} {ADDRESS}/24 dev data0\n")
            script.chmod(0o755)
        skew = "0" if machine.name == "a" else "10"
        command = ["ucarp", "-i", "data0", "-s", OWN[machine.name], "-v", "20", "-p", "silence", "-a", ADDRESS]
        command += ["-b", "1", "-k", skew, "-P", "-u", str(directory / f"{machine.name}-up")]
        command += ["-d", str(directory / f"{machine.name}-down")]
        return machine.start(command, directory / f"{machine.name}.log")

    return Contestant("ucarp, 1 s", start)


def silence_ms(contestant: Contestant, directory: Path, later_s: float = 0.0) -> float:
    """One run: both machines start, the preferred one is killed and its port cut.

    `later_s` is waited before: programs that start alike would die at the same moment between two advertisements.
    """
    directory.mkdir(parents=True)
    with Testbed() as testbed:
        for name, own in OWN.items():
            testbed[name].run("ip", "address", "add", f"{own}/24", "dev", "data0")
            testbed[name].run("ip", "link", "set", "data0", "up")
        prober = run_in(testbed["client"], "reconciler.demo.pinger", ADDRESS, str(PROBE_MS))
        with probing(prober) as client:
            first = contestant.start(testbed["a"], directory)
            client.steady(SETTLE_S)
            contestant.start(testbed["b"], directory)
            client.listen(time.monotonic() + 3.0 + later_s)
            client.steady(SETTLE_S)
            assert ADDRESS in testbed["a"].run("ip", "address", "show", "dev", "data0")
            killed_s = time.monotonic()
            # The port first: keepalived's child would still say good-bye when its parent dies.
            testbed["client"].run("ip", "link", "set", "a-data0", "down")
            kill(testbed["a"], first)
            client.steady(SETTLE_S, since_s=killed_s + IN_FLIGHT_S)
            return client.silence_ms(killed_s)


def kill(machine: Machine, process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the program and all its children, which run in one session (setsid(2))."""
    done = subprocess.run(["ps", "-o", "pid=", "--sid", str(process.pid)], capture_output=True, text=True, check=False)
    machine.started.remove(process)
    for pid in {process.pid, *map(int, done.stdout.split())}:
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], check=False, capture_output=True)
    process.wait(timeout=10)
