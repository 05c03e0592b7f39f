"""Execute a plan: one action at a time, behind the journal, each verified by an observation.

Makes no choices: the plan leaves none. An action that the kernel, ZFS or a file refuses is held with the reason, and so
is every action that depends on it; all others are performed. After an interruption, a new plan from a new observation
finishes the work. Only the journal knows whether a link without a stamp was created by hagit just before it died
(`mark_interrupted_links`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from reconciler.agent.apply_journal import ApplyJournal, close_interrupted, read_interrupted
from reconciler.core.facts.fact import Fact, Key, Link, Mark
from reconciler.core.facts.network_adapter import NetworkAdapter
from reconciler.core.facts.state import Observed
from reconciler.core.planning.dependencies import obstacle_to
from reconciler.core.planning.plan import Action, Gate, HeldChange, Plan
from reconciler.errors import HagitError, NotPermitted, ObservationError, PerformError, StateError, SurpriseError

#: Called before each action with its index, the number of all actions, and the action.
Progress: TypeAlias = Callable[[int, int, Action], None]

#: Remedies for a refusal that names none.
TRIED_AGAIN: Final = "the agent tries again when something here changes, and after a while in any case"
SOMETHING_ELSE: Final = "something else changes this controller; run `hagit plan` to see what is left to do"


@dataclass(frozen=True, slots=True)
class ApplyOutcome:
    """How an apply ended.

    `done`: actions that succeeded; `refused`: actions that failed. `held`: the reason for each refused action, for each
    action that waits for one, and for each fact that differs from the plan's prediction. `failure` stopped everything:
    no later action was tried.
    """

    total: int
    done: tuple[Action, ...] = ()
    refused: tuple[Action, ...] = ()
    held: tuple[HeldChange, ...] = ()
    failure: HagitError | None = None

    @property
    def performed(self) -> int:
        """The number of actions that succeeded."""
        return len(self.done)

    @property
    def complete(self) -> bool:
        """Whether every action succeeded and the last observation agrees with the prediction."""
        return self.failure is None and not self.held

    @property
    def problem(self) -> HagitError | None:
        """One error for all that kept the apply from being complete; None when it is complete."""
        return self.failure if self.failure is not None or not self.held else error_of_holds(self.held)


def error_of_holds(held: Sequence[HeldChange]) -> PerformError:
    """One error for several holds: the first refusal, and the number of the others. `held` is not empty."""
    first = next((hold for hold in held if hold.gate is Gate.REFUSED), held[0])
    rest = len(held) - 1
    more = f"; and {rest} more {'are' if rest > 1 else 'is'} held" if rest else ""
    return PerformError(f"{first.why}{more}", where=first.resource, remedy=first.remedy)


def execute_plan(
    plan: Plan, network: NetworkAdapter, journal_path: Path, progress: Progress | None = None
) -> ApplyOutcome:
    """Perform the actions of a plan, except refused ones and those that depend on them.

    Raises StateError before the first action when the journal cannot be written.
    """
    total = len(plan.actions)
    if not total:
        return ApplyOutcome(0)
    done: list[Action] = []
    refused: list[Action] = []
    undone: list[Action] = []
    held: list[HeldChange] = []
    with ApplyJournal(journal_path, plan) as journal:
        try:
            for index, action in enumerate(plan.actions):
                if progress:
                    progress(index, total, action)
                obstacle = obstacle_to(action, undone)
                if obstacle is not None:
                    why = f"{key_in_words(action.key)} waits for {key_in_words(obstacle.key)}, which is held"
                    held.append(_hold(action, Gate.WAITS, why, f"see {key_in_words(obstacle.key)}"))
                    undone.append(action)
                    continue
                journal.started(index)
                try:
                    network.perform(action.before, action.after)
                    _verify(network, action)
                except (NotPermitted, StateError):
                    refused.append(action)
                    raise
                except (PerformError, SurpriseError, ObservationError) as problem:
                    held.append(_hold(action, Gate.REFUSED, problem.what, problem.remedy or TRIED_AGAIN))
                    refused.append(action)
                    undone.append(action)
                    continue
                journal.done(index)
                done.append(action)
            held += unpredicted_facts(plan, network.observe(), done, undone)
        except HagitError as failure:
            journal.ended(failure.what)
            return ApplyOutcome(total, tuple(done), tuple(refused), tuple(held), failure)
        journal.ended(f"{len(held)} held" if held else "complete")
    return ApplyOutcome(total, tuple(done), tuple(refused), tuple(held))


def _hold(action: Action, gate: Gate, why: str, remedy: str) -> HeldChange:
    return HeldChange(action.key, gate, why, remedy, action.origin, action.resource)


def _verify(network: NetworkAdapter, action: Action) -> None:
    """Observe the fact of an action. Raises SurpriseError when it differs from the action's result."""
    found = network.observe_keys((action.key,)).get(action.key)
    if found != action.after:
        raise SurpriseError(
            f"{key_in_words(action.key)} is {_show(found)} after the action that should have made it "
            f"{_show(action.after)}",
            where=action.resource,
            remedy=SOMETHING_ELSE,
        )


def unpredicted_facts(
    plan: Plan, observed: Observed, done: Sequence[Action], undone: Sequence[Action]
) -> list[HeldChange]:
    """A hold for each fact that the last observation shows otherwise than the plan predicted. Skips unknown facts.

    After an action that was not performed, compares only the results of the others that do not depend on it.
    """
    keys: set[Key] = set(plan.before) | set(plan.after)
    if undone:
        keys = {action.key for action in done}
        keys -= {fact.key for action in (*done, *undone) for fact in action.consequences}
        keys -= {action.key for action in undone}
    about = {action.key: action for action in plan.actions}
    found = []
    for key in sorted(keys):
        seen, predicted = observed.facts.get(key), plan.after.get(key)
        if seen == predicted or observed.why_unknown(key) is not None:
            continue
        why = f"every action was done, but {key_in_words(key)} is {_show(seen)} where {_show(predicted)} was predicted"
        action = about.get(key)
        origin, resource = (action.origin, action.resource) if action is not None else (None, "")
        found.append(HeldChange(key, Gate.REFUSED, why, SOMETHING_ELSE, origin, resource))
    return found


def mark_interrupted_links(network: NetworkAdapter, journal_path: Path) -> str | None:
    """Stamp the links of an interrupted apply; returns a sentence about it, or None without one.

    A link is created and stamped by two requests. Between them it looks foreign, and only the journal knows its maker.
    """
    cut = read_interrupted(journal_path)
    if cut is None:
        return None
    marks = {fact.link: fact for fact in cut.intended if isinstance(fact, Mark)}
    for fact in cut.made if cut.lasting else ():
        if not isinstance(fact, Link):
            continue
        mark = marks.get(fact.name, Mark(fact.name, f"hagit {fact.name}"))
        found = network.observe_keys((fact.key, mark.key))
        if found.get(fact.key) == fact and found.get(mark.key) is None:
            network.perform(None, mark)
    close_interrupted(journal_path)
    return f"an apply of {cut.revision} was cut off after {cut.done} of {cut.total} actions"


def key_in_words(key: Key) -> str:
    """A key in words: `address 10.0.0.11/24 on eth1`."""
    match key:
        case ("address", link, address):
            return f"address {address} on {link}"
        case ("route", destination, metric, *_):
            return f"route {destination} metric {metric}"
        case (kind, link):
            return f"{kind} of {link}"
        case _:
            return " ".join(key)


def _show(fact: Fact | None) -> str:
    return "absent" if fact is None else str(fact)
