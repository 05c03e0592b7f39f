"""What planning has to know of pools and datasets: whose they are now, and in which order they change.

Decides that on a controller that is not the active one nothing is said of them: a pool that is on the other controller
is never missing here. Does not know how anything is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import Desired, Observed, Placement
from reconciler.core.facts.storage import STORAGE_WORDS, Dataset, Pool, PoolProperty, Property

_QUOTAS: Final = ("quota", "refquota", "volsize")
_RESERVATIONS: Final = ("reservation", "refreservation")


def left_to_others(desired: Desired, observed: Observed) -> tuple[frozenset[str], tuple[str, ...]]:
    """The pools of which nothing is desired here now, and sentences that say why."""
    keys = [key for key in (*desired.facts, *desired.destroy) if key[0] in STORAGE_WORDS]
    pools = sorted({key[1] for key in keys})
    if not pools or observed.placement is Placement.ACTIVE:
        return frozenset(), ()
    if observed.placement is Placement.STANDBY:
        why = observed.placement_why or "this controller is not the active one"
        return frozenset(pools), (f"left to the active controller: {', '.join(pools)} ({why})",)
    if desired.alone:
        return frozenset(), ()
    gone = [pool for pool in pools if _is_absent(("pool", pool), observed)]
    notes = (f"left to the controller that has imported it: {pool} (it is not imported here)" for pool in gone)
    return frozenset(gone), tuple(notes)


def _is_absent(key: Key, observed: Observed) -> bool:
    return key not in observed.facts and observed.why_unknown(key) is None


def storage_order(fact: Fact, live: Mapping[Key, Fact]) -> tuple[int, int, str]:
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
