"""Two machines that both believe they are one controller claim at once: no order of commands lets both import."""

import os

import pytest

from reconciler.core.failover.reservations.key import Key, Side, epoch_of
from reconciler.simulation.exhaustive.scenes import SHELF
from reconciler.simulation.exhaustive.twins import (
    DEEP_TWINS,
    TWINS,
    TWO_SHELVES,
    SharedDisk,
    Twins,
    search,
    together,
    writers,
)

EVERYTHING = os.environ.get("HAGIT_EXPLORE") == "all"


@pytest.mark.parametrize("twins", TWINS + (DEEP_TWINS if EVERYTHING else ()), ids=lambda twins: twins.name)
def test_at_most_one_of_them_imports(twins: Twins) -> None:
    found, states, winners = search(together(SHELF, twins))
    assert found is None
    assert states > 1_000
    assert winners, "a search in which nobody wins shows nothing"


@pytest.mark.parametrize("twins", TWO_SHELVES, ids=lambda twins: twins.name)
def test_at_most_one_writes_where_two_shelves_are_in_force(twins: Twins) -> None:
    """Both can win a majority at once. The fence on every top-level vdev decides which one may write."""
    start = together(SHELF, twins)
    assert len({claim.orders.arbitration for claim in start.claims}) == 2
    found, states, winners = search(start)
    assert found is None
    assert states > 1_000
    assert winners, "a search in which nobody wins shows nothing"


def test_keys_of_twins_differ_unless_their_tags_do_not() -> None:
    for twins in TWINS:
        first, second = (claim.key for claim in together(SHELF, twins).claims)
        assert first.side is second.side is Side.A
        assert (first == second) is twins.name.startswith("one-key")


def test_what_the_search_looks_for_is_there_to_be_found() -> None:
    start = together(SHELF, TWINS[0])
    key = Key(Side.A, epoch_of(1, SHELF.pair, 1))
    both = start._replace(disks=(SharedDisk((key, key), 0),) * len(SHELF.disks))
    assert writers(start) == writers(both) == ()
    found, _, _ = search(together(SHELF, Twins("old", "keys as they were", ((Side.A, 1), (Side.A, 3072)), told=False)))
    assert found is not None, "one key and disks that do not tell initiators: what no rule of the core can see"
