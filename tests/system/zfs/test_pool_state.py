"""How the pools stand, what is believed of it, and when a pool that writes without an end counts as hung."""

from pathlib import Path
from typing import Final

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.system.zfs.kstat import parse_groups, pool_instance
from reconciler.system.zfs.pool_state import (
    HUNG_MS,
    SAMPLE_MS,
    STEADY_MS,
    CommittedTxg,
    PoolState,
    SettledState,
    WriteProgress,
    all_pools,
    state_of_pool,
)

ABSENT, COMING, HERE, HUNG = PoolState.ABSENT, PoolState.COMING, PoolState.HERE, PoolState.HUNG


@pytest.mark.parametrize(
    ("state", "ready", "expected"),
    [
        (None, False, ABSENT),
        (None, True, ABSENT),
        ("ONLINE", True, HERE),
        ("DEGRADED", True, HERE),
        ("ONLINE", False, COMING),
        ("OFFLINE", True, HERE),
        ("OFFLINE", False, COMING),
        ("TRANSITIONING", True, COMING),
        ("UNAVAIL", True, COMING),
        ("SUSPENDED", True, HUNG),
        ("SUSPENDED", False, HUNG),
    ],
)
def test_one_pool(state: str | None, ready: bool, expected: PoolState) -> None:
    assert state_of_pool(state, ready=ready, stuck=False) is expected


def test_a_pool_that_was_taken_before_it_was_made_is_here_until_it_is() -> None:
    assert state_of_pool(None, ready=False, stuck=False, unmade=True) is HERE
    assert state_of_pool("TRANSITIONING", ready=True, stuck=False, unmade=True) is HERE, "it is being made"
    assert state_of_pool("OFFLINE", ready=False, stuck=False, unmade=True) is HERE
    assert state_of_pool("ONLINE", ready=True, stuck=False, unmade=True) is HERE
    assert state_of_pool("ONLINE", ready=False, stuck=False, unmade=True) is COMING
    assert state_of_pool("SUSPENDED", ready=True, stuck=False, unmade=True) is HUNG


@pytest.mark.parametrize(
    ("standings", "moving", "expected"),
    [
        ((), False, Presence.NONE),
        ((ABSENT, ABSENT), False, Presence.NONE),
        ((ABSENT, ABSENT), True, Presence.SOME),
        ((ABSENT, HERE), False, Presence.SOME),
        ((COMING,), False, Presence.SOME),
        ((HERE, HERE), False, Presence.ALL),
        ((HERE, HERE), True, Presence.SOME),
        ((HERE, HUNG), False, Presence.HUNG),
        ((ABSENT, HUNG), True, Presence.HUNG),
    ],
)
def test_all_pools(standings: tuple[PoolState, ...], moving: bool, expected: Presence) -> None:
    assert all_pools(standings, moving=moving) is expected


def believed(samples: list[Presence], told: Presence) -> list[Presence]:
    belief, found = SettledState(told, told), []
    for number, sample in enumerate(samples):
        belief = belief.with_sample(sample, number * SAMPLE_MS)
        found.append(belief.accepted)
    return found


def test_what_flaps_for_78_ms_is_not_believed() -> None:
    flap = [Presence.ALL, *[Presence.SOME] * (78 // SAMPLE_MS + 1), Presence.ALL, Presence.HUNG, Presence.ALL]
    assert set(believed(flap, Presence.ALL)) == {Presence.ALL}


def test_what_lasts_is_believed_and_not_before() -> None:
    samples = [Presence.HUNG] * (STEADY_MS // SAMPLE_MS + 1)
    assert believed(samples, Presence.ALL) == [Presence.ALL] * (len(samples) - 1) + [Presence.HUNG]


def test_words_that_change_among_themselves_are_not_steady() -> None:
    samples = [Presence.SOME, Presence.HUNG] * 20
    assert set(believed(samples, Presence.ALL)) == {Presence.ALL}


def test_an_import_or_export_that_has_ended_is_believed_at_once() -> None:
    assert believed([Presence.SOME, Presence.ALL], Presence.SOME) == [Presence.SOME, Presence.ALL]
    assert believed([Presence.SOME, Presence.NONE], Presence.SOME) == [Presence.SOME, Presence.NONE]
    assert believed([Presence.NONE], Presence.ALL) == [Presence.ALL]


def test_nothing_is_told_before_it_was_steady() -> None:
    assert believed([Presence.NONE], Presence.UNKNOWN) == [Presence.UNKNOWN]


def test_a_pool_is_stuck_when_one_group_never_gets_to_the_disks() -> None:
    progress = WriteProgress().with_sample(7, 1000)
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
    assert (parse_groups(TXGS).durable, parse_groups(TXGS).oldest) == (31, 31)
    assert (parse_groups(HELD).durable, parse_groups("").durable, parse_groups("").oldest) == (30, 0, 0)
    fresh = "17 0 0x01 100 9600 5033164800 1212121212\n5 98342342323 O 12288 0 98304 0 24 5119919000 3100 21000 0\n"
    assert (parse_groups(fresh).durable, parse_groups(fresh).oldest) == (0, 5)


#: An idle pool: the kernel counts, and writes nothing.
IDLE: Final = """\
41 3977873411 C 692736 0 729088 0 171 3977873411 17780 155401 25274827
42 8017048764 C 0 0 0 0 0 5056331743 8140 14020 310020
43 13026637794 C 0 4096 0 1 0 5056331743 8140 14020 310020
44 18082969537 O 0 0 0 0 0 0 0 0 0
"""


def test_groups_that_wrote_nothing_are_on_no_disk() -> None:
    assert (parse_groups(IDLE).durable, parse_groups(IDLE).oldest) == (41, 41)
    assert parse_groups(IDLE.replace("41 3977873411 C", "41 3977873411 S")).durable == 0


@pytest.mark.parametrize(
    "line",
    [f"{'9' * 5000} 1 C 9 0", "\u0663 1 C 9 0", "-7 1 C 9 0", "7 1 C -9 0", "7 1 C", "7 1 D 9 0", "7 1 C nine 0"],
)
def test_what_is_no_group_is_not_believed(line: str) -> None:
    assert parse_groups(line).durable == 0


def test_how_far_a_pool_has_come_is_remembered_while_it_is_the_same_pool() -> None:
    reached = CommittedTxg().with_sample("7@1", 41)
    assert reached == CommittedTxg("7@1", 41)
    assert reached.with_sample("7@1", 0) == reached, "the kernel has forgotten that group"
    assert reached.with_sample("7@1", 45) == CommittedTxg("7@1", 45)
    assert reached.with_sample("9@2", 3) == CommittedTxg("9@2", 3), "another pool took the name"
    assert reached.with_sample("", 50) == CommittedTxg()


def test_each_pool_of_a_name_is_told_from_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "tank").mkdir()
    assert pool_instance("tank", tmp_path) == ""
    for line, instance in (
        ("21 1 0x01 18 4896 41964938750 43657125872", "21@41964938750"),
        ("28 1 0x01 18 4896 44753308326 47393866978", "28@44753308326"),
        ("21 1 0x01 18 4896 41964938750", ""),
        ("name type data a b c d", ""),
        ("9" * 300, ""),
    ):
        (tmp_path / "tank" / "iostats").write_text(f"{line}\nname                            type data\n")
        assert pool_instance("tank", tmp_path) == instance
