"""Group 7: heartbeats of a controller whose daemon is replaced while it runs, on the wire, at the default timers.

The gap is that between two frames of one controller as the other one's kernel gets them (`gaps`). A machine that is
slowed down tenfold is one whose processes all run for 5 ms and stand still for 45 ms, over and over (the freezer of
control groups): the new daemon is that much later ready, and the old one has that much less time for everything.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.core.failover.orders.orders import Timers
from reconciler.system.control_protocol import RequestKind
from tests.bench.figure import Figure, Group
from tests.bench.stopwatch import PYTHON, ROOT
from tests.watchdog.pair import ORDERS, Head, Pair

FREEZER: Final = Path("/sys/fs/cgroup/freezer")
RUNS_S, STANDS_S = 0.005, 0.045
#: How long a gap is looked for when nothing happens.
USUAL_S: Final = 2.0
#: A replacement on a machine that is slow and busy besides.
REPLACED_S: Final = 150.0
#: A slow replacement takes a quarter of a minute: more of them are for a night.
RUNS_MAX: Final = 50


@dataclass(slots=True)
class Wire:
    """The frames that reach the other controller."""

    program: subprocess.Popen[bytes]

    def worst_ms(self, *, again: bool = False) -> float:
        """The longest gap of the only sender there since the last `again`."""
        assert self.program.stdin is not None and self.program.stdout is not None
        self.program.stdin.write(b"again\n" if again else b"worst\n")
        self.program.stdin.flush()
        return max(json.loads(self.program.stdout.readline()).values(), default=0.0)


@contextlib.contextmanager
def listening(receiver: Head) -> Iterator[Wire]:
    """At the receiving end of the interlink."""
    argv = receiver.room.enter(PYTHON, "-m", "tests.bench.gaps", "link0")
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        yield Wire(program)
        assert program.stdin is not None
        program.stdin.close()


@contextlib.contextmanager
def slowed(head: Head, name: str) -> Iterator[None]:
    """The daemon of a controller, its children and whatever follows them have a tenth of the time."""
    group = FREEZER / f"hagit-bench-{name}"
    group.mkdir()
    over = threading.Event()

    def toggle() -> None:
        state = group / "freezer.state"
        while not over.is_set():
            state.write_text("FROZEN")
            over.wait(STANDS_S)
            state.write_text("THAWED")
            over.wait(RUNS_S)

    thread = threading.Thread(target=toggle)
    try:
        for pid in family(head.pid):
            (group / "cgroup.procs").write_text(str(pid))
        thread.start()
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (FREEZER / "cgroup.procs").write_text(pid)
        group.rmdir()


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found += [int(child) for child in children.split()]
    return found


def measure(directory: Path, runs: int) -> Group:
    """Each of `runs` replacements: of the active and of the standby controller, at full speed and slowed down."""
    count = min(runs, RUNS_MAX)
    figures = []
    pair = Pair(directory, replace(ORDERS, timers=Timers()))
    try:
        pair.settle()
        for head, other, role in ((pair.a, pair.b, "active"), (pair.b, pair.a, "standby")):
            with listening(other) as wire:
                figures += _figures(pair, head, wire, role, count)
                with slowed(head, head.side.value):
                    figures += _figures(pair, head, wire, f"{role}, slowed tenfold", count)
            assert (pair.a.phase, pair.b.phase) == ("active", "standby"), pair.describe()
        assert pair.a.went()[-1] == "active" and set(pair.b.went()) == {"standby"}, pair.describe()
    finally:
        pair.close()
    beat_ms = Timers().beat_ms
    notes = (
        f"a heartbeat every {beat_ms} ms; the aim for a replacement is one interval more than the usual worst gap",
    )
    return Group("Replacing the daemon: longest gap between heartbeats", tuple(figures), notes)


def _figures(pair: Pair, head: Head, wire: Wire, what: str, count: int) -> list[Figure]:
    usual, replaced = [], []
    for _ in range(count):
        wire.worst_ms(again=True)
        threading.Event().wait(USUAL_S)
        usual.append(wire.worst_ms())
        wire.worst_ms(again=True)
        assert head.ask(RequestKind.REPLACE).accepted
        head.until_replaced(REPLACED_S)
        threading.Event().wait(1.0)
        replaced.append(wire.worst_ms())
    aim = max(usual) + Timers().beat_ms
    return [
        Figure(f"{what}: nothing happens", tuple(usual)),
        Figure(f"{what}: replaced", tuple(replaced), aim=aim, judged=1.0),
    ]
