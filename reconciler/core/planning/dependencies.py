"""Which actions of a plan rest on one that was refused.

Decides what has to wait when an action cannot be done, so that everything else goes on. Does not know why it could not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reconciler.core.facts.change import ActionVerb
from reconciler.core.facts.fact import Address, Fact, Link, Mark, Port
from reconciler.core.facts.prediction import is_ipv6
from reconciler.core.facts.storage import STORAGE_WORDS, Dataset, Pool, Property, is_inside
from reconciler.core.planning.nic_match import links_of
from reconciler.core.planning.plan import Action

#: After this many refusals in one pool the rest of its actions wait: a pool that hangs answers each of them late.
REFUSALS_OF_A_POOL_MAX: Final = 8


def obstacle_to(action: Action, refused: Iterable[Action]) -> Action | None:
    """The refused action without which `action` must not be done, or None."""
    of_the_pool = 0
    for other in refused:
        if _rests_on(action, other):
            return other
        if _pool_of(action) and _pool_of(action) == _pool_of(other):
            of_the_pool += 1
            if of_the_pool >= REFUSALS_OF_A_POOL_MAX:
                return other
    return None


def _rests_on(action: Action, other: Action) -> bool:
    fact, refused = _fact(action), _fact(other)
    if action.key == other.key:
        return True  # making anew what could not be removed
    if isinstance(refused, Link):
        return refused.name in links_of(fact)
    if isinstance(refused, Mark):
        return isinstance(fact, Port) and fact.link == refused.link  # the mark tells that the port is ours
    if isinstance(refused, Address):
        # The last address of a link goes only when its successor is there: clients, and foreign routes, need one.
        if not isinstance(fact, Address) or action.verb is not ActionVerb.REMOVE or other.verb is ActionVerb.REMOVE:
            return False
        return fact.link == refused.link and is_ipv6(fact.address) == is_ipv6(refused.address)
    if not _pool_of(action) or _pool_of(action) != _pool_of(other):
        return False
    if isinstance(fact, Dataset) and action.verb is ActionVerb.REMOVE:
        return True  # data is destroyed only after everything else that was asked of its pool
    if isinstance(refused, Pool):
        return True
    return isinstance(refused, Dataset) and isinstance(fact, Dataset | Property) and _is_in(fact, refused)


def _fact(action: Action) -> Fact:
    fact = action.after if action.after is not None else action.before
    assert fact is not None
    return fact


def _pool_of(action: Action) -> str:
    return action.key[1] if action.key[0] in STORAGE_WORDS else ""


def _is_in(fact: Dataset | Property, upper: Dataset) -> bool:
    name = fact.name if isinstance(fact, Dataset) else fact.dataset
    return name == upper.name or is_inside(name, upper.name)
