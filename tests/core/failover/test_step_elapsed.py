"""Elapsed time: the time that has certainly passed from one reading of the clocks to the next."""

import pytest

from reconciler.core.failover.machine.elapsed_time import (
    Clocks,
    Elapsed,
    advanced,
    recent_count,
    to_be_saved,
    wall_age_s,
)

#: Some day in the year 2027, and that day's clocks after two hours of running.
DAY_S = 1.8e9
LATE = Elapsed(7_200, Clocks("one", 7_200, DAY_S), 0)


@pytest.mark.parametrize(
    ("wall_s", "passed_s"),
    [
        (DAY_S + 86_400, 86_400),
        (DAY_S + 10, 30),
        (DAY_S - 86_400, 30),
        (100, 30),
        (4.08e9, 30),
    ],
    ids=["off for a day", "off for no longer than it runs", "set back", "in 1970", "in 2099"],
)
def test_over_a_reboot_a_plausible_clock_that_nobody_set_counts(wall_s: float, passed_s: float) -> None:
    assert advanced(LATE, Clocks("two", 30, wall_s)).total_s == LATE.total_s + passed_s


def test_a_clock_that_was_set_is_trusted_after_an_hour() -> None:
    leapt = advanced(LATE, Clocks("one", 7_260, DAY_S + 86_400))
    assert leapt.total_s == 7_260 and to_be_saved(LATE, Clocks("one", 7_201, DAY_S + 86_400))
    tomorrow = Clocks("two", 30, leapt.seen.wall_s + 86_400)
    assert advanced(leapt, tomorrow).total_s == 7_290
    steady = advanced(leapt, Clocks("one", 7_260 + 3_600, leapt.seen.wall_s + 3_600))
    assert advanced(steady, tomorrow).total_s == steady.total_s + 86_400 - 3_600


@pytest.mark.parametrize("wall_s", [100, DAY_S - 86_400, 4.08e9], ids=["in 1970", "set back", "in 2099"])
def test_a_clock_that_starts_wrong_is_not_trusted_when_it_is_right_again(wall_s: float) -> None:
    wrong = advanced(LATE, Clocks("two", 30, wall_s))
    assert advanced(wrong, Clocks("three", 30, DAY_S + 86_400)).total_s == wrong.total_s + 30


def test_ages_by_the_wall_clock_alone_are_never_too_old() -> None:
    now = Clocks("one", 30, DAY_S)
    assert wall_age_s(DAY_S - 50, now) == 50
    for at_s, clocks in ((DAY_S + 50, now), (100, now), (4.08e9, now), (DAY_S - 50, Clocks("one", 30, 4.08e9))):
        assert wall_age_s(at_s, clocks) == 0
    assert recent_count((0, 5, 9.5, 10), 10, 5_000) == 2


def test_the_time_before_an_entry_is_counted_once() -> None:
    """Kept an hour ago; since then an entry was made, and the daemon starts again a second later."""
    kept = Elapsed(1_000.0, Clocks("one", 500, DAY_S), 0.0)
    entry_s = 1_000.0 + 3_600.0
    now = advanced(kept, Clocks("one", 500 + 3_601, DAY_S + 3_601), entry_s)
    assert now.total_s == entry_s + 1
    assert recent_count((entry_s,), now.total_s, 12_000) == 1
    # After another boot, too, an entry is no older than the total proves.
    assert advanced(kept, Clocks("two", 5, DAY_S + 3_610), entry_s).total_s == entry_s
