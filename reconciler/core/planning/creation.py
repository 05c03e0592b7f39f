"""The second pass: what comes and what changes, stage by stage, each against the state the steps before it leave.

Decides the order inside a stage: what lies below comes first, except that MTUs shrink from the top and that sizes of
datasets change in the order that ZFS accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.core.facts.change import ActionStage
from reconciler.core.facts.difference import Difference, host, need
from reconciler.core.facts.fact import Address, Fact, Key, Link, LinkKind, Mtu, Power, Route
from reconciler.core.facts.fact_kinds import kind_of
from reconciler.core.facts.storage import Dataset, Pool, PoolProperty, Property
from reconciler.core.planning.draft import PlanDraft, depths
from reconciler.core.planning.gates import refusal
from reconciler.core.planning.plan import Gate
from reconciler.core.planning.storage_gates import is_told_elsewhere

_QUOTAS: Final = ("quota", "refquota", "volsize")
_RESERVATIONS: Final = ("reservation", "refreservation")


def plan_creations(draft: PlanDraft, waiting: Iterable[Difference]) -> None:
    """Add everything that is to be created or changed, and, once their successors are there, the waiting removals."""
    stages: dict[ActionStage, list[Fact]] = {stage: [] for stage in ActionStage}
    for fact in draft.desired.facts.values():
        stages[kind_of(fact).stage].append(fact)
    height = depths(draft.desired.facts)
    for stage in ActionStage:
        facts = stages[stage]
        if stage is ActionStage.LINK:
            facts.sort(key=lambda fact: height.get(fact.key[1], 0))
        if stage is ActionStage.MTU:
            _plan_mtus(draft, facts, height)
        elif stage in (ActionStage.POOL, ActionStage.DATASET):
            facts.sort(key=lambda fact: _storage_order(fact, draft.live.facts))
            _plan_facts(draft, facts)
        elif stage is ActionStage.POWER:
            facts.sort(key=_power_order(height))
            _plan_facts(draft, facts)
        else:
            _plan_facts(draft, facts)
        if stage is ActionStage.ADDRESS:
            for item in waiting:
                if item.key in draft.live.facts:
                    draft.act(item.observed, None, item.why, item.resource, None)


def _power_order(height: dict[str, int]) -> Callable[[Fact], tuple[Any, ...]]:
    """Up from below, because a VLAN cannot be up over a parent that is down; then down."""

    def order(fact: Fact) -> tuple[Any, ...]:
        assert isinstance(fact, Power)
        level = height.get(fact.link, 0)
        return (not fact.up, level if fact.up else -level)

    return order


def _plan_mtus(draft: PlanDraft, facts: list[Fact], height: dict[str, int]) -> None:
    """Shrink from the top; then grow from below, bonds before their members since a bond sets theirs as well."""

    def grows(fact: Fact) -> bool:
        assert isinstance(fact, Mtu)
        size = draft.live.mtu(fact.link)
        return size is None or size <= fact.size

    shrinking = [fact for fact in facts if not grows(fact)]
    shrinking.sort(key=lambda fact: -height.get(fact.key[1], 0))
    _plan_facts(draft, shrinking)
    facts.sort(key=lambda fact: (not _is_bond(draft, fact.key[1]), height.get(fact.key[1], 0)))
    _plan_facts(draft, facts)


def _is_bond(draft: PlanDraft, link: str) -> bool:
    fact = draft.desired.facts.get(("link", link))
    return isinstance(fact, Link) and fact.kind is LinkKind.BOND


def _plan_facts(draft: PlanDraft, facts: Iterable[Fact]) -> None:
    """Bring each fact about, or hold it."""
    desired, live, unknown = draft.desired, draft.live, bool(draft.observed.unknown)
    for fact in facts:
        key = fact.key
        origin = desired.origins.get(key)
        resource = origin.resource if origin is not None else ""
        if isinstance(fact, Address) and draft.virtual and host(fact.address) in draft.virtual:
            why = f"{host(fact.address)} is a virtual address, and the watchdog places those"
            draft.hold(key, Gate.VIRTUAL, why, "give the interface a static address of its own", resource, origin)
            continue
        if unknown and (why_unknown := draft.observed.why_unknown(key)) is not None:
            draft.hold_unknown(key, why_unknown, resource, origin)
            continue
        reason = need(fact, live.facts, desired.facts)
        if reason is None or (key[0] == "link" and key[1] in draft.held_links) or is_told_elsewhere(draft, fact):
            continue
        if draft.is_ignored(resource):
            draft.hold_ignored(key, reason, resource, origin)
            continue
        refused = refusal(draft, fact)
        if refused is not None:
            draft.hold(key, refused.gate, refused.why, refused.remedy, resource, origin)
            continue
        if isinstance(fact, Route) and fact.gateway is not None and fact.link is None:
            # A plan leaves no choice to the kernel: the link that the gate found is the one that is asked for.
            fact = replace(fact, link=live.link_towards(fact.gateway, None))
        draft.act(live.facts.get(key), fact, draft.lost.get(key, reason), resource, origin)


def _storage_order(fact: Fact, live: Mapping[Key, Fact]) -> tuple[int, int, str]:
    """The place of a change among those of one stage.

    What is made comes first, from the top. Of sizes ZFS refuses a reservation beyond the quota at any moment: so
    reservations shrink first, from the bottom, and grow last, with the quotas between.
    """
    if isinstance(fact, Pool | PoolProperty):
        return (isinstance(fact, PoolProperty), 0, "")
    if isinstance(fact, Dataset):
        return (0, fact.name.count("/"), fact.name)
    assert isinstance(fact, Property)
    depth = fact.dataset.count("/")
    if fact.name in _QUOTAS:
        return (3, depth, fact.dataset)
    if fact.name in _RESERVATIONS:
        seen = live.get(fact.key)
        shrinks = isinstance(seen, Property) and _bytes(fact.value) < _bytes(seen.value)
        return (2, -depth, fact.dataset) if shrinks else (4, depth, fact.dataset)
    return (1, depth, fact.dataset)


def _bytes(value: str) -> int:
    return int(value) if value.isdecimal() else 0
