"""How the pools stand, what is believed of it, and when a pool that writes without an end counts as hung."""

import pytest

from reconciler.core.failover.events import Pools
from reconciler.system.zfs.kstat import parse_groups
from reconciler.system.zfs.standing import (
    HUNG_MS,
    SAMPLE_MS,
    STEADY_MS,
    Belief,
    Progress,
    Standing,
    all_pools,
    standing,
)

ABSENT, COMING, HERE, HUNG = Standing.ABSENT, Standing.COMING, Standing.HERE, Standing.HUNG


@pytest.mark.parametrize(
    ("state", "ready", "expected"),
    [
        (None, False, ABSENT),
        (None, True, ABSENT),
        ("ONLINE", True, HERE),
        ("DEGRADED", True, HERE),
        ("ONLINE", False, COMING),
        ("TRANSITIONING", True, COMING),
        ("UNAVAIL", True, COMING),
        ("SUSPENDED", True, HUNG),
        ("SUSPENDED", False, HUNG),
    ],
)
def test_one_pool(state: str | None, ready: bool, expected: Standing) -> None:
    assert standing(state, ready=ready, stuck=False) is expected


def test_a_pool_that_was_taken_before_it_was_made_is_here_until_it_is() -> None:
    assert standing(None, ready=False, stuck=False, unmade=True) is HERE
    assert standing("TRANSITIONING", ready=True, stuck=False, unmade=True) is HERE, "it is being made"
    assert standing("OFFLINE", ready=False, stuck=False, unmade=True) is HERE
    assert standing("ONLINE", ready=True, stuck=False, unmade=True) is HERE
    assert standing("ONLINE", ready=False, stuck=False, unmade=True) is COMING
    assert standing("SUSPENDED", ready=True, stuck=False, unmade=True) is HUNG


@pytest.mark.parametrize(
    ("standings", "moving", "expected"),
    [
        ((), False, Pools.NONE),
        ((ABSENT, ABSENT), False, Pools.NONE),
        ((ABSENT, ABSENT), True, Pools.SOME),
        ((ABSENT, HERE), False, Pools.SOME),
        ((COMING,), False, Pools.SOME),
        ((HERE, HERE), False, Pools.ALL),
        ((HERE, HERE), True, Pools.SOME),
        ((HERE, HUNG), False, Pools.HUNG),
        ((ABSENT, HUNG), True, Pools.HUNG),
    ],
)
def test_all_pools(standings: tuple[Standing, ...], moving: bool, expected: Pools) -> None:
    assert all_pools(standings, moving=moving) is expected


def believed(samples: list[Pools], told: Pools) -> list[Pools]:
    belief, found = Belief(told, told), []
    for number, sample in enumerate(samples):
        belief = belief.with_sample(sample, number * SAMPLE_MS)
        found.append(belief.told)
    return found


def test_what_flaps_for_78_ms_is_not_believed() -> None:
    flap = [Pools.ALL, *[Pools.SOME] * (78 // SAMPLE_MS + 1), Pools.ALL, Pools.HUNG, Pools.ALL]
    assert set(believed(flap, Pools.ALL)) == {Pools.ALL}


def test_what_lasts_is_believed_and_not_before() -> None:
    samples = [Pools.HUNG] * (STEADY_MS // SAMPLE_MS + 1)
    assert believed(samples, Pools.ALL) == [Pools.ALL] * (len(samples) - 1) + [Pools.HUNG]


def test_words_that_change_among_themselves_are_not_steady() -> None:
    samples = [Pools.SOME, Pools.HUNG] * 20
    assert set(believed(samples, Pools.ALL)) == {Pools.ALL}


def test_an_import_or_export_that_has_ended_is_believed_at_once() -> None:
    assert believed([Pools.SOME, Pools.ALL], Pools.SOME) == [Pools.SOME, Pools.ALL]
    assert believed([Pools.SOME, Pools.NONE], Pools.SOME) == [Pools.SOME, Pools.NONE]
    assert believed([Pools.NONE], Pools.ALL) == [Pools.ALL]


def test_nothing_is_told_before_it_was_steady() -> None:
    assert believed([Pools.NONE], Pools.UNKNOWN) == [Pools.UNKNOWN]


def test_a_pool_is_stuck_when_one_group_never_gets_to_the_disks() -> None:
    progress = Progress().with_sample(7, 1000)
    assert not progress.with_sample(7, 1000 + HUNG_MS - 1).stuck(1000 + HUNG_MS - 1)
    assert progress.with_sample(7, 1000 + HUNG_MS).stuck(1000 + HUNG_MS)
    assert not progress.with_sample(8, 1000 + HUNG_MS).stuck(1000 + HUNG_MS)
    assert not progress.with_sample(None, 1000 + HUNG_MS).stuck(1000 + HUNG_MS)


TXGS = """\
17 0 0x01 100 9600 5033164800 1212121212
txg birth state ndirty nread nwritten reads writes otime qtime wtime stime
31 98342342323 C 12288 0 98304 0 24 5119919000 3100 21000 4212000
32 98347462323 S 0 0 0 0 0 5119919000 3100 21000 0
33 98352582323 O 0 0 0 0 0 0 0 0 0
"""


#: As OpenZFS 2.1 shows a pool that waits for a write of its intent log: nothing of the group is being written.
HELD = """\
30 17048764383 C 692736 0 729088 0 171 3977873411 17780 155401 25274827
31 21026637794 Q 0 0 0 0 0 5056331743 0 0 0
32 26082969537 O 0 0 0 0 0 0 0 0 0
"""


def test_the_group_that_is_to_be_written() -> None:
    assert parse_groups(TXGS).pending == 32
    assert parse_groups(TXGS.replace(" S ", " W ")).pending == 32
    assert parse_groups(TXGS.replace(" S ", " C ")).pending is None
    assert parse_groups("").pending is None
    assert parse_groups(HELD).pending == 31
    assert parse_groups(TXGS.replace("33", "34").replace(" O ", " Q ")).pending == 32


def test_the_newest_group_that_is_on_the_disks() -> None:
    assert (parse_groups(TXGS).committed, parse_groups(TXGS).newest) == (31, 33)
    assert (parse_groups(HELD).committed, parse_groups("").committed, parse_groups("").newest) == (30, 0, 0)
    fresh = "17 0 0x01 100 9600 5033164800 1212121212\n5 98342342323 O 12288 0 98304 0 24 5119919000 3100 21000 0\n"
    assert (parse_groups(fresh).committed, parse_groups(fresh).newest) == (0, 5)
    assert parse_groups(f"{'9' * 5000} 1 C 0 0\n\u0663 1 C 0 0").committed == 0
