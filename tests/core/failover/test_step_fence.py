"""Whether a look proves a fence: the required state of each disk, vdev by vdev (SPC-4, 5.13; type 5 is table 63's)."""

from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Vdev
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import (
    UNANSWERED,
    DiskView,
    Fence,
    Hold,
    fence,
    judge,
    would_wait,
)
from reconciler.simulation.timed.stories import PAIR

MINE, PAST, PEER, LATER = Key(Side.A, 5), Key(Side.A, 4), Key(Side.B, 4), Key(Side.B, 6)
FENCED = DiskView(True, MINE, frozenset({MINE}))
ALL = (FENCED,) * len(PAIR.disks)
#: A raidz of which two disks are needed, and three mirrors' worth of arbitration.
RAIDZ = replace(PAIR, vdevs=(Vdev("raidz", (0, 1, 2), 2), Vdev("log", (3, 4), 1)), arbitration=(0, 2, 4))
BAD = {
    "free": DiskView(True),
    "the peer's": DiskView(True, PEER, frozenset({PEER})),
    "an old key of our own": DiskView(True, PAST, frozenset({PAST})),
    "ours, and the peer may write": DiskView(True, MINE, frozenset({MINE, PEER})),
    "ours, and a stranger may write": DiskView(True, MINE, frozenset({MINE, Key(None, 77)})),
    "ours, of another type": DiskView(True, MINE, frozenset({MINE}), 1),
    "silent": UNANSWERED,
}


def seen(changes: dict[int, DiskView]) -> tuple[DiskView, ...]:
    """A look at disks that are fenced but for some."""
    return tuple(changes.get(at, FENCED) for at in range(len(ALL)))


def test_disks_that_are_all_ours_are_a_fence() -> None:
    assert fence(PAIR, 5, ALL, frozenset()) == (Fence.HOLDS, ())


@pytest.mark.parametrize("view", BAD.values(), ids=BAD)
@pytest.mark.parametrize("disk", range(len(ALL)))
def test_one_disk_that_is_not_fenced_breaks_its_vdev(disk: int, view: DiskView) -> None:
    """Half a mirror is enough for the peer to write to."""
    verdict, vdevs = fence(PAIR, 5, seen({disk: view}), frozenset())
    assert verdict is Fence.BROKEN
    assert vdevs == tuple(vdev.name for vdev in PAIR.vdevs if disk in vdev.disks)


def test_a_raidz_is_fenced_when_too_few_disks_are_left_to_write_it() -> None:
    assert fence(RAIDZ, 5, seen({1: BAD["the peer's"]}), frozenset())[0] is Fence.HOLDS
    assert fence(RAIDZ, 5, seen({1: BAD["the peer's"], 2: UNANSWERED}), frozenset())[1] == ("raidz",)


def test_a_vdev_is_ours_only_with_enough_disks_to_import_it() -> None:
    both = {3: UNANSWERED, 4: UNANSWERED}
    assert fence(RAIDZ, 5, seen(both), frozenset(both)) == (Fence.BROKEN, ("log",))


def test_a_silent_disk_is_waited_out_only_if_the_last_owner_had_given_it_up() -> None:
    assert fence(PAIR, 5, seen({1: UNANSWERED}), frozenset({1}))[0] is Fence.WAIT
    assert fence(PAIR, 5, seen({1: UNANSWERED}), frozenset({0}))[0] is Fence.BROKEN
    assert fence(PAIR, 5, seen({1: BAD["free"]}), frozenset({1}))[0] is Fence.BROKEN


def test_a_claim_would_wait_where_a_disk_is_silent_that_was_given_up_and_could_be_written_alone() -> None:
    free = {1: UNANSWERED}
    assert would_wait(PAIR, seen(free), frozenset({1}))
    # The claim would take the other disks from any present holder.
    assert would_wait(PAIR, tuple(BAD["the peer's"] if view.answered else view for view in seen(free)), frozenset({1}))
    assert not would_wait(PAIR, seen({}), frozenset({1}))
    assert not would_wait(PAIR, seen(free), frozenset()), "that one is no fence at all"
    assert not would_wait(RAIDZ, seen(free), frozenset({1})), "one disk of three writes nothing"


def test_without_the_majority_of_the_arbitration_disks_nothing_is_fenced() -> None:
    """Whatever the vdevs say: on either half of all mirrors both could be sure."""
    wide = replace(PAIR, vdevs=(Vdev("mirror", (1, 3), 1),))
    views = seen({0: BAD["the peer's"], 2: BAD["the peer's"]})
    assert fence(wide, 5, views, frozenset()) == (Fence.BROKEN, ("arbitration",))


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        ({}, Hold.OURS),
        ({0: UNANSWERED}, Hold.OURS),
        ({0: UNANSWERED, 2: UNANSWERED}, Hold.UNKNOWN),
        ({0: DiskView(True, PAST, frozenset({PAST})), 2: DiskView(True, PAST, frozenset({PAST}))}, Hold.LOST),
        ({0: DiskView(True), 2: DiskView(True)}, Hold.LOST),
        ({1: DiskView(True, LATER, frozenset({LATER}))}, Hold.LOST),
        ({1: DiskView(True, Key(None, 77), frozenset())}, Hold.LOST),
        ({1: DiskView(True, PEER, frozenset({PEER}))}, Hold.OURS),
    ],
    ids=["all", "one silent", "two silent", "old keys", "free", "a later claim", "a foreign key", "a leftover"],
)
def test_what_a_look_says_of_our_reservation(changes: dict[int, DiskView], hold: Hold) -> None:
    assert judge(PAIR, 5, seen(changes)).hold is hold


def test_the_owner_has_the_majority() -> None:
    peer = DiskView(True, PEER, frozenset({PEER}))
    assert judge(PAIR, 5, seen({0: peer})).owner == MINE
    assert judge(PAIR, 5, seen({0: peer, 2: peer})).owner == PEER
    assert judge(PAIR, 5, seen({0: peer, 2: UNANSWERED})).owner is None


def test_the_disks_are_seen_when_every_vdev_could_be_imported() -> None:
    assert judge(PAIR, 5, seen({1: UNANSWERED})).sees
    assert not judge(RAIDZ, 5, seen({0: UNANSWERED, 1: UNANSWERED})).sees
    both = seen({2: UNANSWERED, 3: UNANSWERED})
    assert not judge(PAIR, 5, both).sees


def test_the_highest_epoch_is_of_any_key_of_either_side() -> None:
    assert judge(PAIR, 5, seen({3: DiskView(True, MINE, frozenset({MINE, LATER}))})).highest == 6
    assert judge(PAIR, 5, seen({3: DiskView(True, Key(None, 77), frozenset())})).highest == 5


# Disks that the last owner had given up ------------------------------------------------------------------------------

SPARED = replace(
    PAIR,
    disks=("d0", "d1", "s0", "q0", "q1", "q2"),
    vdevs=(Vdev("tank/mirror-0", (0, 1), 1), Vdev("tank/raidz1-1", (3, 4, 5), 2)),
    arbitration=(3, 4, 5),
)


def spared(changes: dict[int, DiskView], out: set[int]) -> tuple[Fence, tuple[str, ...]]:
    """The fence of the shelf with a spare."""
    return fence(SPARED, 5, tuple(changes.get(at, FENCED) for at in range(6)), frozenset(out))


def test_a_disk_that_was_given_up_is_never_the_one_to_import_from() -> None:
    """It has the contents from when the pool gave it up; since then only the other half, silent now, was written."""
    assert fence(PAIR, 5, seen({1: UNANSWERED}), frozenset({0}))[1] == ("tank/mirror0",)
    assert fence(RAIDZ, 5, seen({2: UNANSWERED}), frozenset({0}))[1] == ("raidz",)
    assert fence(RAIDZ, 5, ALL, frozenset({0}))[0] is Fence.HOLDS


def test_a_spare_may_be_in_use_for_each_disk_that_was_given_up() -> None:
    assert spared({}, {0}) == (Fence.HOLDS, ())
    # The spare could be written by the peer, alone.
    assert spared({0: UNANSWERED, 2: UNANSWERED}, {0})[1] == ("tank/mirror-0",)
    assert spared({2: BAD["the peer's"]}, {0})[1] == ("tank/mirror-0",)
    # Both disks of the mirror were given up, one after the other: the spare has what is new, or nothing has.
    assert spared({0: UNANSWERED, 1: UNANSWERED}, {0, 1})[0] is Fence.WAIT
    assert spared({0: UNANSWERED, 2: UNANSWERED}, {0, 1})[1] == ("tank/mirror-0",)
    assert spared({2: UNANSWERED}, {0, 1})[1] == ("tank/mirror-0",)
    # A spare that failed in its turn, or that no disk needs.
    assert spared({0: UNANSWERED, 2: UNANSWERED}, {0, 2})[0] is Fence.WAIT
    assert spared({2: UNANSWERED}, set()) == (Fence.HOLDS, ())


def test_an_owner_that_gave_up_more_than_it_could_do_without_says_nothing() -> None:
    """It lost its cable to the shelf: nothing was written since, so every disk has the same, and none is excused."""
    assert fence(PAIR, 5, ALL, frozenset(range(5)))[0] is Fence.HOLDS
    assert fence(PAIR, 5, seen({1: UNANSWERED}), frozenset(range(5)))[1] == ("tank/mirror0",)
