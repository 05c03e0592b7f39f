"""The gates of pools and datasets, and the one way in which data goes: a dataset that is asked to be destroyed.

Decides what ZFS could not do or what would cost data. Leaving a resource out never destroys anything; what is protected
is shown and held, and the rest of the plan goes on.
"""

from __future__ import annotations

from reconciler.core.facts.fact import Fact
from reconciler.core.facts.storage import (
    FIXED,
    Dataset,
    Pool,
    PoolProperty,
    Property,
    StorageFact,
    is_inside,
    property_value,
    rests_on,
)
from reconciler.core.planning.draft import PlanDraft
from reconciler.core.planning.fact_words import fact_name
from reconciler.core.planning.plan import LOOKS_AGAIN, Gate, GateRefusal


def obstacle(draft: PlanDraft, fact: StorageFact) -> GateRefusal | None:
    """Why a desired fact of a pool or dataset cannot be made true now, or None."""
    seen = draft.live.facts.get(fact.key)
    if isinstance(fact, Pool):
        return None if fact.create else _not_to_be_made(fact, "hagit makes a pool only when `create: true` says so")
    if isinstance(fact, Dataset):
        if isinstance(seen, Dataset):
            why = f"{fact.name} is a {seen.kind}, and cannot become a {fact.kind}"
            return GateRefusal(Gate.FIXED, why, "give it another name, or move its data and destroy it by hand")
        waits = _waits(draft, fact)
        if waits is None and not fact.create:
            return _not_to_be_made(fact, "`create: false` says that it has to be there")
        return waits
    if seen is None:
        why = f"this ZFS does not say what {fact_name(fact)} is"
        return GateRefusal(Gate.FIXED, why, "take the property out of the configuration")
    if fact.name in FIXED:
        live = getattr(seen, "value", "")
        why = f"{fact.name} is chosen when it is made: it is {property_value(fact.name, live)}"
        why += f", {property_value(fact.name, fact.value)} desired"
        return GateRefusal(Gate.FIXED, why, "make it anew and move the data, or write what is there")
    if fact.name == "volsize" and isinstance(seen, Property) and int(fact.value) < int(seen.value):
        why = f"a volume that shrinks from {property_value('volsize', seen.value)} loses what lies beyond its new end"
        return GateRefusal(Gate.DATA_LOSS, why, "write the size that it has; to shrink it: zfs set volsize, by hand")
    return None


def is_told_elsewhere(draft: PlanDraft, fact: Fact) -> bool:
    """Whether a missing property is a matter of its pool or dataset, which is held itself."""
    if not isinstance(fact, PoolProperty | Property) or fact.key in draft.live.facts:
        return False
    upper = rests_on(fact)
    assert upper is not None
    # Of the other kind, it has not even the properties that are asked for.
    return draft.live.facts.get(upper) != draft.desired.facts.get(upper, draft.live.facts.get(upper))


def _not_to_be_made(fact: Pool | Dataset, rule: str) -> GateRefusal:
    remedy = f"say `create: true` if there never was one, else find out where {fact.name} is: zpool import"
    return GateRefusal(Gate.ABSENT, f"{fact_name(fact)} is not here, and {rule}", remedy)


def _waits(draft: PlanDraft, dataset: Dataset) -> GateRefusal | None:
    pool = ("pool", dataset.key[1])
    upper = rests_on(dataset) if pool in draft.live.facts else pool
    if upper is None or upper in draft.live.facts:
        return None
    if (why := draft.observed.why_unknown(upper)) is not None:
        return GateRefusal(Gate.UNKNOWN, f"{upper[-1]} is not known: {why}", LOOKS_AGAIN)
    is_known = upper == pool or upper in draft.desired.facts
    remedy = f"see {upper[-1]}" if is_known else f"describe {upper[-1]} as a Dataset, too"
    return GateRefusal(Gate.WAITS, f"there is no {upper[0]} {upper[-1]}", remedy)


def plan_destructions(draft: PlanDraft) -> None:
    """Add, after everything else, what is asked to be destroyed: the lowest first."""
    for key in sorted(draft.desired.destroy, key=lambda key: (-key[2].count("/"), key)):
        fact = draft.live.facts.get(key)
        origin = draft.desired.origins.get(key)
        resource = origin.resource if origin is not None else ""
        if (why := draft.observed.why_unknown(key)) is not None:
            draft.hold_unknown(key, why, resource, origin)
        elif not isinstance(fact, Dataset):
            continue
        elif draft.is_ignored(resource):
            draft.hold_ignored(key, "to be destroyed", resource, origin)
        elif draft.desired.destroy[key]:
            why = f"{fact_name(fact)} is to be destroyed with all its data, and is protected"
            remedy = "say `protected: false` beside `destroy: true`, or take `destroy` out"
            draft.hold(key, Gate.PROTECTED, why, remedy, resource, origin)
        elif (below := _below(draft, fact)) is not None:
            remedy = "destroy what is below it first, or by hand"
            draft.hold(key, Gate.DATA_LOSS, f"{below} lies below {fact.name}", remedy, resource, origin)
        else:
            draft.act(fact, None, "asked to be destroyed", resource, origin)


def _below(draft: PlanDraft, dataset: Dataset) -> str | None:
    names = (fact.name for fact in draft.live.facts.values() if isinstance(fact, Dataset))
    return next((name for name in names if is_inside(name, dataset.name)), None)
