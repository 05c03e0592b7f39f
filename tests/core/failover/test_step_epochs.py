"""The last epoch that fits a key: no claim begins after it, and the operator reads the remedy."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.event_effects import apply_event
from reconciler.core.failover.machine.events import Asked, Heard, Request, ShelfSeen, Tick
from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.reservations.claim import begin, commands
from reconciler.core.failover.reservations.key import (
    COUNTER_HEARD_MAX,
    COUNTER_MAX,
    TAG_BITS,
    Key,
    Side,
    decode_key,
    encode_key,
    epoch_of,
)
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.core.failover.reservations.transaction_groups import mark
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step import beat, standing

#: The highest number that a machine of this pair can claim with, and one with the counter before.
LAST = epoch_of(COUNTER_MAX, PAIR.pair, machine=9)
BEFORE = epoch_of(COUNTER_MAX - 1, PAIR.pair, machine=8)

#: A standby that would claim at once: the peer has released the pools to it.
HANDED = beat(Phase.RELEASING, handed=True)


def told_by_the_disks(epoch: int) -> State:
    key = Key(Side.B, epoch)
    views = (DiskView(True, key, frozenset({key})),) * len(PAIR.disks)
    return step(replace(standing(Phase.STANDBY), machine=9), ShelfSeen(views), 1)


def told_by_both(epoch: int) -> State:
    return step(told_by_the_disks(epoch), Heard(0, beat(epoch=epoch)), 1)


Telling = Callable[[int], State]
tellings = pytest.mark.parametrize("told", [told_by_the_disks, told_by_both], ids=["disks", "both"])


@tellings
def test_the_last_epoch_may_still_be_claimed(told: Telling) -> None:
    state = step(told(BEFORE), Asked(Request.FORCE), 2)
    assert (state.phase, state.epoch) == (Phase.CLAIMING, LAST)
    (order,) = commands(begin(PAIR, Key(Side.A, state.epoch)))
    assert decode_key(encode_key(order.key)) == order.key


@tellings
@pytest.mark.parametrize(
    "event", [Tick(), Heard(0, replace(HANDED, counter=9)), Asked(Request.FORCE)], ids=["silence", "handed", "force"]
)
def test_after_it_nobody_claims(told: Telling, event: Tick | Heard | Asked) -> None:
    state = told(LAST)
    assert not outputs(state).beat.able
    state = step(state, event, 2)
    assert state.phase is Phase.STANDBY
    assert "EPOCHS_EXHAUSTED" in {reason.name for reason in reasons(state, 2)}


@tellings
def test_a_person_who_forces_hears_why_not(told: Telling) -> None:
    state = step(told(LAST), Asked(Request.FORCE), 2)
    assert state.refused is not None
    assert state.refused.code is Code.EPOCHS_EXHAUSTED


def heard(epoch: int, *, channel: int = 0, highest: int = 0) -> State:
    """The state after a beat, before any decision."""
    state = replace(standing(Phase.STANDBY), machine=9, highest=highest)
    return apply_event(state, Heard(channel, beat(epoch=epoch, counter=10)), 1)


@pytest.mark.parametrize("channel", [0, 1, len(PAIR.channels)])
def test_a_beat_brings_the_pair_no_further_than_half_of_its_epochs(channel: int) -> None:
    half = epoch_of(COUNTER_HEARD_MAX, PAIR.pair, machine=7)
    assert heard(half, channel=channel).highest == half
    for counter in (COUNTER_HEARD_MAX + 1, COUNTER_MAX):
        assert heard(epoch_of(counter, PAIR.pair, machine=7), channel=channel).highest == 0


def test_a_refused_epoch_is_a_reason_and_forbids_no_claim() -> None:
    state = heard(LAST)
    assert "EPOCH_REFUSED" in {reason.name for reason in reasons(state, 2)}
    assert "EPOCH_REFUSED" not in {reason.name for reason in reasons(heard(LAST, highest=LAST), 2)}
    assert step(state, Asked(Request.FORCE), 3).epoch == epoch_of(1, PAIR.pair, machine=9)


def test_many_lies_use_up_no_more_than_half() -> None:
    state = replace(standing(Phase.STANDBY), machine=9)
    for number in range(1, 400):
        lie = epoch_of(min(number * 1_000, COUNTER_MAX), PAIR.pair, machine=7)
        state = apply_event(state, Heard(0, replace(beat(epoch=lie), counter=number)), number)
    assert state.highest >> TAG_BITS == COUNTER_HEARD_MAX // 1_000 * 1_000


def test_beyond_the_half_the_disks_are_believed_and_the_beats_that_agree() -> None:
    high = epoch_of(COUNTER_HEARD_MAX + 5, PAIR.pair, machine=8)
    assert told_by_the_disks(high).highest == high
    assert heard(high, highest=high).highest == high
    assert heard(epoch_of(COUNTER_HEARD_MAX + 6, PAIR.pair, machine=8), highest=high).highest == high


def test_the_word_of_an_owner_counts_with_a_refused_epoch_and_replaces_none() -> None:
    first = beat(Phase.ACTIVE, epoch=5, txgs=(mark(1, 100), mark(2, 7)))
    state = step(standing(Phase.STANDBY), Heard(0, first), 1)
    lie = replace(first, counter=first.counter + 1, epoch=LAST, txgs=(mark(1, 200), mark(3, 9)))
    state = step(state, Heard(0, lie), 2)
    assert state.word == (mark(1, 200), mark(2, 7))
    assert state.word_epoch == 5
