"""One reconciliation: observe, apply a new revision, detect drift, heal it where a revision allows that.

Decides when a change is applied and when it is only reported. Level-triggered: the cause of a run does not matter, so a
lost or doubled event costs at most one observation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.agent.agent_memory import AgentMemory
from reconciler.agent.apply import ChangeGuard, PlanBasis, apply_plan, held_in, propose, restrict
from reconciler.agent.change_watch import ChangeWatch
from reconciler.agent.executor import ApplyOutcome, error_of_holds
from reconciler.agent.revision_gate import RevisionGate
from reconciler.agent.rollback import is_rollback
from reconciler.agent.source.content import Content
from reconciler.agent.source.selection import Selection
from reconciler.agent.store import AppliedRevision, Store
from reconciler.core.alerts.alert import Alert, AlertKind, AlertStatus
from reconciler.core.alerts.builder import AlertBuilder
from reconciler.core.facts.network_adapter import NetworkAdapter
from reconciler.core.facts.state import DriftMode, Observed, Placement
from reconciler.core.facts.storage import STORAGE_WORDS
from reconciler.core.planning.drift import DriftLook, drift_step, see
from reconciler.core.planning.drift_state import DriftState, Transition
from reconciler.core.planning.plan import HeldChange, Plan
from reconciler.core.planning.retries import RETRY_S_MIN, RefusedActions
from reconciler.core.status.revision import Revision
from reconciler.errors import ConfigurationError, HagitError, ObservationError, SourceError, StalePlanError
from reconciler.system.clock import monotonic_s, wall_s

#: Drift is a difference in two observations this far apart: longer than a change that a program makes in two steps.
SECOND_LOOK_S: Final = 0.1
#: Wait before the orders are published again after a failure.
ORDERS_RETRY_S: Final = 5.0
#: Conditions that only an answer of the source can end.
ABOUT_THE_SOURCE: Final = frozenset({AlertKind.REVISION_REFUSED, AlertKind.SOURCE_UNREACHABLE})


@dataclass(slots=True)
class Reconciliation:
    """Reconciles one controller. `emit` takes alerts; `content_for` returns the content of a revision."""

    store: Store
    host: NetworkAdapter
    alerts: AlertBuilder
    memory: AgentMemory
    emit: Callable[[Alert], None]
    content_for: Callable[[Revision], Content]
    gate: RevisionGate
    count_outcome: Callable[[ApplyOutcome], None] = field(default=lambda outcome: None)
    poll_source: Callable[[], None] = field(default=lambda: None)
    publish_orders: Callable[[Content, str], object] = field(default=lambda content, commit: None)
    select_storage: Callable[[Content], bool] = field(default=lambda content: False)
    weak_trust: Callable[[], HagitError | None] = field(default=lambda: None)
    unpublished_names: Callable[[], Iterable[tuple[str, HagitError]]] = field(default=lambda: ())
    push_conditions: Callable[[], Iterable[tuple[AlertKind, str, HagitError]]] = field(default=lambda: ())
    guard_for: Callable[[Revision, Content], ChangeGuard | None] = field(default=lambda revision, content: None)
    changes: ChangeWatch | None = None
    restored_for: Callable[[Revision, Content], Content] = field(default=lambda revision, content: content)

    def run(self, selection: Selection) -> float | None:
        """Reconcile once. Returns the seconds until the next run is due without an event; None without a due time."""
        changed_s = self.changes.step() if self.changes is not None else None
        now_s = wall_s()
        present = list(
            self.alerts.source_conditions(selection.refusal, selection.head, selection.failed_remotes, now_s)
        )
        if not selection.source_answered:
            present += [alert for alert in self.memory.conditions.firing if alert.kind in ABOUT_THE_SOURCE]
        weak = self.weak_trust()
        if weak is not None:
            present.append(self.alerts.condition(AlertKind.UNSIGNED_ACCEPTED, "trust of this controller", weak, now_s))
        present += [
            self.alerts.condition(AlertKind.NAME_UNPUBLISHED, subject, error, now_s)
            for subject, error in self.unpublished_names()
        ]
        present += [self.alerts.condition(*condition, now_s) for condition in self.push_conditions()]
        due_s: float | None = None
        try:
            # Read the applied revision first: a later observation can only show more.
            applied = self.store.applied()
            observed = self.host.observe()
            # The observation counts from its end.
            now_s = wall_s()
            due_s = self._reconcile(selection, applied, observed, present, now_s)
        except ObservationError as error:
            present.append(self.alerts.condition(AlertKind.OBSERVATION_FAILED, "live state", error, now_s))
            due_s = RETRY_S_MIN
        present += self.changes.conditions(self.alerts, now_s) if self.changes is not None else ()
        conditions, transitions = self.memory.conditions.updated(present, now_s)
        for alert in transitions:
            self._emit("alert", alert)
        self.gate.note(selection, self.memory.failed, self.memory.failure, self.memory.refused_actions)
        # Only now: after a failed `emit` the transitions are emitted again, and the outbox drops duplicates.
        self.memory.conditions = conditions
        return min((due for due in (due_s, changed_s) if due is not None), default=None)

    def _reconcile(
        self,
        selection: Selection,
        applied: AppliedRevision | None,
        observed: Observed,
        present: list[Alert],
        now_s: float,
    ) -> float | None:
        due_s: float | None = None
        revision, content = self._wanted(selection, present, now_s)
        if revision is None or content is None:
            return None
        if applied is not None and not applied.revision.same_state(revision):
            in_force = self._content(applied.revision, present, now_s)
            if self._is_frozen:
                if in_force is None:
                    return None
                revision, content = applied.revision, in_force
            elif self._may_try(revision):
                content = self.restored_for(revision, content)
                plan = propose(content, revision.full_name, observed)
                held = self.gate.hold(revision, content, in_force, plan, self.alerts, now_s)
                if held is not None:
                    present += held.alerts
                    # Only the new revision waits: the applied one is restored after a reboot.
                    if in_force is None:
                        return held.due_s
                    revision, content, due_s = applied.revision, in_force, held.due_s
        observed = self._complete(content, observed)
        if applied is None or not applied.revision.same_state(revision) or not applied.holds_now():
            if self._may_try(revision) and not (self._is_changing or (applied is None and self._is_frozen)):
                applied = self._apply(revision, content, observed, applied)
                self.gate.ended()
                observed = self.host.observe()
                # Another program may have changed something since the first observation.
                now_s = wall_s()
            due_s = _soonest(due_s, self._add_failure(revision, present, now_s))
        if applied is None or not applied.holds_now():
            return due_s
        unapplied = not applied.revision.same_state(revision)
        if unapplied:
            content = self._content(applied.revision, present, now_s)
            if content is None:
                return due_s
            observed = self._complete(content, observed)
        elif not self._is_frozen:
            acted = self._pools_moved_here(observed) and self._apply_to_pools(revision, content, observed, applied)
            acted = acted or self._finish(revision, content, observed, applied)
            if acted:
                observed = self.host.observe()
                now_s = wall_s()
        due_s = self._publish_orders(applied.revision, content, present, now_s, due_s)
        looked_s = self._detect_drift(applied.revision, content, observed, unapplied, present, now_s)
        return _soonest(due_s, looked_s)

    @property
    def _is_changing(self) -> bool:
        """Whether a change waits for its confirmation: until then nothing new is applied."""
        return self.changes is not None and self.changes.open

    @property
    def _is_frozen(self) -> bool:
        """Whether nothing new is applied. A suspended agent restores the revision in force after a boot."""
        return self._is_changing or (self.changes is not None and self.changes.suspended)

    def _complete(self, content: Content, observed: Observed) -> Observed:
        """The observation, or a new one when it left out pools that the content names."""
        return self.host.observe() if self.select_storage(content) else observed

    def _pools_moved_here(self, observed: Observed) -> bool:
        """Whether the pools have moved here. An apply on the standby left them out."""
        if observed.placement is not Placement.ACTIVE or self.memory.placement is not Placement.STANDBY:
            self.memory.placement = observed.placement
            return False
        return True

    def _apply_to_pools(
        self, revision: Revision, content: Content, observed: Observed, applied: AppliedRevision
    ) -> bool:
        plan = propose(content, revision.full_name, observed)
        self.memory.record_plan(plan, observed)
        plan = restrict(plan, {action.key for action in plan.actions if action.key[0] in STORAGE_WORDS})
        held = [hold for hold in plan.holds if hold.key[0] in STORAGE_WORDS]
        if plan.actions:
            outcome = self._perform(plan, revision, "takeover", applied) if self._may_try(revision) else None
            if outcome is None:
                return False
            held += outcome.held
        self.memory.placement = observed.placement
        if held:
            self.store.record_held(applied, (*applied.held, *held_in(held)))
        return bool(plan.actions)

    def _finish(self, revision: Revision, content: Content, observed: Observed, applied: AppliedRevision) -> bool:
        """Perform actions that were held and are not held any more; True when one was tried."""
        memory, now_s = self.memory, monotonic_s()
        memory.refused_actions.observe(observed)
        if not (applied.held or memory.refused_actions.keys or memory.holds or memory.foreign) or not self._may_try(
            revision
        ):
            return False
        due = memory.refused_actions.due(observed, now_s)
        if observed == memory.planned and not due:
            return False
        plan = propose(content, revision.full_name, observed)
        memory.record_plan(plan, observed)
        memory.refused_actions.retain({action.key for action in plan.actions})
        wanted = {action.key for action in plan.actions if applied.awaits(action.key, action.resource)}
        later = wanted & (memory.refused_actions.keys - due)
        held = [hold for hold in plan.holds if applied.awaits(hold.key, hold.resource)]
        held += [hold for hold in memory.refused_actions.holds if hold.key in later]
        if wanted - later:
            outcome = self._perform(restrict(plan, wanted - later), revision, "held before", applied)
            if outcome is None:
                return False
            held += outcome.held
        self.store.record_held(applied, held_in(held))
        return bool(wanted - later)

    def _publish_orders(
        self, revision: Revision, content: Content, present: list[Alert], now_s: float, due_s: float | None
    ) -> float | None:
        """Publish the orders of the revision in force. When that fails, the orders before stay in force."""
        try:
            self.publish_orders(content, revision.commit)
        except HagitError as error:
            subject = "orders for the watchdog"
            present.append(self.alerts.condition(AlertKind.ORDERS_UNPUBLISHED, subject, error, now_s, revision))
            return _soonest(due_s, ORDERS_RETRY_S)
        return due_s

    def _wanted(
        self, selection: Selection, present: list[Alert], now_s: float
    ) -> tuple[Revision | None, Content | None]:
        """The revision that should be in force. A command may have chosen another one since this selection."""
        accepted = self.store.accepted()
        wanted = accepted.wanted
        if wanted is None and accepted.blocked is not None:
            # The only revision there was has been taken back.
            return None, None
        if wanted is None or (selection.revision is not None and selection.revision.same_state(wanted)):
            return selection.revision, selection.content
        if selection.revision is not None:
            self.poll_source()
        return wanted, self._content(wanted, present, now_s)

    def _content(self, revision: Revision, present: list[Alert], now_s: float) -> Content | None:
        """The content of a revision; None, and a condition, when it is lost and a new revision has to come."""
        try:
            return self.content_for(revision)
        except (ConfigurationError, SourceError) as error:
            present.append(self.alerts.condition(AlertKind.STATE_DAMAGED, revision.name, error, now_s, revision))
            return None

    def _may_try(self, revision: Revision) -> bool:
        if self.gate.is_released_again(revision):
            self.memory.failed, self.memory.failure = "", None
        return self.memory.failed != revision.commit or monotonic_s() >= self.memory.retry_at_s

    def _apply(
        self, revision: Revision, content: Content, observed: Observed, applied: AppliedRevision | None
    ) -> AppliedRevision | None:
        plan = propose(content, revision.full_name, observed)
        self.memory.record_plan(plan, observed)
        self.memory.placement = observed.placement
        newer = applied is None or not applied.revision.same_state(revision)
        what = "rolled back" if is_rollback(self.store, revision) else "applied" if newer else "restored"
        before, self.memory.refused_actions = self.memory.refused_actions, RefusedActions()
        guard = self.guard_for(revision, content) if newer else None
        performed = self._perform(plan, revision, "apply", applied, what, guard)
        if self.changes is not None:
            self.changes.look()
        if performed is None:
            self.memory.refused_actions = before
        return self.store.applied() if performed is not None else applied

    def _perform(
        self,
        plan: Plan,
        revision: Revision,
        purpose: str,
        applied: AppliedRevision | None,
        record_as: str = "",
        guard: ChangeGuard | None = None,
    ) -> ApplyOutcome | None:
        """Perform a plan; refused actions are tried again later. None when all of it failed; then the next waits."""
        try:
            basis = PlanBasis(applied)
            outcome = apply_plan(
                self.store, self.host, plan, revision, purpose=purpose, basis=basis, record_as=record_as, guard=guard
            )
        except StalePlanError:
            # Another apply came first, or an interrupted one was just finished: observe again in the next run.
            self.memory.record_failure(revision.commit, None, monotonic_s())
            return None
        except HagitError as error:
            self.memory.record_failure(revision.commit, error, monotonic_s())
            return None
        self.count_outcome(outcome)
        if outcome.failure is not None:
            self.memory.record_failure(revision.commit, outcome.failure, monotonic_s())
            return None
        self.memory.refused_actions.record({action.key for action in plan.actions}, outcome.held, monotonic_s())
        self.memory.failed, self.memory.failure, self.memory.retry_s = "", None, RETRY_S_MIN
        return outcome

    def _add_failure(self, revision: Revision, present: list[Alert], now_s: float) -> float | None:
        """Add the condition of an apply that failed, or was refused in part; returns the seconds until the next try."""
        memory, subject = self.memory, f"apply of {revision.name}"
        error, due_s = memory.failure, None
        if memory.failed == revision.commit:
            due_s = max(0.0, memory.retry_at_s - monotonic_s())
        else:
            error = None
        if error is None and memory.refused_actions.holds:
            error = error_of_holds(memory.refused_actions.holds)
            refused_s = memory.refused_actions.next_s(monotonic_s())
            due_s = refused_s if due_s is None else due_s
        if error is not None and not any(alert.kind is AlertKind.APPLY_FAILED for alert in present):
            present.append(self.alerts.condition(AlertKind.APPLY_FAILED, subject, error, now_s, revision))
        return due_s

    def _detect_drift(
        self,
        revision: Revision,
        content: Content,
        observed: Observed,
        waits: bool,
        present: list[Alert],
        now_s: float,
    ) -> float | None:
        """Detect drift from the revision in force, report it, heal it. `waits`: a newer revision is not applied yet."""
        look = see(content.desired, observed)
        # A newer revision that stopped half-way explains every difference until it is applied or corrected. A refused
        # action is no drift: it is reported as a failed apply.
        halfway = waits and self.memory.failed != ""
        ledger, transitions = drift_step(
            self.memory.ledger,
            look,
            now_s=now_s,
            revision=revision.full_name,
            policy=content.desired.drift,
            explained=halfway or self.memory.refused_actions.keys,
        )
        if transitions and not waits and observed != self.memory.planned:
            self.memory.record_plan(propose(content, revision.full_name, observed), observed)
        for transition in transitions:
            alert = self.alerts.drift(transition, self._hold_of(transition))
            self.memory.unconfirmed.pop(alert.identity, None)
            self._emit("drift", alert)
        self.memory.ledger = ledger
        if self.memory.unconfirmed and not halfway:
            self._end_unconfirmed(look, now_s)
        healed = not waits and self._heal(revision, content, observed)
        due_s = None if waits else self._add_failure(revision, present, now_s)
        if not healed and due_s is not None:
            return due_s
        suspected = any(drift.state is DriftState.SUSPECTED for drift in ledger.drifts.values())
        return 0.0 if healed else SECOND_LOOK_S if suspected else None

    def _emit(self, decision: str, alert: Alert) -> None:
        # Emit first: on a full disk the decision log fails, but alerts are delivered from memory.
        self.emit(alert)
        self.store.log_decision(decision, alert=alert.document())

    def _end_unconfirmed(self, look: DriftLook, now_s: float) -> None:
        """End drift that a killed agent reported and this one does not find."""
        drifts = self.memory.ledger.drifts.values()
        if look.unknown or any(drift.state is DriftState.SUSPECTED for drift in drifts):
            return
        found = {alert.identity for alert in self.alerts.firing_drift(self.memory.ledger)}
        for identity, alert in list(self.memory.unconfirmed.items()):
            if alert.resource in look.unclear:
                continue
            if identity not in found:
                self._emit("drift", replace(alert, status=AlertStatus.RESOLVED, ended_s=now_s))
            del self.memory.unconfirmed[identity]

    def _hold_of(self, transition: Transition) -> HeldChange | None:
        return next((hold for hold in self.memory.holds if hold.key == transition.drifts[0].key), None)

    def _heal(self, revision: Revision, content: Content, observed: Observed) -> bool:
        """Undo drift where the policy allows it; True when an action was performed."""
        keys = {
            drift.key
            for drift in self.memory.ledger.firing()
            if drift.mode is DriftMode.HEAL and drift.gone_since_s is None
        }
        if not keys or not self._may_try(revision) or (self.changes is not None and not self.changes.may_heal):
            return False
        keys -= self.memory.refused_actions.keys - self.memory.refused_actions.due(observed, monotonic_s())
        plan = propose(content, revision.full_name, observed)
        self.memory.record_plan(plan, observed)
        plan = restrict(plan, keys)
        return bool(plan.actions) and self._perform(plan, revision, "heal", self.store.applied()) is not None


def _soonest(*due_s: float | None) -> float | None:
    return min((due for due in due_s if due is not None), default=None)
