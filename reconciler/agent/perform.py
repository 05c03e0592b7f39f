"""Performing a plan: one action at a time, behind the journal, looking after each, stopping at a surprise.

Decides nothing about what to do: the plan leaves no choices. What is cut off at any point is finished by planning
again from what is then to be seen; the one thing a look cannot tell, whether a link without a stamp was made by us a
moment before we died, is told by the journal (`stamp_interrupted`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from reconciler.agent.journal import Journal, interrupted, settle
from reconciler.core.facts.fact import Fact, Key, Link, Mark
from reconciler.core.facts.network import Network
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import Action, Plan
from reconciler.errors import HagitError, SurpriseError

#: Called before each action with its index, the number of all actions, and the action.
Progress: TypeAlias = Callable[[int, int, Action], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an apply ended: how many actions were done, and what stopped it, if anything did."""

    performed: int
    total: int
    failure: HagitError | None = None

    @property
    def complete(self) -> bool:
        """Every action was done and the last look agreed with the prediction."""
        return self.failure is None


def perform_plan(plan: Plan, network: Network, journal_path: Path, progress: Progress | None = None) -> Outcome:
    """Do what the plan says. Raises StateError before the first action when the journal cannot be written."""
    if not plan.actions:
        return Outcome(0, 0)
    performed, total = 0, len(plan.actions)
    with Journal(journal_path, plan) as journal:
        try:
            for index, action in enumerate(plan.actions):
                if progress:
                    progress(index, total, action)
                journal.started(index)
                network.perform(action.before, action.after)
                _look_at(network, action)
                journal.done(index)
                performed += 1
            _look_at_everything(network, plan)
        except HagitError as failure:
            journal.ended(failure.what)
            return Outcome(performed, total, failure)
        journal.ended("complete")
    return Outcome(performed, total)


def _look_at(network: Network, action: Action) -> None:
    """The narrow look after one action. Raises SurpriseError when the fact is not what the action made it."""
    found = network.observe_keys((action.key,)).get(action.key)
    if found != action.after:
        raise SurpriseError(
            f"{describe(action.key)} is {_show(found)} after the action that should have made it {_show(action.after)}",
            where=action.resource,
            remedy="something else changes this controller; run `hagit plan` to see what is left to do",
        )


def _look_at_everything(network: Network, plan: Plan) -> None:
    """The whole look after the last action. Raises SurpriseError naming what the prediction had otherwise."""
    surprises = unexpected(plan, network.observe())
    if surprises:
        shown = "; ".join(surprises[:3]) + (f"; and {len(surprises) - 3} more" if len(surprises) > 3 else "")
        raise SurpriseError(
            f"every action was done, but {shown}",
            remedy="something else changes this controller; run `hagit plan` to see what is left to do",
        )


def unexpected(plan: Plan, observed: Observed) -> list[str]:
    """What differs between the prediction of a plan and a look, in words; unknown facts are passed over."""
    keys: set[Key] = set(plan.before) | set(plan.after)
    return [
        f"{describe(key)} is {_show(observed.facts.get(key))} where {_show(plan.after.get(key))} was predicted"
        for key in sorted(keys)
        if observed.facts.get(key) != plan.after.get(key) and observed.why_unknown(key) is None
    ]


def stamp_interrupted(network: Network, journal_path: Path) -> str | None:
    """Finish the stamps of an apply that was cut off; returns a sentence about it, or None when none was.

    A link is made and stamped by two requests. Between them it looks like anybody's, so only the journal can say that
    it is ours.
    """
    cut = interrupted(journal_path)
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
    settle(journal_path)
    return f"an apply of {cut.revision} was cut off after {cut.done} of {cut.total} actions"


def describe(key: Key) -> str:
    """A key in words: `address 10.0.0.11/24 on eth1`."""
    match key:
        case ("address", link, address):
            return f"address {address} on {link}"
        case ("route", destination, metric):
            return f"route {destination} metric {metric}"
        case (kind, link):
            return f"{kind} of {link}"
        case _:
            return " ".join(key)


def _show(fact: Fact | None) -> str:
    return "absent" if fact is None else str(fact)
