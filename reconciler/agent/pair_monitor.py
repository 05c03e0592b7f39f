"""What the agent has to say about the pair: the watchdog's reasons, its roles and its silence, as alerts and metrics.

The watchdog alerts nobody: it must not wait for anything that could hang. Decides which reasons are worth an alert,
when and how grave. While the watchdog is silent nothing is known, so what stood goes on standing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reconciler.agent.pair_metrics import PairMetrics
from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus, Severity, alert_from_document
from reconciler.core.alerts.conditions import Conditions
from reconciler.core.status.watchdog import WEAKENING, ReasonStatus, WatchdogStatus
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.files import read_json, write_json
from reconciler.system.node import Node
from reconciler.system.watchdog_client import StatusReading, read_status

#: Between two looks at the document.
LOOK_S: Final = 0.5
#: How long a reason, or silence, has to hold before it is told.
HOLD_S: Final = 2.0
#: The same for what comes and goes with every move; longer than that it is stuck.
MOVING_S: Final = 30.0
#: A change of role is told as a matter that is over after this time.
ROLE_S: Final = 300.0
MOVING: Final = frozenset(
    {"LOC_FAILOVER_ONGOING", "REM_FAILOVER_ONGOING", "LOC_RESTING", "LOC_NOT_READY", "NO_SYSTEM_READY", "REM_NOT_ABLE",
     "WOKE_LATE", "ADDRESS_MISSING"}
)  # fmt: skip
#: Reasons that do not weaken anything yet, or that a person has asked for.
MILD: Final = frozenset({"MAINTENANCE", "OVERRIDE", "NO_FAILOVER"}) | MOVING | WEAKENING
#: Roles that last.
ROLES: Final = frozenset({"MASTER", "BACKUP", "ERROR"})


class PairMonitor:
    """Looks at the watchdog's document. Belongs to the agent's loop; `tell` takes alerts.

    `path` keeps what stands over a restart, so that what is over by then is told, too. `firing` is what was told and is
    not over: an agent that was killed may not have come to keep it.
    """

    def __init__(
        self,
        node: Node,
        path: Path,
        metrics: PairMetrics,
        tell: Callable[[Alert], None],
        clock: Callable[[], float] = monotonic_s,
        wall: Callable[[], float] = wall_s,
        firing: tuple[Alert, ...] = (),
    ) -> None:
        self._node, self._path, self._metrics, self._tell = node, path, metrics, tell
        self._clock, self._wall = clock, wall
        self._since: dict[str, float] = {}
        self._silent_s: float | None = None
        self._looked_s = float("-inf")
        kept, self._role, self._pair = _recall(path)
        self._conditions = kept.merged(firing)
        self.problem = ""

    @property
    def interval_s(self) -> float:
        """How long the loop may sleep before the next look."""
        return LOOK_S

    def look(self) -> None:
        """Look, if the last look is long enough ago, and tell what is new. Never raises."""
        now_s = self._clock()
        if now_s - self._looked_s < LOOK_S / 2:
            return
        self._looked_s = now_s
        sight = read_status(self._node)
        if sight is None:
            return
        self._metrics.show(sight.status if sight.fresh else None)
        matters = list(self._matters(sight, now_s, self._wall()))
        conditions, news = self._conditions.updated(matters, self._wall())
        status = sight.status if sight.fresh else None
        role = status.role if status is not None and status.role in ROLES else self._role
        pair = status.pair if status is not None and status.pair else self._pair
        try:
            for alert in news:
                self._tell(alert)
            if news or (role, pair) != (self._role, self._pair):
                standing = [alert.document() for alert in conditions.firing]
                write_json(self._path, {"role": role, "pair": pair, "standing": standing})
        except HagitError as error:
            # Told again at the next look: better twice than never.
            self.problem = str(error)
        else:
            self._conditions, self._role, self._pair, self.problem = conditions, role, pair, ""

    def _matters(self, sight: StatusReading, now_s: float, at_s: float) -> Iterator[Alert]:
        standing = self._conditions.firing
        yield from (
            alert for alert in standing if alert.kind is AlertKind.ROLE_CHANGED and at_s - alert.since_s < ROLE_S
            and not self._new_role(sight)
        )  # fmt: skip
        if not sight.fresh or sight.status is None:
            self._silent_s = now_s if self._silent_s is None else self._silent_s
            yield from (alert for alert in standing if alert.kind is AlertKind.HA_REASON)
            known = any(alert.kind is AlertKind.WATCHDOG_DOWN for alert in standing)
            if known or now_s - self._silent_s >= HOLD_S:
                yield self._down(sight, at_s)
            return
        self._silent_s = None
        status = sight.status
        yield from self._reasons(status, now_s, at_s)
        if self._new_role(sight):
            yield self._role_changed(status, at_s)

    def _new_role(self, sight: StatusReading) -> bool:
        role = sight.status.role if sight.fresh and sight.status is not None else ""
        return bool(self._role) and role in ROLES and role != self._role

    def _reasons(self, status: WatchdogStatus, now_s: float, at_s: float) -> Iterator[Alert]:
        """The reasons that have held for long enough."""
        before, self._since = self._since, {}
        known = {alert.subject for alert in self._conditions.firing if alert.kind is AlertKind.HA_REASON}
        for reason in status.reasons:
            subject = f"{reason.code}: {reason.text}"
            self._since[subject] = before.get(subject, now_s)
            held_s = MOVING_S if reason.code in MOVING else HOLD_S
            if subject in known or now_s - self._since[subject] >= held_s:
                yield _reason_alert(status, reason, subject, at_s)

    def _role_changed(self, status: WatchdogStatus, at_s: float) -> Alert:
        moved = f"{self._role} → {status.role}"
        return Alert(
            kind=AlertKind.ROLE_CHANGED,
            status=AlertStatus.FIRING,
            pair=status.pair,
            controller=self._node.controller,
            subject=f"role {moved}",
            summary=f"{status.controller} is {status.role} now, it was {self._role}: {status.why}",
            since_s=at_s,
            severity=Severity.CRITICAL if status.role == "ERROR" else Severity.WARNING,
            live=status.role,
            remedy="hagit timeline",
        )

    def _down(self, sight: StatusReading, at_s: float) -> Alert:
        return Alert(
            kind=AlertKind.WATCHDOG_DOWN,
            status=AlertStatus.FIRING,
            pair=self._pair,
            controller=self._node.controller,
            subject="watchdog",
            summary=f"{sight.problem}: nobody vouches for failover on this controller",
            since_s=at_s,
            severity=Severity.CRITICAL,
            remedy="hagit status; systemctl status hagit-watchdog",
        )


def _reason_alert(status: WatchdogStatus, reason: ReasonStatus, subject: str, at_s: float) -> Alert:
    evidence = f" ({reason.evidence})" if reason.evidence else ""
    return Alert(
        kind=AlertKind.HA_REASON,
        status=AlertStatus.FIRING,
        pair=status.pair,
        controller=status.side,
        subject=subject,
        summary=f"{status.controller}: {reason.text}{evidence}",
        since_s=at_s,
        severity=Severity.WARNING if reason.code in MILD else Severity.CRITICAL,
        live=reason.evidence,
        remedy=reason.remedy,
    )


def _recall(path: Path) -> tuple[Conditions, str, str]:
    """What stood when the agent ended, the role and the pair's name then; nothing when the file is damaged."""
    try:
        document: Any = read_json(path) or {}
        standing = tuple(alert_from_document(alert) for alert in document.get("standing", ()))
        return Conditions(standing), str(document.get("role", "")), str(document.get("pair", ""))
    except (HagitError, ValueError, TypeError, AttributeError):
        return Conditions(), "", ""


def pair_monitor_of(
    node: Node,
    path: Path,
    metrics: Callable[[], PairMetrics],
    tell: Callable[[Alert], None],
    firing: tuple[Alert, ...] = (),
) -> PairMonitor | None:
    """The look at the pair of an agent that has a watchdog beside it, else None."""
    return None if node.watchdog is None else PairMonitor(node, path, metrics(), tell, firing=firing)
