"""CARP's election step by step, and several members joined in memory: one master, the best one."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.failover.carp.advertisement import COUNTER_MAX, Advertisement
from reconciler.core.failover.carp.election import (
    CarpRole,
    Elected,
    Election,
    begin,
    elapsed,
    farewell,
    heard,
    interval_ms,
    master_down_ms,
)

ME, LOWER, HIGHER = bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1)), bytes((10, 0, 0, 3))


def member(advbase: int = 1, advskew: int = 100, *, preempt: bool = False, counter: int = 500) -> Election:
    return begin(0, vhid=7, advbase=advbase, advskew=advskew, source=ME, counter=counter, preempt=preempt)


def master(**figures: int) -> Election:
    backup = member(**figures)
    return elapsed(backup, backup.due_ms).election


def advertisement(advbase: int, advskew: int, counter: int = 9) -> Advertisement:
    return Advertisement(7, advbase, advskew, counter)


@pytest.mark.parametrize(
    ("advbase", "advskew", "interval", "down"),
    [(1, 0, 1_000, 3_000), (1, 100, 1_390, 3_390), (0, 10, 39, 39), (0, 1, 3, 3), (255, 254, 255_992, 765_992)],
)
def test_the_times_are_those_of_carp(advbase: int, advskew: int, interval: int, down: int) -> None:
    assert interval_ms(advbase, advskew) == interval
    assert master_down_ms(advbase, advskew) == down


def test_a_member_listens_first_and_is_master_after_three_intervals() -> None:
    backup = member()
    assert backup.role is CarpRole.BACKUP and backup.due_ms == 3_390
    assert elapsed(backup, 3_389) == Elected(backup)
    first = elapsed(backup, 3_390)
    assert first.election.role is CarpRole.MASTER and first.election.due_ms == 3_390 + 1_390
    assert first.advertise == Advertisement(7, 1, 100, 501)
    assert elapsed(first.election, 4_779).advertise is None
    assert elapsed(first.election, 4_780).advertise == Advertisement(7, 1, 100, 502)


@pytest.mark.parametrize(
    ("other", "source", "stays"),
    [
        ((1, 99), HIGHER, False),
        ((0, 255), HIGHER, False),
        ((1, 101), LOWER, True),
        ((2, 0), LOWER, True),
        ((1, 100), LOWER, False),
        ((1, 100), HIGHER, True),
        ((1, 100), ME, False),
    ],
)
def test_a_master_yields_to_a_better_one_only(other: tuple[int, int], source: bytes, stays: bool) -> None:
    after = heard(master(), advertisement(*other), source, 5_000)
    assert after.advertise is None
    assert (after.election.role is CarpRole.MASTER) == stays
    assert after.election.due_ms == (4_780 if stays else 5_000 + 3_390)


@pytest.mark.parametrize(
    ("preempt", "other", "takes"),
    [
        (False, (1, 0), False),
        (False, (1, 200), False),
        (True, (1, 200), True),
        (True, (1, 100), False),
        (True, (1, 99), False),
        # Three of mine are over before one of his comes.
        (False, (3, 101), True),
        (False, (3, 100), False),
        (False, (255, 255), True),
    ],
)
def test_a_backup_waits_or_takes_over(preempt: bool, other: tuple[int, int], takes: bool) -> None:
    after = heard(member(preempt=preempt), advertisement(*other), LOWER, 2_000)
    assert (after.election.role is CarpRole.MASTER) == takes == (after.advertise is not None)
    if not takes:
        assert after.election.due_ms == 2_000 + 3_390


def test_the_counter_goes_on_from_the_highest_that_was_heard() -> None:
    after = heard(member(), advertisement(255, 255, counter=70_000), LOWER, 1)
    assert after.advertise is not None and after.advertise.counter == 70_001
    after = heard(member(), advertisement(255, 255, counter=3), LOWER, 1)
    assert after.advertise is not None and after.advertise.counter == 501
    assert elapsed(replace(member(), counter=COUNTER_MAX), 9_999).advertise == Advertisement(7, 1, 100, 0)


def test_a_master_that_leaves_says_so() -> None:
    last = farewell(master(), 4_000)
    assert last.advertise == Advertisement(7, 255, 255, 502)
    assert last.election.role is CarpRole.BACKUP and last.election.due_ms == 7_390


#: At least 78 ms, so that half a minute is soon simulated.
paces = st.tuples(st.integers(0, 2), st.integers(20, 254))


@settings(max_examples=settings.default.max_examples // 2)
@given(st.lists(paces, min_size=2, max_size=4), st.booleans(), st.integers(0, 2_000))
def test_members_that_hear_each_other_have_one_master(
    chosen: list[tuple[int, int]], preempt: bool, apart_ms: int
) -> None:
    """Started apart, without delay on the wire; after half a minute one is master, with preemption the best one."""
    members = [
        begin(index * apart_ms, vhid=7, advbase=base, advskew=skew, source=bytes((index,)), counter=0, preempt=preempt)
        for index, (base, skew) in enumerate(chosen)
    ]
    now_ms = 0
    for _ in range(2_000):
        now_ms = min(member.due_ms for member in members)
        if now_ms > 30_000:
            break
        index = min(range(len(members)), key=lambda number: members[number].due_ms)
        step = elapsed(members[index], now_ms)
        members[index] = step.election
        spread(members, index, step, now_ms)
    assert now_ms > 30_000
    masters = [member for member in members if member.role is CarpRole.MASTER]
    assert len(masters) == 1
    if preempt:
        assert masters[0].pace == min(member.pace for member in members)


def spread(members: list[Election], sender: int, step: Elected, now_ms: int) -> None:
    """An advertisement reaches all the others at once, and so do the answers."""
    waiting = [(sender, step.advertise)]
    for _ in range(64):
        if not waiting:
            return
        origin, advertise = waiting.pop(0)
        if advertise is None:
            continue
        for index in range(len(members)):
            if index != origin:
                answer = heard(members[index], advertise, members[origin].source, now_ms)
                members[index] = answer.election
                waiting.append((index, answer.advertise))
    raise AssertionError("the members go on answering each other")
