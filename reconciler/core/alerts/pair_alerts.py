"""Alerts about the pair: a reason of the watchdog, a change of role, a watchdog without status.

Decides which reasons are worth an alert, after what time, and how severe it is. `agent/pair_monitor` reads the status
and measures the time.
"""

from __future__ import annotations

from typing import Final

from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus, Severity
from reconciler.core.status.watchdog import WEAKENING, ReasonStatus, WatchdogStatus

#: A reason, or the lack of a status, must last this long before it becomes an alert.
HOLD_S: Final = 2.0
#: The same for reasons that come and go with every move of the pools.
MOVING_S: Final = 30.0
#: The alert of a change of role ends after this time.
ROLE_S: Final = 300.0
#: Reasons that come and go with every move of the pools. One that lasts longer is stuck.
MOVING: Final = frozenset(
    {"LOC_FAILOVER_ONGOING", "REM_FAILOVER_ONGOING", "LOC_RESTING", "LOC_NOT_READY", "NO_SYSTEM_READY", "REM_NOT_ABLE",
     "WOKE_LATE", "ADDRESS_MISSING", "SHARES_LATE", "SHARES_NOT_STOPPED"}
)  # fmt: skip
#: Reasons that an operator asked for, or that do not weaken the pair yet.
MILD: Final = frozenset({"MAINTENANCE", "OVERRIDE", "NO_FAILOVER"}) | MOVING | WEAKENING
#: Roles that last.
LASTING_ROLES: Final = frozenset({"MASTER", "BACKUP", "ERROR"})


def hold_time_s(code: str) -> float:
    """How long a reason must last before it becomes an alert, in seconds."""
    return MOVING_S if code in MOVING else HOLD_S


def is_role_change(before: str, role: str) -> bool:
    """Whether the controller has changed from the role `before` (empty: unknown) to another lasting role."""
    return bool(before) and role in LASTING_ROLES and role != before


def reason_subject(reason: ReasonStatus) -> str:
    """The subject of a reason's alert."""
    return f"{reason.code}: {reason.text}"


def reason_alert(status: WatchdogStatus, reason: ReasonStatus, at_s: float) -> Alert:
    """The alert of a reason in the status of a watchdog. `at_s`: seconds since 1970."""
    evidence = f" ({reason.evidence})" if reason.evidence else ""
    return Alert(
        kind=AlertKind.HA_REASON,
        status=AlertStatus.FIRING,
        pair=status.pair,
        controller=status.side,
        subject=reason_subject(reason),
        summary=f"{status.controller}: {reason.text}{evidence}",
        since_s=at_s,
        severity=Severity.WARNING if reason.code in MILD else Severity.CRITICAL,
        live=reason.evidence,
        remedy=reason.remedy,
    )


def role_alert(status: WatchdogStatus, controller: str, before: str, at_s: float) -> Alert:
    """The alert of a change from the role `before` to that of the status. `at_s`: seconds since 1970."""
    return Alert(
        kind=AlertKind.ROLE_CHANGED,
        status=AlertStatus.FIRING,
        pair=status.pair,
        controller=controller,
        subject=f"role {before} → {status.role}",
        summary=f"{status.controller} is {status.role} now, it was {before}: {status.why}",
        since_s=at_s,
        severity=Severity.CRITICAL if status.role == "ERROR" else Severity.WARNING,
        live=status.role,
        remedy="hagit timeline",
    )


def watchdog_alert(pair: str, controller: str, problem: str, at_s: float) -> Alert:
    """The alert of a watchdog without a fresh status. `problem` says why; `at_s`: seconds since 1970."""
    return Alert(
        kind=AlertKind.WATCHDOG_DOWN,
        status=AlertStatus.FIRING,
        pair=pair,
        controller=controller,
        subject="watchdog",
        summary=f"{problem}: whether failover works on this controller is unknown",
        since_s=at_s,
        severity=Severity.CRITICAL,
        remedy="hagit status; systemctl status hagit-watchdog",
    )
