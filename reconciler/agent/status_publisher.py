"""Publish the agent's status after each reconciliation: the status document, the metrics, the health page.

The document is written only when its content changes, or before it would look stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from reconciler.agent.agent_memory import AgentMemory
from reconciler.agent.change_watch import ChangeWatch
from reconciler.agent.metrics import Metrics
from reconciler.agent.session import Session
from reconciler.agent.source.selection import Selection
from reconciler.agent.source.trust_policy import trust_digest
from reconciler.agent.source.unsigned_commits import trust_document, unsigned_warning
from reconciler.core.planning.drift_state import DriftEntry
from reconciler.core.planning.plan import HeldChange
from reconciler.core.status.publication import NamePublication
from reconciler.core.status.revision import revision_document
from reconciler.errors import HagitError, NodeFileError, StateError
from reconciler.system.alerts.outbox import Outbox
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.files import file_stamp
from reconciler.system.peer.identity import identity_path

FORMAT: Final = "hagit.agent/1"
#: The document is written again after this time even without a change, so that its age shows that the agent runs.
REFRESH_S: Final = 5.0
#: The document names at most this many holds; `hagit plan` shows them all.
HOLDS_MAX: Final = 200


class AgentStatusPublisher:
    """Belongs to the agent's loop; `health` may be called from any thread."""

    def __init__(
        self,
        session: Session,
        metrics: Metrics,
        outbox: Outbox,
        changes: ChangeWatch,
        pid: int,
        names: Callable[[], tuple[NamePublication, ...]] = lambda: (),
    ) -> None:
        self._session = session
        self._metrics = metrics
        self._outbox = outbox
        self._changes = changes
        self._pid = pid
        self._names = names
        self._started_s = wall_s()
        self._document: dict[str, Any] = {}
        self._fresh: dict[str, Any] = {}
        self._published_s = -REFRESH_S
        self._health = "no look yet"
        self.port = 0
        #: Targets of the revision that get no alerts, with the reasons.
        self.targets_refused: tuple[str, ...] = ()

    def health(self) -> str:
        """Empty while reconciliations succeed, else the reason."""
        return self._health

    def publish_round(
        self, selection: Selection, memory: AgentMemory, began_s: float, trigger: str, *, success: bool
    ) -> None:
        """Publish the result of a reconciliation."""
        took_s = monotonic_s() - began_s
        self._metrics.reconciled(took_s, success=success, now_s=wall_s())
        drifting = memory.ledger.firing()
        present = memory.ledger.present()
        self._metrics.drift(Counter((drift.resource, drift.mode.value) for drift in present))
        self._metrics.source(dict(selection.tried_remotes))
        self._count_alerts()
        self._health = "" if success else str(memory.failure or "the last round failed")
        try:
            document = self._describe(selection, memory, drifting)
            if document != self._document or monotonic_s() - self._published_s >= REFRESH_S:
                self._fresh = {"look_s": round(took_s, 6), "trigger": trigger}
                self._publish(document)
        except StateError as error:
            self._health = error.what

    def publish_delivery(self) -> None:
        """Publish a changed count of waiting alerts, after a delivery or a failed one."""
        self._count_alerts()
        waiting = self._outbox.pending_counts()
        if self._document and self._document["waiting"] != waiting:
            try:
                self._publish(self._document | {"waiting": waiting})
            except StateError as error:
                self._health = error.what

    def _publish(self, document: dict[str, Any]) -> None:
        self._session.store.publish(document | self._fresh | {"at_s": wall_s()})
        self._document, self._published_s = document, monotonic_s()

    def _count_alerts(self) -> None:
        self._metrics.alerts(self._outbox.pending_counts(), len(self._outbox.firing()))

    def _trust_digest(self) -> str:
        """Empty if a file of [trust] cannot be read: then the source is refused, with the reason."""
        try:
            return trust_digest(self._session.node)
        except NodeFileError:
            return ""

    def _describe(self, selection: Selection, memory: AgentMemory, drifting: tuple[DriftEntry, ...]) -> dict[str, Any]:
        store = self._session.store
        applied, accepted = store.applied(), store.accepted()
        if applied is not None:
            self._metrics.revision(
                applied.revision.commit, signed=bool(applied.revision.signer), applied_s=applied.at_s
            )
        names = self._names()
        self._metrics.names(names)
        holds, foreign = memory.all_holds(), memory.foreign
        suspension = store.suspension()
        self._metrics.suspended(suspension is not None)
        change = self._changes.document()
        self._metrics.change(change["stage"] if change is not None else "")
        digest = self._trust_digest()
        self._metrics.trust(digest)
        return {
            "format": FORMAT,
            "pid": self._pid,
            "started_s": self._started_s,
            "controller": self._session.node.controller,
            "pair": selection.content.settings.pair.name if selection.content else "",
            "revision": revision_document(selection.revision) if selection.revision else None,
            "applied": revision_document(applied.revision) if applied else None,
            "applied_s": applied.at_s if applied else 0.0,
            "in_force": bool(applied and applied.holds_now()),
            "head": selection.head,
            "refusal": _error(selection.refusal),
            "failure": _error(memory.failure),
            "blocked": {"commit": accepted.blocked.commit, "why": accepted.blocked.why} if accepted.blocked else None,
            "change": change,
            "suspended": None if suspension is None else {"until_s": suspension.until_s, "reason": suspension.reason},
            "trust": trust_document(unsigned_warning(self._session.node, accepted)),
            "trust_digest": digest,
            "notes": [*selection.notes, *(f"no alerts go to {target}" for target in self.targets_refused)],
            "remotes": [{"remote": remote, "why": why} for remote, why in selection.failed_remotes],
            "orders": self._session.orders.generation() if self._session.orders is not None else None,
            "names": [name.document() for name in names],
            "drift": [_drift(drift) for drift in drifting],
            "holds": [_hold(hold) for hold in holds[:HOLDS_MAX]],
            "foreign": [{"fact": str(item.fact), "note": item.note} for item in foreign],
            "matters": [alert.document() for alert in memory.conditions.firing],
            "waiting": self._outbox.pending_counts(),
            "port": self.port,
            # None: there is no other controller.
            "enrolled": bool(file_stamp(identity_path(self._session.node))) if _has_two(selection) else None,
        }


def _has_two(selection: Selection) -> bool:
    return selection.content is not None and len(selection.content.settings.pair.hostnames) == 2


def _error(error: HagitError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"what": str(error), "where": error.where, "remedy": error.remedy}


def _hold(hold: HeldChange) -> dict[str, Any]:
    return {"key": list(hold.key), "gate": hold.gate.value, "why": hold.why, "remedy": hold.remedy}


def _drift(drift: DriftEntry) -> dict[str, Any]:
    return {
        "key": list(drift.key),
        "text": str(drift),
        "resource": drift.resource,
        "mode": drift.mode.value,
        "since_s": drift.since_s,
        "gone_since_s": drift.gone_since_s,
        "origin": f"{drift.origin.file}:{drift.origin.line}" if drift.origin else "",
    }
