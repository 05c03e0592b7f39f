"""The processor time that the programs of one process have used, as every other process sees it in /proc.

A program that computes goes on, also while it asks nothing of a disk: zfs(8) lists all filesystems, mostly from memory,
before it mounts the first. One that waits in the kernel uses no time. Counts the children of one process and theirs,
and nothing else: not that process itself, which waits for them, nor any other program of the machine. A process is
known by its number and the moment of its start, because numbers are given again. Waits for nothing; decides nothing.

Sources: proc_pid_stat(5), proc_tid_children(5). A kernel without CONFIG_PROC_CHILDREN lists no children, so there
nothing counts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
#: The unit of times in /proc, in one second (proc_pid_stat(5)).
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
#: No more descendants than this are looked at.
PROGRAMS_MAX: Final = 64
#: Where these stand behind the name of the program, whose words may hold anything.
_PARENT, _UTIME, _STIME, _START = 1, 11, 12, 19


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for ever. `start`: when it started, in ticks since the machine did."""

    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.pid} {self.start}"


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """What the kernel says of a process. `ticks`: processor time of all its threads, in user and kernel space."""

    parent: int
    start: int
    ticks: int


def parse_identity(text: str) -> ProcessIdentity | None:
    """The process whose `str` this is; None: it is no such text."""
    words = text.split()
    good = len(words) == 2 and all(word.isdecimal() and len(word) < 20 for word in words)
    return ProcessIdentity(int(words[0]), int(words[1])) if good else None


def parse_times(text: str) -> ProcessTimes | None:
    """From the text of /proc/PID/stat; None: it is no such text."""
    words = text.rpartition(")")[2].split()
    try:
        return ProcessTimes(int(words[_PARENT]), int(words[_START]), int(words[_UTIME]) + int(words[_STIME]))
    except (IndexError, ValueError):
        return None


def times_of(pid: int, proc: Path = PROC) -> ProcessTimes | None:
    """What the kernel says of this process now; None when it has ended."""
    with contextlib.suppress(OSError):
        return parse_times((proc / str(pid) / "stat").read_text(errors="replace"))
    return None


def this_process() -> ProcessIdentity | None:
    """The process that asks; None without /proc."""
    times = times_of(os.getpid())
    return ProcessIdentity(os.getpid(), times.start) if times is not None else None


def children(pid: int, proc: Path = PROC) -> list[int]:
    """The children of all threads of a process; none when it has ended."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in (proc / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def descendants(root: ProcessIdentity, proc: Path = PROC) -> Iterator[tuple[ProcessIdentity, int]]:
    """Every program below a process, and what it has used so far, in ticks; none when that process has ended."""
    waiting = [root]
    found = 0
    while waiting and found < PROGRAMS_MAX:
        above = waiting.pop()
        numbers = children(above.pid, proc)
        times = times_of(above.pid, proc)
        if times is None or times.start != above.start:
            # It ended meanwhile, and what was listed may be children of another one with its number.
            continue
        for number in numbers:
            times = times_of(number, proc)
            if times is not None and times.parent == above.pid:
                found += 1
                one = ProcessIdentity(number, times.start)
                waiting.append(one)
                yield one, times.ticks


class ProcessorTime:
    """Adds up what the programs below a process use, over their ends."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._used: dict[ProcessIdentity, int] = {}
        self._ticks = 0

    def look(self, root: ProcessIdentity | None) -> int:
        """Milliseconds of all programs seen so far; never less than before. None: of no further one."""
        seen = dict(descendants(root, self._proc)) if root is not None else {}
        self._ticks += sum(max(0, ticks - self._used.get(one, 0)) for one, ticks in seen.items())
        self._used = seen
        return self._ticks * 1_000 // TICKS_PER_S
