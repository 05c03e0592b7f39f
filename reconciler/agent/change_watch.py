"""Watches a change that could cut this controller off: asks its paths, minds its timer, keeps it or takes it back.

While a change is open, or an operator has suspended applying, the agent applies no other revision. A change that
neither its paths nor a person confirm in time is taken back. So is one that a death or a power cut left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from reconciler.agent.path_probe import PathWatch
from reconciler.agent.session import Session
from reconciler.agent.store import Suspension
from reconciler.core.alerts.alert import Alert, AlertKind
from reconciler.core.alerts.builder import AlertBuilder
from reconciler.core.confirmation.pending_change import ChangeStage, PendingChange
from reconciler.errors import HagitError
from reconciler.system.clock import monotonic_s

#: While another process makes the change, and after a failed way back, look again after this time.
AGAIN_S: Final = 0.2
RETRY_S: Final = 1.0


class ChangeWatch:
    """Belongs to the agent's loop. `report` wakes the loop and may be called from any thread."""

    def __init__(self, session: Session, report: Callable[[], None]) -> None:
        self._session, self._report = session, report
        self._watch: tuple[float, PathWatch] | None = None
        self._change: PendingChange | None = None
        self._failure: HagitError | None = None
        self._suspension: Suspension | None = None

    @property
    def open(self) -> bool:
        """Whether a change is neither kept nor taken back. Then nothing else may be applied."""
        return self._change is not None and self._change.open

    @property
    def suspended(self) -> bool:
        """Whether an operator keeps the agent from applying."""
        return self._suspension is not None

    @property
    def may_heal(self) -> bool:
        """Whether drift may be undone: also while a change waits, so that it is judged by what it made."""
        made = not self.open or (self._change is not None and self._change.stage is ChangeStage.PENDING)
        return made and not self.suspended

    def look(self) -> None:
        """Read the newest change again: the agent has just made one."""
        self._change = self._session.changes.read()

    def step(self) -> float | None:
        """Keep the open change or take it back when it is time. Returns the seconds until the next step is due."""
        changes = self._session.changes
        self._suspension = self._session.store.suspension()
        self._change = changes.open_change()
        if self._change is None:
            self.close()
            self._change, self._failure = changes.read(), None
            return None
        silent, answered_for_s = self._ask(self._change)
        try:
            changes.judge(silent, answered_for_s)
            self._failure = None
        except HagitError as error:
            self._failure = error
            return RETRY_S
        self._change = changes.read()
        if self._change is None or not self._change.open:
            self.close()
            return 0.0
        if self._change.stage is not ChangeStage.PENDING:
            return AGAIN_S
        return max(0.0, self._change.deadline_s - monotonic_s())

    def conditions(self, alerts: AlertBuilder, now_s: float) -> Iterator[Alert]:
        """What an operator should know: a change that waits, or one that was taken back and is not replaced yet."""
        change, suspension = self._change, self._suspension
        if suspension is not None:
            yield alerts.suspended(suspension.reason, suspension.left_s(now_s), now_s)
        if change is None:
            return
        name = change.revision.name
        if self._failure is not None:
            yield alerts.condition(AlertKind.APPLY_FAILED, f"way back from {name}", self._failure, now_s)
        elif change.open:
            what = f"{name} is taken back unless it is confirmed within {change.timeout_s:g} s"
            remedy = "hagit confirm keeps it, hagit revert takes it back at once"
            yield alerts.about_change(AlertKind.CHANGE_PENDING, name, what, remedy, now_s)
        elif change.stage is ChangeStage.REVERTED and self._is_away(change):
            what = f"{name} was taken back: {change.why}"
            remedy = "correct it and commit; the next commit is applied again"
            yield alerts.about_change(AlertKind.CHANGE_REVERTED, name, what, remedy, now_s)

    def document(self) -> dict[str, Any] | None:
        """The newest change for the status document; None without one that matters."""
        change = self._change
        if change is None or not (change.open or (change.stage is ChangeStage.REVERTED and self._is_away(change))):
            return None
        silent = self._watch[1].read()[0] if self._watch is not None else None
        return {
            "revision": change.revision.name,
            "back": change.back.name if change.back is not None else None,
            "stage": change.stage.value,
            "manual": change.manual,
            "left_s": round(max(0.0, change.deadline_s - monotonic_s())) if change.open else 0,
            "silent": sorted(silent) if silent is not None else None,
            "paths": [path.name for path in change.paths],
            "why": change.why,
        }

    def close(self) -> None:
        """Stop asking."""
        if self._watch is not None:
            self._watch[1].close()
            self._watch = None

    def _ask(self, change: PendingChange) -> tuple[frozenset[str] | None, float]:
        if change.stage is not ChangeStage.PENDING or not change.paths:
            return None, 0.0
        if self._watch is None or self._watch[0] != change.done_s:
            self.close()
            watch = PathWatch(self._session.node, change.paths, change.done_s, self._report)
            self._watch = change.done_s, watch
        return self._watch[1].read()

    def _is_away(self, change: PendingChange) -> bool:
        """Whether the revision that was taken back is still kept away, or was no commit at all."""
        blocked = self._session.store.accepted().blocked
        if blocked is not None:
            return blocked.commit == change.revision.commit
        applied = self._session.store.applied()
        return applied is not None and change.back is not None and applied.revision.commit == change.back.commit
