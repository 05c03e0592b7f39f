"""Which actions of a plan clients would notice on the controller that serves them.

An action is harmless when its impact is NONE, or when it touches no link that serves clients. A link serves clients if
it is critical or carries a virtual address, now or with the new revision; so does each link that it rests on. A route
counts by the link that it leaves by; one whose link is not known counts as serving. What happens in pools happens on
the active controller in any case, so a switchover would not spare clients from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from reconciler.core.facts.change import Impact
from reconciler.core.facts.fact import Fact, Link, Mark, Port, Route
from reconciler.core.facts.ownership import CRITICAL_WORD
from reconciler.core.facts.state import Desired
from reconciler.core.facts.storage import StorageFact
from reconciler.core.planning.plan import Action, Plan


def critical_resources(desired: Desired) -> frozenset[str]:
    """The names of the critical Interfaces; each mark says so."""
    return critical_marks(desired.facts.values())


def critical_marks(facts: Iterable[Fact]) -> frozenset[str]:
    """The links of all marks that name a failover group: resources in desired facts, the kernel's names elsewhere."""
    marks = (fact for fact in facts if isinstance(fact, Mark))
    return frozenset(
        mark.link for mark in marks if any(word.startswith(CRITICAL_WORD) for word in mark.text.split(" ")[2:])
    )


def noticed_actions(plan: Plan, resources: Collection[str]) -> tuple[Action, ...]:
    """The actions that clients would notice. `resources`: names of the Interfaces that serve clients."""
    links = serving_links(plan, resources)
    return tuple(action for action in plan.actions if action.impact > Impact.NONE and _touches(action, links))


def serving_links(plan: Plan, resources: Collection[str]) -> frozenset[str]:
    """The kernel's names of the links that serve clients: those of the resources, and what they rest on."""
    below: dict[str, set[str]] = {}
    for facts in (plan.before, plan.after):
        for fact in facts.values():
            if isinstance(fact, Link) and fact.parent is not None:
                below.setdefault(fact.name, set()).add(fact.parent)
            elif isinstance(fact, Port):
                below.setdefault(fact.master, set()).add(fact.link)
    pending = [plan.names.get(name, name) for name in resources]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += below.get(name, ())
    return frozenset(found)


def _touches(action: Action, links: frozenset[str]) -> bool:
    fact = action.after if action.after is not None else action.before
    if fact is None or isinstance(fact, StorageFact):
        return False
    touched = [name for one in (action.before, action.after) if one is not None for name in _links_of(one)]
    return None in touched or any(name in links for name in touched)


def _links_of(fact: Fact) -> Iterator[str | None]:
    """The links that a fact is about; None for a route whose link the kernel chooses."""
    if isinstance(fact, Link):
        yield fact.name
    elif isinstance(fact, Port):
        yield from (fact.link, fact.master)
    elif isinstance(fact, Route):
        yield fact.link
    elif (link := getattr(fact, "link", None)) is not None:
        yield str(link)
