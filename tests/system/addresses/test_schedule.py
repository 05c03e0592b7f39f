"""When announcements are due, as a function of time alone."""

from reconciler.system.addresses.schedule import BURST_MS, EVERY_MS, at, due


def test_a_burst_and_then_every_minute() -> None:
    moments = [at(1_000, number) - 1_000 for number in range(9)]
    assert moments == [0, 50, 200, 500, 1_000, 2_000, 5_000, 65_000, 125_000]


def test_each_moment_makes_one_more_due() -> None:
    assert due(1_000, 999) == 0
    for number in range(12):
        moment_ms = at(1_000, number)
        assert due(1_000, moment_ms - 1) == number
        assert due(1_000, moment_ms) == number + 1


def test_a_burst_is_over_before_the_minutes_begin() -> None:
    assert sorted(BURST_MS) == list(BURST_MS)
    assert BURST_MS[0] == 0
    assert BURST_MS[-1] < EVERY_MS
