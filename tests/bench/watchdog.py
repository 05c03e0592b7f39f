"""Group 6: what a watchdog at rest costs at the default timers: memory, processor, modules; loop and workers apart.

Memory by proc_pid_smaps_rollup(5), processor time by proc_pid_stat(5). Both controllers of a pair are measured: the
active one writes disk heartbeats and answers for its addresses, the standby one only looks.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final

from reconciler.core.failover.orders.orders import Timers
from tests.bench.figure import Figure, Group
from tests.bench.stopwatch import PYTHON, ROOT
from tests.watchdog.pair import ORDERS, Head, Pair

AIM_MB: Final = 40.0
AIM_PERCENT: Final = 1.0
#: At rest for so long, in parts of which each is one sample.
SAMPLE_S: Final = 20.0
_COUNT: Final = "import sys, reconciler.cli.entry, {}; print(len(sys.modules))"


@dataclass(frozen=True, slots=True)
class Cost:
    """Samples of the processor, in percent of one core, and memory in MB (10^6 bytes)."""

    loop_percent: tuple[float, ...]
    workers_percent: tuple[float, ...]
    loop_mb: float
    workers_mb: float


def measure(directory: Path, runs: int) -> Group:
    """At least three samples."""
    pair = Pair(directory, replace(ORDERS, timers=Timers()))
    try:
        pair.settle()
        Event().wait(5.0)
        active, standby = _costs(pair.both(), max(3, runs // 5))
    finally:
        pair.close()
    figures = (
        Figure("active, loop: resident (RSS)", (active.loop_mb,), "MB", aim=AIM_MB),
        Figure("active, fork server and 5 workers: their share (PSS)", (active.workers_mb,), "MB"),
        Figure("active, loop: processor", active.loop_percent, "%", aim=AIM_PERCENT),
        Figure("active, workers: processor", active.workers_percent, "%", aim=AIM_PERCENT),
        Figure("standby, loop: resident (RSS)", (standby.loop_mb,), "MB", aim=AIM_MB),
        Figure("standby, fork server and 5 workers: their share (PSS)", (standby.workers_mb,), "MB"),
        Figure("standby, loop: processor", standby.loop_percent, "%", aim=AIM_PERCENT),
        Figure("standby, workers: processor", standby.workers_percent, "%", aim=AIM_PERCENT),
        Figure("modules loaded, loop", (_modules("reconciler.watchdog.main"),), ""),
        Figure("modules loaded, worker", (_modules("reconciler.watchdog.fork_server"),), ""),
    )
    notes = (
        f"at rest with the default timers, on a simulated shelf of {len(ORDERS.disks)} disks; percent of one "
        f"core, each sample over {SAMPLE_S:g} s",
        "workers share most of their memory with the fork server: RSS would count it again for each",
    )
    return Group("A watchdog at rest", figures, notes)


def _costs(heads: tuple[Head, Head], samples: int) -> list[Cost]:
    processes = [_processes(head) for head in heads]
    used = [[(_used_s(loop), sum(map(_used_s, workers))) for loop, *workers in processes]]
    taken_s = [time.monotonic()]
    for _ in range(samples):
        Event().wait(SAMPLE_S)
        used.append([(_used_s(loop), sum(map(_used_s, workers))) for loop, *workers in processes])
        taken_s.append(time.monotonic())
    return [
        Cost(
            loop_percent=_percent([moment[number][0] for moment in used], taken_s),
            workers_percent=_percent([moment[number][1] for moment in used], taken_s),
            loop_mb=_megabytes(loop, "Rss"),
            workers_mb=sum(_megabytes(worker, "Pss") for worker in workers),
        )
        for number, (loop, *workers) in enumerate(processes)
    ]


def _percent(used_s: list[float], taken_s: list[float]) -> tuple[float, ...]:
    pairs = zip(used_s, used_s[1:], taken_s, taken_s[1:], strict=False)
    return tuple(100 * (after - before) / (end_s - begin_s) for before, after, begin_s, end_s in pairs)


def _processes(head: Head) -> list[int]:
    """The daemon, its fork server and the workers."""
    assert head.daemon is not None
    (fork_server,) = _children(head.daemon.pid)
    return [head.daemon.pid, fork_server, *_children(fork_server)]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _used_s(pid: int) -> float:
    """Seconds of processor of all threads, those that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return next(int(line.split()[1]) * 1_024 / 1e6 for line in lines if line.startswith(f"{what}:"))


def _modules(name: str) -> float:
    """How many modules a process has loaded that has imported this one, as its command line does."""
    done = subprocess.run(
        [PYTHON, "-c", _COUNT.format(name)], cwd=ROOT, capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    return float(done.stdout)
