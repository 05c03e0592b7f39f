"""One alert: something about a controller that a person should know, and later that it is over.

Decides what an alert says and when two alerts are about the same matter (`identity`) or are the same piece of news
(`transition`). Does not know targets, queues, retries or clocks: times are handed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, TypeAlias

#: No text of an alert is longer; what is cut ends in an ellipsis.
TEXT_LENGTH_MAX: Final = 1000

Document: TypeAlias = dict[str, str | float]


class AlertKind(StrEnum):
    """What the alert is about."""

    DRIFT = "drift"
    DRIFT_STORM = "drift-storm"
    FOREIGN = "foreign"
    REVISION_REFUSED = "revision-refused"
    REVISION_WAITS = "revision-waits"
    SOURCE_UNREACHABLE = "source-unreachable"
    UNSIGNED_ACCEPTED = "unsigned-accepted"
    APPLY_FAILED = "apply-failed"
    OBSERVATION_FAILED = "observation-failed"
    STATE_DAMAGED = "state-damaged"
    ORDERS_UNPUBLISHED = "orders-unpublished"
    ALERTS_COLLAPSED = "alerts-collapsed"
    ROLE_CHANGED = "role-changed"
    HA_REASON = "ha-reason"
    WATCHDOG_DOWN = "watchdog-down"


class AlertStatus(StrEnum):
    """Whether the matter stands or is over."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How soon a person should look, in the words Alertmanager configurations use."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is the case, where, since when, who asked for it and how to mend it.

    `resource` is `Kind/name` or empty, `subject` the key in words (`address 10.0.0.11/24 on eth1`), `summary` one
    sentence, `desired` and `live` values in words. `since_s` is when the matter began and `ended_s` when it was over
    (0 while it stands), both in seconds since 1970 (UTC). `origin` is `file:line`, `remedy` a command. `commit` is a
    full id; `signer` is empty when no signature was verified. A RESOLVED alert repeats the `since_s` of its FIRING.
    """

    kind: AlertKind
    status: AlertStatus
    pair: str
    controller: str
    subject: str
    summary: str
    since_s: float
    severity: Severity = Severity.WARNING
    resource: str = ""
    desired: str = ""
    live: str = ""
    ended_s: float = 0.0
    commit: str = ""
    author: str = ""
    signer: str = ""
    origin: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        for item in fields(self):
            text = getattr(self, item.name)
            if type(text) is str and len(text) > TEXT_LENGTH_MAX:
                object.__setattr__(self, item.name, text[: TEXT_LENGTH_MAX - 1] + "…")

    @property
    def ended(self) -> bool:
        """True when the matter is over."""
        return self.status is AlertStatus.RESOLVED

    @property
    def identity(self) -> str:
        """Which matter this is about: 32 hex digits, the same for FIRING and RESOLVED and after a restart."""
        return _digest(self.kind, self.pair, self.controller, self.resource, self.subject)

    @property
    def transition(self) -> str:
        """Which piece of news this is: 32 hex digits, the same however often it is sent."""
        return _digest(self.identity, self.status, repr(float(self.since_s)))

    def document(self) -> Document:
        """All fields, ready for JSON."""
        return {
            item.name: value.value if isinstance(value := getattr(self, item.name), StrEnum) else value
            for item in fields(self)
        }


def alert_from_document(document: Mapping[str, object]) -> Alert:
    """The alert that `Alert.document` described. Raises ValueError naming the field that does not fit.

    Unknown fields are passed over: an older hagit delivers what a newer one left behind.
    """
    known = {item.name for item in fields(Alert)}
    values: dict[str, str | float] = {}
    for name, value in document.items():
        if name not in known:
            continue
        if name.endswith("_s"):
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ValueError(f"the field {name!r} of an alert is not a number")
            values[name] = float(value)
        elif not isinstance(value, str):
            raise ValueError(f"the field {name!r} of an alert is not a text")
        else:
            values[name] = value
    try:
        values["kind"] = AlertKind(str(values["kind"]))
        values["status"] = AlertStatus(str(values["status"]))
        values["severity"] = Severity(str(values["severity"]))
        return Alert(**values)  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        raise ValueError(f"an alert lacks a field: {error}") from None


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
