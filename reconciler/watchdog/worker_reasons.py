"""Reasons that follow from the state of worker processes. Decides the words, and which worker means what.

The workers of the power switch and the audit are absent here: `power_fencing` and `takeover_audits` report them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reconciler.core.status.watchdog import ReasonStatus
from reconciler.watchdog.worker_handle import WorkerCondition
from reconciler.watchdog.worker_protocol import WORKER_TASKS, WorkerKind

SHARE_WORKERS: Final = frozenset({WorkerKind.SHARE_MOVER, WorkerKind.SHARE_MONITOR})


def worker_reasons(conditions: Iterable[WorkerCondition]) -> tuple[ReasonStatus, ...]:
    """A reason for each worker that had to be killed and has not been replaced."""
    found = []
    for worker in conditions:
        if worker.kind in (WorkerKind.POWER, WorkerKind.AUDITOR):
            continue
        if worker.stuck or (worker.problem and not worker.ready):
            shares = worker.kind in SHARE_WORKERS
            found.append(
                ReasonStatus(
                    code="SHARES_DOWN" if shares else "ARM_STUCK",
                    text=f"the worker process that {WORKER_TASKS[worker.kind]} had to be killed",
                    evidence=f"{worker.problem}; {worker.kills} killed, {worker.stuck} of them have not ended yet",
                    remedy="check disks, HBA and kernel log: a killed process that does not end waits for them",
                )
            )
    return tuple(found)
