"""Recover the memory of an agent that was killed, from what it saved and from the alerts in its outbox.

An alert goes to the outbox first, and the memory is saved afterwards. An agent that is killed in between has sent
alerts that its memory does not hold, and would never send their end. Each is put back into the memory it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reconciler.agent.agent_memory import AgentMemory
from reconciler.agent.session import Session
from reconciler.core.alerts.alert import Alert, AlertKind, alert_from_document
from reconciler.core.alerts.conditions import Conditions
from reconciler.core.planning.drift import NO_DRIFT
from reconciler.core.planning.drift_state import ledger_from_document
from reconciler.errors import HagitError

#: The drift state remembers these by key, which an alert does not hold: they are kept apart until the next observation.
DRIFT_ALERTS: Final = frozenset({AlertKind.DRIFT, AlertKind.FOREIGN, AlertKind.DRIFT_STORM})
#: The pair monitor remembers these.
PAIR_ALERTS: Final = frozenset({AlertKind.ROLE_CHANGED, AlertKind.HA_REASON, AlertKind.WATCHDOG_DOWN})


def recover_memory(session: Session, firing: Iterable[Alert]) -> AgentMemory:
    """The memory for the first reconciliation; `firing`: alerts that were sent and have not ended.

    A damaged file is ignored, and drift is detected anew. Without a watchdog, alerts about the pair end.
    """
    sent = tuple(firing)
    apart = DRIFT_ALERTS if session.node.watchdog is None else DRIFT_ALERTS | PAIR_ALERTS
    conditions = tuple(alert for alert in sent if alert.kind not in apart)
    unconfirmed = {alert.identity: alert for alert in sent if alert.kind in DRIFT_ALERTS}
    try:
        document = session.store.read_drift() or {}
        ledger = ledger_from_document(document["drift"]) if "drift" in document else NO_DRIFT
        saved = tuple(alert_from_document(alert) for alert in document.get("standing", ()))
    except (HagitError, ValueError, TypeError, AttributeError) as error:
        session.store.log_decision("memory-damaged", why=str(error))
        return AgentMemory(NO_DRIFT, Conditions(conditions), unconfirmed)
    return AgentMemory(ledger, Conditions(saved).merged(conditions), unconfirmed)
