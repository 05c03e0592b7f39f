"""Apply a revision to this controller: propose a plan, perform it under the lock, record the outcome.

One writer at a time: the agent and every command hold the lock of the state directory while they perform a plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from reconciler.agent.apply_journal import read_interrupted
from reconciler.agent.executor import ApplyOutcome, Progress, execute_plan, mark_interrupted_links
from reconciler.agent.source.content import Content
from reconciler.agent.store import NO_DETAILS, AppliedRevision, HeldPart, Store
from reconciler.core.facts.change import ActionVerb
from reconciler.core.facts.codec import fact_document, fact_from_document
from reconciler.core.facts.fact import Address, Key
from reconciler.core.facts.fact_kind import Document
from reconciler.core.facts.network_adapter import NetworkAdapter
from reconciler.core.facts.state import Observed, Origin
from reconciler.core.planning.nic_match import rename
from reconciler.core.planning.plan import Action, Blame, Gate, HeldChange, OrdersChange, Plan
from reconciler.core.planning.planner import blamed, make_plan, stale
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError, StalePlanError

#: How long an apply waits for another one, of an operator or of the agent.
LOCK_WAIT_S: Final = 5.0
MOVED_MAX: Final = 5


class ChangeGuard(Protocol):
    """Keeps a change from cutting this controller off. Both are called under the lock."""

    def begin(self, plan: Plan) -> None:
        """Called before the first action. Raises HagitError when the change must not begin."""
        ...

    def end(self, outcome: ApplyOutcome) -> None:
        """Called after the last action, whether all were done or not."""
        ...


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """The revision in force at the observation that a plan was made from."""

    applied: AppliedRevision | None


def propose(
    content: Content,
    revision: str,
    observed: Observed,
    blame_of: Callable[[Origin], Blame | None] | None = None,
    orders: tuple[OrdersChange, ...] = (),
) -> Plan:
    """The plan from the observed state to the content; `revision` in full (`main@<40 digits>`).

    `orders`: the changes of the watchdog's orders that are published after all actions.
    """
    plan = replace(make_plan(content.desired, observed, revision), orders=orders)
    return blamed(plan, blame_of) if blame_of is not None else plan


def restrict(plan: Plan, keys: Collection[Key]) -> Plan:
    """The plan with only the actions about `keys`."""
    actions = tuple(action for action in plan.actions if action.key in keys)
    touched = {action.key for action in actions}
    touched |= {fact.key for action in actions for fact in action.consequences}
    after = {key: fact for key, fact in plan.before.items() if key not in touched}
    after |= {key: fact for key, fact in plan.after.items() if key in touched}
    return replace(plan, actions=actions, after=after)


def resume_interrupted(store: Store, network: NetworkAdapter) -> None:
    """Finish the stamps of an interrupted apply. Called before a plan is made. Raises HagitError."""
    if read_interrupted(store.journal) is not None:
        with store.lock("resume", wait_s=LOCK_WAIT_S):
            _finish_interrupted(store, network)


def _finish_interrupted(store: Store, network: NetworkAdapter) -> bool:
    what = mark_interrupted_links(network, store.journal)
    if what is not None:
        store.log_decision("resumed", what=what)
    return what is not None


def apply_plan(
    store: Store,
    network: NetworkAdapter,
    plan: Plan,
    revision: Revision,
    *,
    purpose: str,
    record_as: str = "",
    basis: PlanBasis | None = None,
    begin: Callable[[], None] | None = None,
    progress: Progress | None = None,
    guard: ChangeGuard | None = None,
    details: Mapping[str, object] = NO_DETAILS,
) -> ApplyOutcome:
    """Perform a plan and record the outcome, in the history as `record_as` unless that is empty.

    A refused action, and every action that depends on it, is held: the revision is in force all the same, and the
    store remembers the held parts. An error that stops everything (full disk, missing permission) leaves the older
    revision in force.

    `basis`: the revision in force when the plan was made a moment ago; while it is unchanged, no second observation is
    made. `begin` is called under the lock before the first action. `details`: more fields of the line in the history.

    Raises StalePlanError with the changes since the plan was made, StateError when another apply runs or the state
    directory cannot be written. In both cases nothing was changed.
    """
    with store.lock(purpose, wait_s=LOCK_WAIT_S):
        if basis is not None and basis.applied != store.applied():
            raise StalePlanError("another revision was applied since the plan was made")
        resumed = _finish_interrupted(store, network)
        if basis is None or resumed:
            require_current(plan, network.observe())
        if guard is not None:
            guard.begin(plan)
        if begin is not None:
            begin()
        store.log_decision("apply", revision=revision.full_name, purpose=purpose, actions=len(plan.actions))
        outcome = execute_plan(plan, network, store.journal, progress)
        problem, failure = outcome.problem, outcome.failure
        store.log_decision(
            "applied" if outcome.complete else "apply-failed" if failure is not None else "applied-in-part",
            revision=revision.full_name,
            performed=outcome.performed,
            total=outcome.total,
            **({"why": problem.what, "where": problem.where} if problem is not None else {}),
        )
        if failure is not None:
            _record_failure(store, plan, revision, outcome, failure)
        elif record_as:
            counts, was = count_verbs(outcome.done), changed_in_place(outcome.done, plan)
            held = held_in((*plan.holds, *outcome.held))
            store.record_applied(revision, what=record_as, counts=counts, was=was, held=held, details=details)
        if guard is not None:
            guard.end(outcome)
        return outcome


def held_in(holds: Iterable[HeldChange]) -> tuple[HeldPart, ...]:
    """What the store remembers of holds: which facts are still to be done; of a missing link, its whole resource."""
    return tuple(dict.fromkeys((hold.key, hold.resource if _is_whole(hold) else "") for hold in holds))


def _is_whole(hold: HeldChange) -> bool:
    """Whether the whole resource is held: its link is missing or ambiguous."""
    return hold.key[0] == "link" and hold.gate in (Gate.NIC, Gate.UNKNOWN, Gate.WAITS, Gate.REFUSED)


def _record_failure(store: Store, plan: Plan, revision: Revision, outcome: ApplyOutcome, failure: HagitError) -> None:
    """One line for a failure, not one for each retry of it; what was changed before it must be known to a rollback."""
    entries = store.history()
    last = entries[-1] if entries else {}
    known = last.get("what") == "failed" and last["revision"]["commit"] == revision.commit
    if outcome.performed or not known:
        was = changed_in_place(outcome.done, plan)
        store.record_history("failed", revision, why=failure.what, where=failure.where, was=was)


def require_current(plan: Plan, observed: Observed) -> None:
    """Raise StalePlanError when the state has changed since the plan was made."""
    moved = stale(plan, observed)
    if moved:
        rest = f"\n  and {len(moved) - MOVED_MAX} more" if len(moved) > MOVED_MAX else ""
        raise StalePlanError(
            "the plan is stale; since it was made:\n  " + "\n  ".join(moved[:MOVED_MAX]) + rest,
            remedy="make a new plan with `hagit plan`",
        )


def changed_in_place(actions: Sequence[Action], plan: Plan) -> list[Document]:
    """The facts that actions of a plan change in place, with their old values: a rollback restores them.

    Created and removed facts carry a stamp or come from a revision; a changed MTU carries nothing. A lease of an
    address cannot be restored: only the program that leased it can renew it.
    """
    resources = {name: resource for resource, name in plan.names.items()}
    changed = (
        action.before
        for action in actions
        if action.verb is ActionVerb.CHANGE and not isinstance(action.before, Address)
    )
    return [fact_document(rename(fact, resources)) for fact in changed if fact is not None]


def restored_content(content: Content, entries: Sequence[Mapping[str, Any]]) -> Content:
    """The content of an older revision, with the old values of facts that newer revisions changed in place.

    `entries` are those of the history since that revision was in force, oldest first.
    """
    facts = dict(content.desired.facts)
    for entry in entries:
        for document in entry.get("was", ()):
            fact = fact_from_document(document)
            facts.setdefault(fact.key, fact)
    return replace(content, desired=replace(content.desired, facts=MappingProxyType(facts)))


def count_verbs(actions: Iterable[Action]) -> dict[str, int]:
    """How many actions of each verb, for the history."""
    return dict(Counter(action.verb.value for action in actions))
