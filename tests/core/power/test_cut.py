"""When power is cut by itself: only after a claim that is won, and never on silence alone."""

from dataclasses import replace

import pytest

from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State, initial
from reconciler.core.failover.orders.orders import Orders, Timers
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.reservation_state import Hold
from reconciler.core.power.cut import cause, cuts, proves, quiet_ms, sign_of_life_since
from tests.core.failover.beats import ORDERS
from tests.watchdog.pair import TIMERS

WON = (Phase.CLAIMING, Phase.IMPORTING)


def state(phase: Phase, hold: Hold = Hold.UNKNOWN, orders: Orders = ORDERS, code: Code = Code.STARTED) -> State:
    made = initial(orders, 1, 1_000)
    return replace(made, phase=phase, why=Decision(code), looks=replace(made.looks, hold=hold))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("phase", Phase)
def test_it_follows_a_claim_that_silence_began_and_the_disks_granted(phase: Phase, strict: bool) -> None:
    for hold in Hold:
        there = state(phase, hold, replace(ORDERS, strict=strict))
        for began in (None, *Code):
            due = began is Code.PEER_SILENT or (strict and began is Code.PEER_DEAD)
            assert cuts(there, began, proven=False) == (due and hold is Hold.OURS and phase in WON), (hold, began)
            assert not cuts(there, began, proven=True)
            assert not cuts(replace(there, orders=replace(there.orders, enabled=False)), began, proven=False)


def test_the_cause_is_that_of_the_claim_for_as_long_as_it_lasts() -> None:
    known = cause(state(Phase.CLAIMING, code=Code.PEER_SILENT), None)
    assert known is Code.PEER_SILENT
    known = cause(state(Phase.IMPORTING, code=Code.CLAIM_VERIFIED), known)
    assert cause(state(Phase.ACTIVE, code=Code.IMPORTED), known) is Code.PEER_SILENT
    for phase in (Phase.BOOTING, Phase.STANDBY, Phase.RELEASING, Phase.HALTED):
        assert cause(state(phase), known) is None


def test_any_channel_counts_as_a_sign_of_life() -> None:
    there = state(Phase.ACTIVE)
    assert not sign_of_life_since(there, 1_000)
    for channel in range(len(there.peer.heard_ms)):
        moments = [*there.peer.heard_ms]
        moments[channel] = 1_001
        assert sign_of_life_since(replace(there, peer=replace(there.peer, heard_ms=tuple(moments))), 1_000)
    assert there.orders.side is Side.A


def test_off_proves_nothing_of_whoever_was_heard_a_moment_before() -> None:
    there = state(Phase.STANDBY)
    enough_ms = quiet_ms(there.orders.timers)
    assert max(there.peer.heard_ms) == 1_000
    assert not proves(there, 1_000) and not proves(there, 1_000 + enough_ms - 1)
    assert proves(there, 1_000 + enough_ms)


@pytest.mark.parametrize("timers", [Timers(), TIMERS])
def test_the_proof_is_there_before_silence_begins_a_claim(timers: Timers) -> None:
    assert timers.pause_ms < quiet_ms(timers) < max(timers.silence_ms, timers.stale_ms)
