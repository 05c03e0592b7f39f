"""Matters that stand for a while: given what is wrong now, what is news.

Decides which matters are new and which are over, and keeps when each began. Does not know how a matter was found or
who is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reconciler.core.alerts.alert import Alert, AlertStatus


@dataclass(frozen=True, slots=True)
class Conditions:
    """The matters that stand, each as its FIRING alert."""

    standing: tuple[Alert, ...] = ()

    def joined(self, others: Iterable[Alert]) -> Conditions:
        """These, and those of the others (each FIRING) that are about a matter which is not among them."""
        known = {alert.identity for alert in self.standing}
        return Conditions((*self.standing, *(alert for alert in others if alert.identity not in known)))

    def settle(self, current: Iterable[Alert], now_s: float) -> tuple[Conditions, tuple[Alert, ...]]:
        """The conditions from now on, and the news: a FIRING for each new matter, a RESOLVED for each that is over.

        A matter that goes on keeps its beginning; if its words changed it is no news, but the new words are kept.
        """
        before = {alert.identity: alert for alert in self.standing}
        after: dict[str, Alert] = {}
        news: list[Alert] = []
        for alert in current:
            known = before.get(alert.identity)
            if known is None:
                news.append(alert)
            after[alert.identity] = alert if known is None else replace(alert, since_s=known.since_s)
        over = [alert for identity, alert in before.items() if identity not in after]
        news += [replace(alert, status=AlertStatus.RESOLVED, ended_s=now_s) for alert in over]
        return Conditions(tuple(after.values())), tuple(news)
