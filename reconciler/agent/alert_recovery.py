"""What the agent remembers when it starts: what it kept, and what it has told of and did not come to keep.

News goes to the outbox first and the memory is kept afterwards: an agent that is killed in between has told of matters
that its memory does not hold. Nobody would ever say that they are over. Decides which memory each of them goes back to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reconciler.agent.reconciliation import AgentMemory
from reconciler.agent.session import Session
from reconciler.core.alerts.alert import Alert, AlertKind, alert_from_document
from reconciler.core.alerts.conditions import Conditions
from reconciler.core.planning.drift import NO_DRIFT
from reconciler.core.planning.drift_state import ledger_from_document
from reconciler.errors import HagitError

#: The ledger remembers these by key, which an alert does not tell: they are held beside it until a look has shown all.
DRIFT_ALERTS: Final = frozenset({AlertKind.DRIFT, AlertKind.FOREIGN, AlertKind.DRIFT_STORM})
#: The watch over the pair remembers these.
PAIR_ALERTS: Final = frozenset({AlertKind.ROLE_CHANGED, AlertKind.HA_REASON, AlertKind.WATCHDOG_DOWN})


def recover_memory(session: Session, firing: Iterable[Alert]) -> AgentMemory:
    """The memory of rounds; `firing` is what was told and is not over.

    A damaged memory is put aside: drift is found anew. Without a watchdog, what was told of the pair is over.
    """
    told = tuple(firing)
    apart = DRIFT_ALERTS if session.node.watchdog is None else DRIFT_ALERTS | PAIR_ALERTS
    conditions = tuple(alert for alert in told if alert.kind not in apart)
    unsettled = {alert.identity: alert for alert in told if alert.kind in DRIFT_ALERTS}
    try:
        document = session.store.ledger() or {}
        ledger = ledger_from_document(document["drift"]) if "drift" in document else NO_DRIFT
        standing = tuple(alert_from_document(alert) for alert in document.get("standing", ()))
    except (HagitError, ValueError, TypeError, AttributeError) as error:
        session.store.log_decision("memory-damaged", why=str(error))
        return AgentMemory(NO_DRIFT, Conditions(conditions), unsettled)
    return AgentMemory(ledger, Conditions(standing).merged(conditions), unsettled)
