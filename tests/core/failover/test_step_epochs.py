"""The last epoch that fits a key: no claim begins after it, nothing breaks, and a person reads what to do."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.failover.claim import begin, commands
from reconciler.core.failover.events import Asked, Heard, Request, ShelfSeen, Tick
from reconciler.core.failover.hold import DiskView
from reconciler.core.failover.key import COUNTER_MAX, Key, Side, decode_key, encode_key, epoch_of
from reconciler.core.failover.outputs import outputs
from reconciler.core.failover.phase import Phase
from reconciler.core.failover.reasons import reasons
from reconciler.core.failover.state import State
from reconciler.core.failover.step import step
from reconciler.core.failover.why import Code
from reconciler.simulation.script import PAIR
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


def told_by_the_peer(epoch: int) -> State:
    return step(replace(standing(Phase.STANDBY), machine=9), Heard(0, beat(epoch=epoch)), 1)


Telling = Callable[[int], State]
tellings = pytest.mark.parametrize("told", [told_by_the_disks, told_by_the_peer], ids=["disks", "beat"])


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
