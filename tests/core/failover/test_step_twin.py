"""Twins: beats of other machines that present themselves as this controller or the peer; which count, and how long."""

from dataclasses import replace

import pytest

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.twins import listening, quiet_ms, recently_heard
from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.events import Asked, Heard, Request, ShelfSeen, Tick, UnitSeen
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.reservations.claim import Answer, Reply, Verb, advance, begin, commands
from reconciler.core.failover.reservations.fence_completion import completable
from reconciler.core.failover.reservations.key import Key, Side, epoch_of
from reconciler.core.failover.reservations.reservation_state import DiskView, Fence, Hold, fence, fenced, judge
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step import beat, standing

MINE, OTHER = 11, 12
TIMERS = PAIR.timers


def controller() -> State:
    """A standby with a machine number, in its fifth life, that claims nothing by itself: the peer is preferred."""
    state = standing(Phase.STANDBY)
    return replace(state, machine=MINE, incarnation=5, orders=replace(state.orders, default=Side.B))


def own(counter: int, incarnation: int = 3, machine: int = OTHER) -> Beat:
    """A beat of our own side."""
    return replace(beat(Phase.STANDBY), side=Side.A, incarnation=incarnation, counter=counter, machine=machine)


def names(state: State, now_ms: int) -> set[str]:
    return {reason.name for reason in reasons(state, now_ms)}


@pytest.mark.parametrize("mine", [own(8, 5, MINE), own(9, 5, 0)], ids=["numbered", "in the older layout"])
def test_what_a_switch_sends_back_is_harmless(mine: Beat) -> None:
    state = step(controller(), Heard(0, mine), 1)
    state = step(state, Heard(0, replace(mine, counter=mine.counter + 1)), 2)
    assert state.twin is None


def test_one_beat_with_fewer_starts_may_be_a_recording_of_our_own_past() -> None:
    state = step(step(controller(), Heard(0, own(1)), 1), Heard(0, own(1)), 2)
    assert "TWIN" not in names(state, 2)


def test_another_machine_that_goes_on_speaking_is_a_reason_and_forbids_every_claim() -> None:
    state = step(step(controller(), Heard(0, own(1)), 1), Heard(0, own(2)), 2)
    assert "TWIN" in names(state, 2)
    state = step(state, Asked(Request.FORCE), 3)
    assert state.phase is Phase.STANDBY
    assert state.refused is not None
    assert state.refused.code is Code.TWIN


def test_a_beat_with_more_starts_than_ours_needs_no_second_one() -> None:
    assert "TWIN" in names(step(controller(), Heard(0, own(1, incarnation=6)), 1), 1)


def test_it_is_forgotten_when_it_has_been_silent() -> None:
    state = step(controller(), Heard(0, own(1, incarnation=6)), 1)
    assert recently_heard(state.twin, TIMERS, quiet_ms(TIMERS))
    assert not recently_heard(state.twin, TIMERS, quiet_ms(TIMERS) + 1)


def test_two_machines_of_the_peer_are_a_reason() -> None:
    first, second = (replace(beat(Phase.STANDBY), echo=5, incarnation=at, machine=at) for at in (101, 102))
    state = controller()
    for now_ms, said in enumerate((first, second, replace(first, counter=first.counter + 1)), 1):
        state = step(state, Heard(0, said), now_ms)
    assert "PEER_TWIN" in names(state, 3)


def test_a_peer_that_boots_is_one_machine() -> None:
    first, second = (replace(beat(Phase.STANDBY), echo=5, incarnation=at, machine=at) for at in (101, 102))
    state = controller()
    for now_ms, said in enumerate((first, second, first, replace(second, counter=second.counter + 1), first), 1):
        state = step(state, Heard(0, said), now_ms)
    assert "PEER_TWIN" not in names(state, 5)


def test_the_holder_of_our_side_has_time_to_be_heard() -> None:
    key = Key(Side.A, epoch_of(4, PAIR.pair, OTHER))
    state = step(controller(), ShelfSeen((DiskView(True, key, frozenset({key})),) * len(PAIR.disks)), 1)
    assert listening(state, 1)
    assert "LOC_NOT_READY" in names(state, 1)
    waited = step(state, Tick(), TIMERS.beat_ms)
    assert step(waited, Asked(Request.FORCE), TIMERS.beat_ms).phase is Phase.STANDBY
    assert not listening(state, state.alone_ms + quiet_ms(TIMERS))


def test_our_own_reservation_of_this_boot_is_not_listened_for() -> None:
    key = Key(Side.A, epoch_of(4, PAIR.pair, MINE))
    state = step(controller(), ShelfSeen((DiskView(True, key, frozenset({key})),) * len(PAIR.disks)), 1)
    assert not listening(state, 1)


def test_a_disk_where_another_machine_bears_our_key_is_not_fenced() -> None:
    key = Key(Side.A, epoch_of(4, PAIR.pair, MINE))
    view = DiskView(True, key, frozenset({key}))
    assert fenced(view, key)
    assert not fenced(replace(view, surplus=1), key)
    twice = (replace(view, surplus=1),) * len(PAIR.disks)
    assert fence(PAIR, key.epoch, twice, frozenset())[0] is Fence.BROKEN


def test_an_owner_keeps_its_reservation_when_another_machine_registers_its_key() -> None:
    key = Key(Side.A, epoch_of(4, PAIR.pair, MINE))
    views = (DiskView(True, key, frozenset({key}), surplus=1),) * len(PAIR.disks)
    assert judge(PAIR, key.epoch, views).hold is Hold.OURS
    assert completable([DiskView(True, None, frozenset({key}), surplus=1)], key) == ()


def test_a_claim_registers_nothing_beside_another_machine_with_its_key() -> None:
    key = Key(Side.A, epoch_of(4, PAIR.pair, MINE))
    claim = begin(PAIR, key)
    (look,) = commands(claim)
    seen = DiskView(True, key, frozenset({key}), surplus=1)
    after = advance(claim, look.disk, Reply(Answer.GOOD, seen))
    assert look.disk in after.lost
    assert all(command.verb is Verb.LOOK for command in commands(after))


@pytest.mark.parametrize("code", [Code.OTHER_UNIT, Code.UNIT_UNKNOWN])
def test_a_machine_that_is_not_the_unit_does_not_claim_by_itself(code: Code) -> None:
    state = standing(Phase.STANDBY)
    assert step(state, Heard(0, beat(Phase.STANDBY)), 1).phase is Phase.CLAIMING, "it would"
    state = step(step(state, UnitSeen(Decision(code)), 1), Heard(0, beat(Phase.STANDBY)), 1)
    assert state.phase is Phase.STANDBY
    assert code.name in names(state, 1)
    forced = step(state, Asked(Request.FORCE), 2)
    assert (forced.phase is Phase.STANDBY) is (code is Code.OTHER_UNIT)
    if code is Code.OTHER_UNIT:
        assert forced.refused == Decision(code)


def test_an_owner_whose_serial_number_cannot_be_read_goes_on() -> None:
    state = standing(Phase.ACTIVE)
    assert step(state, UnitSeen(Decision(Code.UNIT_UNKNOWN)), 1).phase is Phase.ACTIVE
