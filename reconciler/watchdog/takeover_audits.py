"""What could make a takeover fail or take long, looked for now and then and told as reasons.

Decides when it is looked for: when this controller has come to rest, when it follows other orders, and every minute. A
controller that is on its way has better use for its processors and disks: what is being looked at then is given up.
Nothing that is found here is told to the core, so it never decides who writes.
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

#: Between the end of one look and the next.
INTERVAL_MS: Final = 60_000
#: After a change, until everything that follows from it is done.
REST_MS: Final = 2_000
WITHIN_MS: Final = 20_000
#: So many that were not answered in a row are told.
FAILED_MAX: Final = 2


class AuditPort(Protocol):
    """Whoever runs audits (`work`)."""

    on_audit_reply: Callable[[WorkerAnswer], None]

    def request_audit(self, request: RunAudit, within_ms: int) -> bool:
        """Begin; False: not now."""
        ...

    def abandon_audit(self) -> None:
        """Give up the one that is going on."""


class TakeoverAudits:
    """What the last audit of this controller found."""

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
        """The phase changed."""
        if self._running and after.phase not in STEADY:
            self._workers.abandon_audit()
            self._running = False
        self._due_ms = monotonic_ms() + REST_MS

    def start_if_due(self) -> None:
        """Whether an audit is due; to be called with every beat."""
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
            # What was found before is still the best that is known.
            self._failures, self._problem = self._failures + 1, answered.reply.why
            self._due_ms = answered.answered_ms + REST_MS if self._failures < FAILED_MAX else self._due_ms

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """What was found, and whether there is anybody to find it."""
        found = [
            ReasonStatus(code=one.code, text=one.text, evidence=one.evidence, remedy=one.remedy) for one in self._found
        ]
        if self._failures >= FAILED_MAX:
            found.append(
                ReasonStatus(
                    code="AUDIT_FAILED",
                    text="nobody could look for what would make a takeover fail",
                    evidence=f"{self._problem}, {self._failures} times in a row",
                    remedy="look for a hung zpool or disk, and into the journal of the watchdog",
                )
            )
        return tuple(found)


def _theirs(core: State, now_ms: int) -> bool:
    """Whether the peer has the pools: its last word that it is active is not old, and we have none."""
    beat = core.peer.beat
    return (
        core.phase is Phase.STANDBY and beat is not None and beat.phase is Phase.ACTIVE and network_alive(core, now_ms)
    )
