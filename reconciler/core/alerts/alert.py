"""An alert: a condition of a controller that an operator should know, and later its end.

Defines the fields of an alert, and when two alerts are about the same condition (`identity`) or are the same transition
(`transition`). All times are arguments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, TypeAlias

#: Longest text of an alert. A cut text ends in an ellipsis.
TEXT_LENGTH_MAX: Final = 1000

Document: TypeAlias = dict[str, str | float]


class AlertKind(StrEnum):
    """The kind of condition."""

    DRIFT = "drift"
    DRIFT_STORM = "drift-storm"
    FOREIGN = "foreign"
    REVISION_REFUSED = "revision-refused"
    REVISION_WAITS = "revision-waits"
    SOURCE_UNREACHABLE = "source-unreachable"
    UNSIGNED_ACCEPTED = "unsigned-accepted"
    PEER_LACKS_COMMITS = "peer-lacks-commits"
    HISTORIES_DIFFER = "histories-differ"
    APPLY_FAILED = "apply-failed"
    SUSPENDED = "suspended"
    CHANGE_PENDING = "change-pending"
    CHANGE_REVERTED = "change-reverted"
    OBSERVATION_FAILED = "observation-failed"
    STATE_DAMAGED = "state-damaged"
    ORDERS_UNPUBLISHED = "orders-unpublished"
    NAME_UNPUBLISHED = "name-unpublished"
    ALERTS_COLLAPSED = "alerts-collapsed"
    ROLE_CHANGED = "role-changed"
    HA_REASON = "ha-reason"
    WATCHDOG_DOWN = "watchdog-down"


class AlertStatus(StrEnum):
    """Whether the condition lasts or has ended."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How urgent an alert is, in the words that Alertmanager configurations use."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition: where it is, since when, which commit asks for another state, and how to end it.

    `resource`: `Kind/name` or empty; `subject`: the key in words (`address 10.0.0.11/24 on eth1`); `summary`: one
    sentence; `desired`, `live`: values in words. `since_s`: beginning; `ended_s`: end, 0 while it lasts; both in
    seconds since 1970 (UTC). `origin`: `file:line`; `remedy`: a command. `commit`: a full id; `signer`: empty without a
    verified signature. A RESOLVED alert repeats the `since_s` of its FIRING.
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
        """Whether the condition has ended."""
        return self.status is AlertStatus.RESOLVED

    @property
    def identity(self) -> str:
        """Identifies the condition: 32 hex digits, the same for FIRING and RESOLVED and after a restart."""
        return _digest(self.kind, self.pair, self.controller, self.resource, self.subject)

    @property
    def transition(self) -> str:
        """Identifies the transition: 32 hex digits, the same for every try to send it."""
        return _digest(self.identity, self.status, repr(float(self.since_s)))

    def document(self) -> Document:
        """All fields, ready for JSON."""
        return {
            item.name: value.value if isinstance(value := getattr(self, item.name), StrEnum) else value
            for item in fields(self)
        }


def alert_from_document(document: Mapping[str, object]) -> Alert:
    """The alert of a document that `Alert.document` made. Raises ValueError with the name of an invalid field.

    Skips unknown fields: an older hagit delivers the alerts that a newer one left.
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
