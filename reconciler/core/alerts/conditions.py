"""Conditions that last: which of them are new, which have ended, and when each began.

Takes the alerts of all present conditions and compares them with those before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reconciler.core.alerts.alert import Alert, AlertStatus


@dataclass(frozen=True, slots=True)
class Conditions:
    """The present conditions, each as its FIRING alert."""

    firing: tuple[Alert, ...] = ()

    def merged(self, others: Iterable[Alert]) -> Conditions:
        """These and `others` (each FIRING); where both are about the same condition, this one counts."""
        known = {alert.identity for alert in self.firing}
        return Conditions((*self.firing, *(alert for alert in others if alert.identity not in known)))

    def updated(self, current: Iterable[Alert], now_s: float) -> tuple[Conditions, tuple[Alert, ...]]:
        """The new conditions, and the transitions: FIRING for each new condition, RESOLVED for each that ended.

        A condition that goes on keeps its beginning. A changed text is kept and is no transition.
        """
        before = {alert.identity: alert for alert in self.firing}
        after: dict[str, Alert] = {}
        transitions: list[Alert] = []
        for alert in current:
            known = before.get(alert.identity)
            if known is None:
                transitions.append(alert)
            after[alert.identity] = alert if known is None else replace(alert, since_s=known.since_s)
        ended = [alert for identity, alert in before.items() if identity not in after]
        transitions += [replace(alert, status=AlertStatus.RESOLVED, ended_s=now_s) for alert in ended]
        return Conditions(tuple(after.values())), tuple(transitions)
