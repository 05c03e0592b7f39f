"""Audits: regular checks for problems that would make a takeover fail or take long. The status shows what they find.

An audit runs when this controller has come to rest, after new orders, and every minute. A change of phase abandons the
running audit, because it needs the processors and disks. The core never learns what an audit finds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from reconciler.core.failover.heartbeats.failure_detector import network_alive
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import digest
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.system.findings import Finding
from reconciler.watchdog.daemon import STEADY, Daemon
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.worker_pool import WorkerAnswer
from reconciler.watchdog.worker_protocol import AuditReply, FailedReply, RunAudit

#: Delay between the end of one audit and the next.
INTERVAL_MS: Final = 60_000
#: Delay after a change of phase or orders, until its effects are over.
REST_MS: Final = 2_000
WITHIN_MS: Final = 20_000
#: The status names this many failed audits in a row.
FAILED_MAX: Final = 2


class AuditPort(Protocol):
    """What runs audits (`dispatcher`)."""

    on_audit_reply: Callable[[WorkerAnswer], None]

    def request_audit(self, request: RunAudit, within_ms: int) -> bool:
        """Start an audit. False if that is not possible now."""
        ...

    def abandon_audit(self) -> None:
        """Kill the running audit."""


class TakeoverAudits:
    """Starts the audits of this controller and keeps the findings of the last one."""

    def __init__(self, daemon: Daemon, board: AuditPort) -> None:
        self._daemon, self._workers = daemon, board
        board.on_audit_reply = self._handle_answer
        self._found: tuple[Finding, ...] = ()
        self._digest: int | None = None
        self._running = False
        self._due_ms = 0
        self._failures = 0
        self._problem = ""

    def phase_changed(self, after: State) -> None:
        """Abandon the running audit if the new phase is not steady, and plan the next one."""
        if self._running and after.phase not in STEADY:
            self._workers.abandon_audit()
            self._running = False
        self._due_ms = monotonic_ms() + REST_MS

    def start_if_due(self) -> None:
        """Start an audit if one is due. Called with every heartbeat."""
        core, now_ms = self._daemon.core, monotonic_ms()
        if core is None or core.phase not in STEADY:
            return
        if digest(core.orders) != self._digest:
            self._digest = digest(core.orders)
            self._due_ms = min(self._due_ms, now_ms + REST_MS)
        if not self._running and now_ms >= self._due_ms:
            self._running = self._workers.request_audit(RunAudit(_theirs(core, now_ms)), WITHIN_MS)

    def _handle_answer(self, answered: WorkerAnswer) -> None:
        self._running = False
        self._due_ms = answered.answered_ms + INTERVAL_MS
        if isinstance(answered.reply, AuditReply):
            self._found, self._failures = answered.reply.findings, 0
        elif isinstance(answered.reply, FailedReply):
            # The findings of the last complete audit stay.
            self._failures, self._problem = self._failures + 1, answered.reply.why
            self._due_ms = answered.answered_ms + REST_MS if self._failures < FAILED_MAX else self._due_ms

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """The findings, and whether audits fail."""
        found = [
            ReasonStatus(code=one.code, text=one.text, evidence=one.evidence, remedy=one.remedy) for one in self._found
        ]
        if self._failures >= FAILED_MAX:
            found.append(
                ReasonStatus(
                    code="AUDIT_FAILED",
                    text="the audit did not run, so problems that would make a takeover fail are unknown",
                    evidence=f"{self._problem}, {self._failures} times in a row",
                    remedy="look for a hanging zpool command or disk, and read the journal of hagit-watchdog",
                )
            )
        return tuple(found)


def _theirs(core: State, now_ms: int) -> bool:
    """Whether the peer has the pools: it says that it is active, its heartbeats arrive, and this side is standby."""
    beat = core.peer.beat
    return (
        core.phase is Phase.STANDBY and beat is not None and beat.phase is Phase.ACTIVE and network_alive(core, now_ms)
    )
