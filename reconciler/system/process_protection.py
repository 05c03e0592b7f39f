"""Protection of a process against other load: real-time priority, locked memory, the OOM killer, death of its parent.

The daemon runs before its workers, so that it notices when a worker fails. Every call is best effort: the caller gets
the problem in words and goes on. Does not decide which process needs which protection.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
from pathlib import Path
from typing import Final

from reconciler.errors import StateError

#: Real-time priorities: above every program that is not real time, below the kernel's own threads.
DAEMON_PRIORITY: Final = 50
WORKER_PRIORITY: Final = 40
#: sys/mman.h: lock what is mapped now and later, each page when it is touched, so that unused memory costs nothing.
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
#: linux/prctl.h.
PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
COMM_BYTES_MAX: Final = 15
OOM_SCORE: Final = Path("/proc/self/oom_score_adj")


def protect_daemon() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Protect this process as a daemon whose heartbeats must not be late.

    Returns what is missing, so that heartbeats may be late, and which other protection failed.
    """
    missing, problems = [], []
    freeze_imports()
    gc.set_threshold(10_000, 20, 100)
    if problem := lock_memory():
        missing.append(f"its memory is not locked: {problem}")
    if problem := set_real_time(DAEMON_PRIORITY):
        missing.append(f"it has no real-time priority: {problem}")
    try:
        OOM_SCORE.write_text("-1000")
    except OSError as error:
        problems.append(f"the OOM killer does not spare this process: {error.strerror}")
    return tuple(missing), tuple(problems)


def protect_worker() -> None:
    """Protect this process or thread as a worker: a reservation proof or a client waits for its answer."""
    set_real_time(WORKER_PRIORITY)
    lock_memory()


def set_real_time(priority: int, *, inherited: bool = False) -> str:
    """Run before all normal programs (sched(7), SCHED_RR). Returns the problem, or "".

    The priority belongs to the calling thread. Its children get it too if `inherited`.
    """
    policy = os.SCHED_RR if inherited else os.SCHED_RR | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def set_normal_priority() -> None:
    """Run among all other programs."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def lock_memory() -> str:
    """Keep all memory of this process from being swapped out (mlockall(2)). Returns the problem, or ""."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0:
        return ""
    return os.strerror(ctypes.get_errno())


def freeze_imports() -> None:
    """Exclude everything loaded so far from garbage collection: it lives as long as the process.

    In a process that forks, its memory stays shared with the children, because no collection writes to it.
    """
    gc.collect()
    gc.freeze()


def die_with_parent(name: str) -> None:
    """Be killed when the thread that started this process ends, and be called `name` in lists of processes (prctl(2)).

    Raises StateError when the kernel refuses that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, name.encode()[:COMM_BYTES_MAX], 0, 0, 0)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise StateError(f"prctl: {os.strerror(ctypes.get_errno())}")
