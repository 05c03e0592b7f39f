"""Replay window: replayed, reordered, duplicated and old beats against a model that remembers every beat."""

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.replay_window import WINDOW_BEATS, Admitted, Replayed, TooOld, Window


def admitted(stamps: list[tuple[int, int]]) -> list[type]:
    window, verdicts = Window(), []
    for incarnation, counter in stamps:
        verdict = window.admit(incarnation, counter)
        verdicts.append(type(verdict))
        if isinstance(verdict, Admitted):
            window = verdict.window
    return verdicts


def test_beats_in_order_are_new_and_none_twice() -> None:
    assert admitted([(1, 0), (1, 1), (1, 1), (1, 2), (1, 0)]) == [Admitted, Admitted, Replayed, Admitted, Replayed]


def test_an_overtaken_beat_is_new_within_the_window() -> None:
    last = WINDOW_BEATS + 10
    assert admitted([(1, last), (1, 11), (1, 11), (1, 10)]) == [Admitted, Admitted, Replayed, TooOld]


def test_an_earlier_life_is_over() -> None:
    assert admitted([(4, 900), (5, 1), (4, 901), (5, 1), (5, 2)]) == [Admitted, Admitted, TooOld, Replayed, Admitted]


def test_the_greatest_counter_is_the_last() -> None:
    top = 2**64 - 1
    assert admitted([(0, top), (0, top), (0, top - 63), (0, top - 64)]) == [Admitted, Replayed, Admitted, TooOld]


@given(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 200), st.integers(0, 2**64 - 1))), max_size=60))
@example([(0, 0), (0, 64), (0, 0)])
@example([(0, 0), (0, 63), (0, 0)])
@example([(0, 0), (0, 40), (0, 80)])
@example([(0, 0), (0, 1), (0, 100), (0, 99)])
@example([(0, 5), (0, 2**63), (0, 2**63 - 1)])
def test_the_window_agrees_with_a_memory_of_everything(stamps: list[tuple[int, int]]) -> None:
    seen: set[tuple[int, int]] = set()
    window = Window()
    for stamp in stamps:
        verdict = window.admit(*stamp)
        newest = max(seen, default=(-1, -1))
        if stamp[0] < newest[0] or (stamp[0] == newest[0] and stamp[1] <= newest[1] - WINDOW_BEATS):
            assert verdict == TooOld()
        elif stamp in seen:
            assert verdict == Replayed()
        else:
            assert isinstance(verdict, Admitted)
            window = verdict.window
            seen.add(stamp)
        assert window.seen.bit_length() <= WINDOW_BEATS


@given(st.lists(st.integers(0, 40), max_size=60), st.randoms(use_true_random=False))
def test_whatever_the_network_repeats_and_reorders_is_admitted_once(counters: list[int], chance) -> None:
    sent = [(1, counter) for counter in counters] * 2
    chance.shuffle(sent)
    verdicts = admitted(sent)
    assert verdicts.count(Admitted) == len(set(counters))
    assert verdicts.count(TooOld) == 0
