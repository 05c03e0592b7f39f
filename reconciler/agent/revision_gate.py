"""Whether a newer revision may be applied on this controller now: the policy of the source, and the peer.

Asked in each reconciliation before the apply. Without a peer only the policy counts. Level-triggered: an answer holds
for one reconciliation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from reconciler.agent.edit_lock import edit_lock
from reconciler.agent.executor import error_of_holds
from reconciler.agent.pair_rollout import PairRollout
from reconciler.agent.rollout_record import ReleasedCommit, read_released
from reconciler.agent.source.content import Content
from reconciler.agent.source.selection import Selection
from reconciler.agent.store import Store
from reconciler.core.alerts.alert import Alert
from reconciler.core.alerts.builder import AlertBuilder
from reconciler.core.facts.settings import Applying
from reconciler.core.planning.plan import Plan
from reconciler.core.planning.retries import RefusedActions
from reconciler.core.rollout.next_step import StepKind
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError
from reconciler.system.node import Node

#: Between two looks at whether failover is disabled.
LOCK_LOOK_S: Final = 1.0


class RevisionHold(NamedTuple):
    """A revision is not applied now: an alert if a person must do something; and when to ask again, in seconds."""

    alerts: tuple[Alert, ...]
    due_s: float | None


@dataclass(slots=True)
class RevisionGate:
    """Belongs to the agent's loop. `rollout` is None for an agent that takes no notice of a peer."""

    store: Store
    rollout: PairRollout | None = None
    node: Node | None = None
    why: str = ""
    released: ReleasedCommit | None = None

    def hold(
        self,
        revision: Revision,
        content: Content,
        in_force: Content | None,
        plan: Plan,
        alerts: AlertBuilder,
        now_s: float,
    ) -> RevisionHold | None:
        """Why `revision` waits; None when it is applied now. Raises StateError.

        `in_force`: the content of the revision in force, whose policy counts: a commit must not approve itself. `plan`:
        what would be done here.
        """
        self.why = ""
        source = (in_force or content).settings.source
        manual = source is not None and source.apply is Applying.MANUAL
        if manual and read_released(self.store).commit != revision.commit:
            return RevisionHold((alerts.waiting_revision(revision, now_s),), None)
        lock = edit_lock(self.node, in_force, content) if self.node is not None else None
        if lock is not None:
            self.why = lock.why
            return RevisionHold((alerts.held_revision(revision, lock.why, lock.remedy, now_s),), LOCK_LOOK_S)
        if self.rollout is None:
            return None
        step = self.rollout.decide(revision, content, in_force, plan)
        self.why = step.why
        if step.kind in (StepKind.APPLY, StepKind.DONE):
            # DONE: the same commit, of which the node file now names another folder.
            return None
        held = (alerts.held_revision(revision, step.why, step.remedy, now_s),) if step.kind is StepKind.HOLD else ()
        return RevisionHold(held, self.rollout.again_s)

    def is_released_again(self, revision: Revision) -> bool:
        """Whether an operator has released `revision` since the last question: what failed before is tried again."""
        before, self.released = self.released, read_released(self.store)
        return before is not None and before != self.released and self.released.commit == revision.commit

    def ended(self) -> None:
        """The apply of a revision that was not held has ended."""
        if self.rollout is not None:
            self.rollout.ended()

    def note(self, selection: Selection, failed: str, failure: HagitError | None, actions: RefusedActions) -> None:
        """Note for the peer what failed or was refused here.

        `failed`: the commit whose apply failed with `failure`; `actions`: the refused ones of the revision in force.
        Raises StateError.
        """
        if self.rollout is None:
            return
        problem = (failed, failure) if failed and failure is not None else None
        applied = self.store.applied() if problem is None and actions.holds else None
        if applied is not None:
            problem = applied.revision.commit, error_of_holds(actions.holds)
        unused, wanted = selection.refused_state, selection.revision
        differs = bool(unused) and (wanted is None or wanted.commit != unused)
        refusal = (unused, selection.refusal) if differs and selection.refusal is not None else None
        self.rollout.note(problem, refusal)
