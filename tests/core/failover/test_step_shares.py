"""Servers of shares: addresses come after them, pools leave after them, and neither waits for ever."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import (
    Event,
    PoolsSeen,
    Presence,
    SharesSeen,
    ShelfSeen,
    Tick,
    all_servers,
)
from reconciler.core.failover.machine.outputs import SERVE_MS, outputs, serve_ms
from reconciler.core.failover.machine.phase import Phase, Thing
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import Looks, Memory, State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView, Hold
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step import EVENTS, standing

RELEASE_MS = PAIR.timers.release_ms
MINE = Key(Side.A, 3)
OURS = ShelfSeen((DiskView(True, MINE, frozenset({MINE})),) * len(PAIR.disks))
STARTING, SERVED, STOPPED = SharesSeen(False, False), SharesSeen(True, False), SharesSeen(False, True)


def seen(state: State, *shares: SharesSeen, at_ms: int = 1) -> State:
    for one in shares:
        state = step(state, one, at_ms)
    return state


def lived(state: State, until_ms: int, event: Event | None = None) -> State:
    """The same controller after it has looked and ticked until then; `event` arrives with each look."""
    while state.now_ms < until_ms and state.phase is not Phase.HALTED:
        now_ms = min(state.now_ms + PAIR.timers.beat_ms, until_ms)
        for one in (OURS, event or Tick(), Tick()):
            state = step(state, one, now_ms)
    return state


def test_no_server_is_a_server_that_serves_and_has_stopped() -> None:
    assert all_servers(()) == SharesSeen(True, True)
    assert outputs(standing(Phase.ACTIVE)).wanted == frozenset(Thing)
    assert Thing.POOLS not in outputs(standing(Phase.RELEASING)).kept


@pytest.mark.parametrize("one", [STARTING, SERVED, STOPPED])
def test_of_several_servers_each_must_serve_and_each_must_stop(one: SharesSeen) -> None:
    assert all_servers((one,)) == all_servers((one, one)) == one
    assert all_servers((SERVED, one)) == SharesSeen(one.served, False)
    assert all_servers((STOPPED, one)) == SharesSeen(False, one.stopped)


def test_addresses_wait_for_the_servers_and_no_longer_than_the_bound() -> None:
    state = seen(standing(Phase.ACTIVE), STARTING)
    assert Thing.ADDRESSES not in outputs(state).wanted
    assert Thing.ADDRESSES in outputs(state).kept, "an address that answers already goes on"
    assert Thing.SHARES in outputs(state).wanted
    assert Thing.ADDRESSES in outputs(seen(state, SERVED)).wanted
    assert Thing.ADDRESSES not in outputs(lived(state, SERVE_MS - 1)).wanted
    assert Thing.ADDRESSES in outputs(lived(state, SERVE_MS)).wanted


def test_addresses_never_wait_longer_than_clients_do() -> None:
    assert serve_ms(PAIR) == SERVE_MS <= PAIR.timers.patience_ms
    assert serve_ms(replace(PAIR, timers=replace(PAIR.timers, patience_ms=3_000))) == 3_000


def test_addresses_that_must_stay_down_are_not_kept_up_by_the_wait() -> None:
    state = replace(seen(standing(Phase.ACTIVE), STARTING), answer_ms=5_000)
    assert Thing.ADDRESSES not in outputs(state).wanted | outputs(state).kept


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("shares", [STARTING, SERVED, STOPPED])
def test_what_is_said_of_the_servers(phase: Phase, shares: SharesSeen) -> None:
    names = {reason.name for reason in reasons(seen(standing(phase), shares), 1)}
    assert ("SHARES_LATE" in names) is (phase is Phase.ACTIVE and not shares.served)
    ends = seen(standing(phase), shares)
    assert ("SHARES_NOT_STOPPED" in names) is (ends.phase is Phase.STANDBY and not shares.stopped)
    assert "SHARES_UNSERVED" not in names


def test_an_end_of_the_wait_is_told() -> None:
    state = lived(seen(standing(Phase.ACTIVE), STARTING), SERVE_MS)
    (found,) = (reason for reason in reasons(state, SERVE_MS) if reason.name.startswith("SHARES"))
    assert found.name == "SHARES_UNSERVED" and "10000 ms" in found.evidence and "hagit status" in found.remedy


@pytest.mark.parametrize("phase", Phase)
def test_servers_run_only_over_our_own_pools(phase: Phase) -> None:
    outs = outputs(seen(standing(phase), SERVED))
    assert (Thing.SHARES in outs.wanted) is (phase is Phase.ACTIVE)
    assert (Thing.SHARES in outs.kept) is (phase in (Phase.BOOTING, Phase.HALTED))


def test_pools_are_exported_when_every_server_has_stopped() -> None:
    state = seen(standing(Phase.RELEASING), SERVED)
    assert outputs(state).kept == {Thing.POOLS} and not outputs(state).wanted
    assert not outputs(seen(state, STARTING)).beat.handed
    assert Thing.POOLS in outputs(seen(state, STARTING)).kept
    assert not outputs(seen(state, STOPPED)).kept


def test_a_server_that_does_not_stop_ends_in_a_reset() -> None:
    """Requests that its clients' disks finish meanwhile are no progress."""
    state, number = seen(standing(Phase.RELEASING), SERVED), 1
    while state.phase is Phase.RELEASING and state.now_ms < 2 * RELEASE_MS:
        number += 1
        state = lived(state, state.now_ms + PAIR.timers.beat_ms, PoolsSeen(Presence.ALL, number))
    assert (state.phase, state.why.code) == (Phase.HALTED, Code.RELEASE_HUNG)
    assert "has not stopped" in state.why.evidence
    assert RELEASE_MS <= state.now_ms <= RELEASE_MS + 2 * PAIR.timers.beat_ms


def test_an_export_has_its_whole_limit_after_the_servers_have_ended() -> None:
    state = lived(seen(standing(Phase.RELEASING), SERVED), RELEASE_MS - 1)
    state = seen(state, STOPPED, at_ms=RELEASE_MS - 1)
    assert lived(state, 2 * RELEASE_MS - 2).phase is Phase.RELEASING
    assert lived(state, 2 * RELEASE_MS - 1).why.code is Code.RELEASE_HUNG


def test_servers_that_end_again_and_again_do_not_put_off_the_limit() -> None:
    state = seen(standing(Phase.RELEASING), STOPPED, SERVED)
    while state.phase is Phase.RELEASING and state.now_ms < 3 * RELEASE_MS:
        state = lived(state, state.now_ms + PAIR.timers.beat_ms)
        state = seen(state, SERVED, STOPPED, at_ms=state.now_ms)
    assert state.why.code is Code.RELEASE_HUNG and state.now_ms <= RELEASE_MS + 2 * PAIR.timers.beat_ms


def test_pools_that_are_gone_are_not_handed_over_under_a_server() -> None:
    """A person exported them by force: the server still answers under the name that the peer's will have."""
    state = step(seen(standing(Phase.RELEASING), SERVED), PoolsSeen(Presence.NONE), 1)
    assert state.handed_ms is None and not outputs(state).beat.handed
    assert lived(state, RELEASE_MS + 1).why.code is Code.RELEASE_HUNG
    assert outputs(seen(state, STOPPED)).beat.handed


@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.IMPORTING, Phase.RELEASING])
def test_a_late_wake_starts_and_stops_no_server(phase: Phase) -> None:
    outs = outputs(replace(seen(standing(phase), SERVED), looks=replace(standing(phase).looks, woke=True)))
    assert Thing.SHARES in outs.kept and Thing.ADDRESSES not in outs.kept


def test_a_daemon_that_restarts_in_a_release_does_not_export_before_it_has_seen_the_servers() -> None:
    state = seen(initial(PAIR, 1, 0, Memory(Phase.RELEASING, 3)), STARTING, at_ms=0)
    for event in (PoolsSeen(Presence.ALL), OURS):
        state = step(state, event, 1)
    assert state.phase is Phase.RELEASING
    assert Thing.POOLS in outputs(state).kept
    assert Thing.POOLS not in outputs(seen(state, STOPPED)).kept


@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 3_000)), max_size=60))
def test_any_sequence_serves_before_it_answers_and_stops_before_it_exports(
    happenings: list[tuple[str, int]],
) -> None:
    state, now_ms = initial(PAIR, 1, 0), 0
    for name, later_ms in happenings:
        now_ms += later_ms
        state = step(state, EVENTS[name][0], now_ms)
        outs, looks = outputs(state), state.looks
        waited = state.phase is Phase.ACTIVE and now_ms - state.since_ms >= SERVE_MS
        assert Thing.ADDRESSES not in outs.wanted or looks.served or waited
        assert looks.stopped or Thing.POOLS in outs.wanted | outs.kept
        if Thing.SHARES in outs.wanted:
            assert state.phase is Phase.ACTIVE and looks.hold is not Hold.LOST
        assert Thing.ADDRESSES not in outs.wanted or Thing.SHARES in outs.wanted
        assert not outs.beat.handed or looks.stopped


def test_looks_at_first_assume_no_server() -> None:
    assert Looks().served and Looks().stopped
