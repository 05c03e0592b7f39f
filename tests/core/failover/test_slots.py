"""Record slots: signs of life in the peer's slots from one read to the next."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.failure_detector import harmless
from reconciler.core.failover.heartbeats.record_slots import Reading, compare, held
from reconciler.core.failover.machine.events import Heard, RecordChanged
from reconciler.core.failover.machine.phase import OWNING, Phase
from reconciler.core.failover.machine.state import Peer
from reconciler.core.failover.refusal import Refusal
from tests.core.failover.beats import BEAT

NEWER = replace(BEAT, counter=BEAT.counter + 1)
OLD = replace(BEAT, incarnation=BEAT.incarnation - 1, counter=BEAT.counter + 100)
LIFE = BEAT.incarnation


def test_what_is_read_first_is_no_sign_of_life() -> None:
    assert compare((None, None), (b"x", b"y"), (None, None), 0) == Reading(None, False)


def test_one_slot_that_changes_undecodably_is_life() -> None:
    assert compare((b"x", b"y", b"z"), (b"x", b"Y", b"z"), (None, None, None), 0).changed
    assert not compare((b"x", b"y"), (b"x", b"y"), (None, None), 0).changed


def test_a_slot_that_could_not_be_read_is_compared_with_what_it_held() -> None:
    assert held((b"x", b"y"), (None, b"z")) == (b"x", b"z")
    assert not compare((b"x",), (None,), (None,), 0).changed
    assert not compare(held((b"x",), (None,)), (b"x",), (None,), 0).changed


def test_a_newer_beat_speaks_for_itself() -> None:
    found = compare((b"x", b"x"), (b"y", b"x"), (NEWER, BEAT), LIFE)
    assert found == Reading(NEWER, False)


def test_a_slot_that_lags_behind_is_no_life_of_its_own() -> None:
    assert not compare((b"v", b"x"), (b"w", b"x"), (BEAT, NEWER), LIFE).changed


def test_a_peer_whose_numbers_went_back_lives() -> None:
    found = compare((b"x",), (b"y",), (OLD,), LIFE)
    assert found == Reading(OLD, True)


def test_a_change_is_told_before_a_beat() -> None:
    assert Reading(BEAT, True).events(2) == (RecordChanged(), Heard(2, BEAT))
    assert Reading(None, True).events(2) == (RecordChanged(),)
    assert Reading(None, False).events(2) == ()


slots = st.lists(st.none() | st.binary(max_size=2), min_size=3, max_size=3)


def test_a_record_under_a_dropped_secret_is_left_over_while_its_writer_owns_nothing() -> None:
    for phase in Phase:
        peer = Peer((0, 0), (None, None), beat=replace(BEAT, phase=phase))
        assert harmless(peer, Refusal.SEAL) == (phase not in OWNING)
        assert not harmless(replace(peer, undecoded_ms=5), Refusal.SEAL), "it is written now"
        assert [why for why in Refusal if why is not Refusal.SEAL and harmless(peer, why)] == [
            Refusal.BLANK, Refusal.TORN,
        ]  # fmt: skip
    for unheard in (None, Peer((0, 0), (None, None))):
        assert not harmless(unheard, Refusal.SEAL) and harmless(unheard, Refusal.BLANK)


@given(slots, slots)
def test_any_bytes_are_life_exactly_when_they_are_others(before: list[bytes | None], now: list[bytes | None]) -> None:
    found = compare(before, now, (None,) * 3, 0)
    pairs = [(old, new) for old, new in zip(before, now, strict=True) if old is not None and new is not None]
    assert found.changed == any(old != new for old, new in pairs)
    assert found.beat is None
    assert all(new == old for old, new in zip(held(before, now), now, strict=True) if new is not None)
