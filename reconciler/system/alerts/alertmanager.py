"""Alerts for Alertmanager: `POST /api/v2/alerts` (its OpenAPI document, version 2).

Decides which fields are labels (identity) and which are annotations, and when an alert ends there. When this agent
stops, its alerts end after Alertmanager's own `resolve_timeout`. `system/alerts/delivery` decides when to send.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from reconciler.core.alerts.alert import Alert
from reconciler.printing import printable
from reconciler.system.alerts.sender import SendResult, result_of_reply
from reconciler.system.alerts.targets import AlertmanagerTarget
from reconciler.system.http.client import HttpPoster

#: Interval at which a firing alert is sent again. The default of Alertmanager's `resolve_timeout` is five minutes.
REFRESH_INTERVAL_S: Final = 60.0
#: Shortest duration of an alert in Alertmanager. It sends no notice of an alert that ends before `group_wait` (30 s
#: unless configured), and healed drift ends within milliseconds.
DURATION_S_MIN: Final = 40.0

_TIMEOUT_S: Final = 5.0
_PATH: Final = "/api/v2/alerts"


def alertmanager_document(alert: Alert) -> dict[str, object]:
    """One element of the array: labels are the identity and the severity.

    A firing alert has no end: Alertmanager keeps the later of two ends (`Alert.Merge`). A resolved alert ends at its
    end, but not before `DURATION_S_MIN` has passed.
    """
    labels = {
        "alertname": alert_name(alert),
        "pair": alert.pair,
        "controller": alert.controller,
        "resource": alert.resource,
        "subject": alert.subject,
        "severity": alert.severity.value,
    }
    explained = ("summary", "desired", "live", "commit", "author", "signer", "origin", "remedy")
    annotations = {name: str(getattr(alert, name)) for name in explained}
    ends = {"endsAt": timestamp(max(alert.ended_s, alert.since_s + DURATION_S_MIN))} if alert.ended else {}
    return {
        "labels": {name: printable(text) for name, text in labels.items() if text},
        "annotations": {name: printable(text) for name, text in annotations.items() if text},
        "startsAt": timestamp(alert.since_s),
        **ends,
    }


def alert_name(alert: Alert) -> str:
    """`HagitDrift`, `HagitSourceUnreachable`."""
    return "Hagit" + "".join(word.capitalize() for word in alert.kind.value.split("-"))


def timestamp(at_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, from seconds since 1970."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AlertmanagerSender:
    """Sends to one Alertmanager."""

    batch_count_max = 200
    pause_s_max = 15.0

    def __init__(self, target: AlertmanagerTarget) -> None:
        base = target.url.rstrip("/")
        url = base if base.endswith(_PATH) else base + _PATH
        self._poster = HttpPoster(url, timeout_s=_TIMEOUT_S, ca_file=target.ca_file)

    def send(self, alerts: Sequence[Alert]) -> SendResult:
        """See `Sender`."""
        body = json.dumps([alertmanager_document(alert) for alert in alerts]).encode()
        return result_of_reply(self._poster.post(body, {"Content-Type": "application/json"}))

    def close(self) -> None:
        """See `Sender`."""
        self._poster.close()
