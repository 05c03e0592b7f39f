"""The planner: what one controller should be and what it is become a plan.

Decides the whole order in two passes: what goes, then, against the state that leaves, what comes. Does not know where
facts come from or who performs the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import MappingProxyType

from reconciler.core.facts.codec import digest
from reconciler.core.facts.difference import Difference, DifferenceKind, contrast, differences, resources_by_link
from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import Desired, Facts, Observed, Origin
from reconciler.core.planning.creation import plan_creations
from reconciler.core.planning.draft import PlanDraft
from reconciler.core.planning.fact_words import fact_name
from reconciler.core.planning.nic_match import bind
from reconciler.core.planning.plan import Base, Blame, Foreign, Plan
from reconciler.core.planning.removal import plan_removals
from reconciler.core.planning.removal_commands import removal_command
from reconciler.core.planning.storage_gates import plan_destructions


def make_plan(desired: Desired, observed: Observed, revision: str) -> Plan:
    """The plan that makes `observed` what `desired` asks for; `revision` is `main@` and the full commit id."""
    bound = bind(desired, observed)
    found = differences(bound.desired, observed, bound.spared)
    draft = PlanDraft(bound, observed)
    waiting = plan_removals(draft, found)
    plan_creations(draft, waiting)
    plan_destructions(draft)
    actions = draft.actions
    holds = tuple(draft.holds.values())
    keys: dict[Key, None] = dict.fromkeys(bound.desired.facts)
    keys.update(dict.fromkeys(hold.key for hold in holds))
    for action in actions:
        keys[action.key] = None
        keys.update(dict.fromkeys(fact.key for fact in action.consequences))
    return Plan(
        base=Base(desired.controller, revision, digest(observed, keys)),
        actions=actions,
        holds=holds,
        foreign=tuple(_foreign(found, draft)),
        warnings=tuple(_warnings(draft)),
        before=_facts_of(keys, observed.facts),
        after=_facts_of(keys, draft.live.facts),
        names=bound.names,
        notes=bound.notes,
    )


def _facts_of(keys: Iterable[Key], facts: Facts | dict[Key, Fact]) -> Facts:
    return MappingProxyType({key: facts[key] for key in keys if key in facts})


def _foreign(found: Iterable[Difference], draft: PlanDraft) -> Iterator[Foreign]:
    for item in found:
        if item.kind in (DifferenceKind.FOREIGN, DifferenceKind.LEFT) and item.observed == draft.live.facts.get(
            item.key
        ):
            assert item.observed is not None
            yield Foreign(item.observed, removal_command(item.observed))


def _warnings(draft: PlanDraft) -> Iterator[str]:
    resources = resources_by_link(draft.desired)
    for link in sorted(draft.observed.managers):
        if link in resources and draft.observed.managers[link]:
            names = " and ".join(draft.observed.managers[link])
            yield f"{link} ({resources[link]}) is managed by {names} too: let only one of them have it"
    for part in draft.observed.unknown:
        if part.scope[:1] in (("pool-property",), ("dataset",), ("property",)):
            continue  # what is in a pool is unknown with it
        yield f"{' '.join(part.scope) or 'the live state'} could not be read: {part.why}"


def blamed(plan: Plan, blame_of: Callable[[Origin], Blame | None]) -> Plan:
    """The plan with, for each change, who asks for it. `blame_of` is asked once for each place in the YAML."""
    places = (*(action.origin for action in plan.actions), *(change.origin for change in plan.orders))
    known = {origin: blame_of(origin) for origin in dict.fromkeys(places) if origin is not None}
    actions = tuple(replace(item, blame=known[item.origin]) if item.origin else item for item in plan.actions)
    orders = tuple(replace(item, blame=known[item.origin]) if item.origin else item for item in plan.orders)
    return replace(plan, actions=actions, orders=orders)


def base_keys(plan: Plan) -> tuple[Key, ...]:
    """The keys whose facts a plan was made from."""
    keys: dict[Key, None] = dict.fromkeys((*plan.before, *plan.after))
    keys.update(dict.fromkeys(hold.key for hold in plan.holds))
    keys.update(dict.fromkeys(action.key for action in plan.actions))
    return tuple(sorted(keys))


def stale(plan: Plan, observed: Observed) -> tuple[str, ...]:
    """What has moved since the plan was made, in words; empty when the plan still fits."""
    moved = []
    for key in base_keys(plan):
        then, now = plan.before.get(key), observed.facts.get(key)
        if then == now:
            continue
        if now is None:
            why = observed.why_unknown(key)
            assert then is not None
            moved.append(f"{fact_name(then)} {'is gone' if why is None else f'cannot be read now: {why}'}")
        elif then is None:
            moved.append(f"{fact_name(now)} has appeared")
        else:
            moved.append(f"{fact_name(now)} has changed: {contrast(then, now).replace(' desired', ' now')}")
    return tuple(moved)
