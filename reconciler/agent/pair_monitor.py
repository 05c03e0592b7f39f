"""Turn the status of the watchdog into alerts and metrics: its reasons, its role, and the lack of a status.

The watchdog sends no alerts itself: it must not wait for anything that could hang. While it publishes no status its
reasons are unknown, so firing ones stay firing. `core/alerts/pair_alerts` builds the alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reconciler.agent.pair_metrics import PairMetrics
from reconciler.core.alerts.alert import Alert, AlertKind, alert_from_document
from reconciler.core.alerts.conditions import Conditions
from reconciler.core.alerts.pair_alerts import (
    HOLD_S,
    LASTING_ROLES,
    ROLE_S,
    hold_time_s,
    is_role_change,
    reason_alert,
    reason_subject,
    role_alert,
    watchdog_alert,
)
from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.files import read_json, write_json
from reconciler.system.node import Node
from reconciler.system.watchdog_client import StatusReading, read_status

#: Interval between two readings of the status.
POLL_S: Final = 0.5


class PairMonitor:
    """Reads the status of the watchdog. Belongs to the loop of the agent; `emit` takes alerts.

    `path` keeps the firing alerts over a restart, so that the end of each is reported. `firing`: alerts that were
    delivered and have not ended; an agent that was killed may not have written them to `path`.
    """

    def __init__(
        self,
        node: Node,
        path: Path,
        metrics: PairMetrics,
        emit: Callable[[Alert], None],
        clock: Callable[[], float] = monotonic_s,
        wall: Callable[[], float] = wall_s,
        firing: tuple[Alert, ...] = (),
    ) -> None:
        self._node, self._path, self._metrics, self._emit = node, path, metrics, emit
        self._clock, self._wall = clock, wall
        self._since: dict[str, float] = {}
        self._missing_since_s: float | None = None
        self._polled_s = float("-inf")
        kept, self._role, self._pair = _read_memory(path)
        self._conditions = kept.merged(firing)
        self.problem = ""
        #: The fresh status of the last reading, None without one.
        self.status: WatchdogStatus | None = None

    @property
    def interval_s(self) -> float:
        """How long the loop may sleep before the next `poll`."""
        return POLL_S

    def poll(self) -> None:
        """Read the status, unless the last reading is recent, and emit what has changed. Never raises."""
        now_s = self._clock()
        if now_s - self._polled_s < POLL_S / 2:
            return
        self._polled_s = now_s
        reading = read_status(self._node)
        if reading is None:
            return
        status = self.status = reading.status if reading.fresh else None
        self._metrics.show(status)
        present = list(self._present(status, reading, now_s, self._wall()))
        conditions, transitions = self._conditions.updated(present, self._wall())
        role = status.role if status is not None and status.role in LASTING_ROLES else self._role
        pair = status.pair if status is not None and status.pair else self._pair
        try:
            for alert in transitions:
                self._emit(alert)
            if transitions or (role, pair) != (self._role, self._pair):
                firing = [alert.document() for alert in conditions.firing]
                write_json(self._path, {"role": role, "pair": pair, "standing": firing})
        except HagitError as error:
            # Emit them again at the next reading: better twice than never.
            self.problem = str(error)
        else:
            self._conditions, self._role, self._pair, self.problem = conditions, role, pair, ""

    def _present(
        self, status: WatchdogStatus | None, reading: StatusReading, now_s: float, at_s: float
    ) -> Iterator[Alert]:
        """The alerts of all present conditions. `status`: the fresh one; `now_s` is monotonic, `at_s` since 1970."""
        firing = self._conditions.firing
        has_new_role = status is not None and is_role_change(self._role, status.role)
        yield from (
            alert
            for alert in firing
            if alert.kind is AlertKind.ROLE_CHANGED and at_s - alert.since_s < ROLE_S and not has_new_role
        )
        if status is None:
            self._missing_since_s = now_s if self._missing_since_s is None else self._missing_since_s
            yield from (alert for alert in firing if alert.kind is AlertKind.HA_REASON)
            known = any(alert.kind is AlertKind.WATCHDOG_DOWN for alert in firing)
            if known or now_s - self._missing_since_s >= HOLD_S:
                yield watchdog_alert(self._pair, self._node.controller, reading.problem, at_s)
            return
        self._missing_since_s = None
        yield from self._reasons(status, now_s, at_s)
        if has_new_role:
            yield role_alert(status, self._node.controller, self._role, at_s)

    def _reasons(self, status: WatchdogStatus, now_s: float, at_s: float) -> Iterator[Alert]:
        """The alerts of reasons that have lasted long enough."""
        before, self._since = self._since, {}
        known = {alert.subject for alert in self._conditions.firing if alert.kind is AlertKind.HA_REASON}
        for reason in status.reasons:
            subject = reason_subject(reason)
            self._since[subject] = before.get(subject, now_s)
            if subject in known or now_s - self._since[subject] >= hold_time_s(reason.code):
                yield reason_alert(status, reason, at_s)


def _read_memory(path: Path) -> tuple[Conditions, str, str]:
    """The firing alerts, the role and the name of the pair when the agent ended; empty when the file is damaged."""
    try:
        document: Any = read_json(path) or {}
        firing = tuple(alert_from_document(alert) for alert in document.get("standing", ()))
        return Conditions(firing), str(document.get("role", "")), str(document.get("pair", ""))
    except (HagitError, ValueError, TypeError, AttributeError):
        return Conditions(), "", ""


def pair_monitor_of(
    node: Node,
    path: Path,
    metrics: Callable[[], PairMetrics],
    emit: Callable[[Alert], None],
    firing: tuple[Alert, ...] = (),
) -> PairMonitor | None:
    """The monitor of an agent beside a watchdog; None where the node file names no watchdog."""
    return None if node.watchdog is None else PairMonitor(node, path, metrics(), emit, firing=firing)
