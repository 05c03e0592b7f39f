"""Outputs in each phase: whether to feed the deadman, serve clients, and what to remember."""

from dataclasses import replace

import pytest

from reconciler.core.failover.machine.events import Presence, ShelfSeen
from reconciler.core.failover.machine.outputs import Outputs, outputs
from reconciler.core.failover.machine.phase import GUARANTEES, Phase, Thing
from reconciler.core.failover.machine.state import Looks, Memory, State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Fence, Hold
from reconciler.simulation.timed.stories import PAIR

OWNERS = (Phase.IMPORTING, Phase.ACTIVE, Phase.RELEASING)


def standing(phase: Phase, pools: Presence = Presence.NONE) -> State:
    """A controller in a phase, that has just looked at everything and owns the disks of epoch 1."""
    looks = Looks(Hold.OURS, Key(Side.A, 1), sees=True, shelf_ms=0, proved_ms=0, pools=pools)
    return replace(initial(PAIR, 1, 0), phase=phase, epoch=1, highest=1, looks=looks)


@pytest.mark.parametrize("phase", Phase)
def test_the_deadman_is_fed_wherever_something_is_certain(phase: Phase) -> None:
    assert outputs(standing(phase)).feed is (phase not in (Phase.BOOTING, Phase.HALTED))


@pytest.mark.parametrize("phase", OWNERS)
def test_an_owner_that_woke_late_does_not_feed_the_deadman_until_it_has_looked(phase: Phase) -> None:
    state = standing(phase)
    assert not outputs(replace(state, looks=replace(state.looks, woke=True))).feed


@pytest.mark.parametrize("phase", OWNERS)
def test_an_owner_that_woke_late_answers_nobody_and_moves_no_pool(phase: Phase) -> None:
    state = standing(phase, Presence.ALL)
    outs = outputs(replace(state, looks=replace(state.looks, woke=True)))
    assert not outs.wanted
    assert outs.kept == {Thing.POOLS, Thing.SHARES}


@pytest.mark.parametrize("pools", Presence)
@pytest.mark.parametrize("phase", Phase)
def test_clients_are_answered_by_the_active_alone(phase: Phase, pools: Presence) -> None:
    """Addresses come after the pools and go before them; what boots or waits for its reset leaves all as it is."""
    outs = outputs(standing(phase, pools))
    assert (Thing.ADDRESSES in outs.wanted) is (phase is Phase.ACTIVE)
    assert (Thing.ADDRESSES in outs.kept) is (phase in (Phase.BOOTING, Phase.HALTED))


@pytest.mark.parametrize("phase", Phase)
def test_pools_are_wanted_under_a_reservation_only(phase: Phase) -> None:
    state = standing(phase)
    outs = outputs(replace(state, looks=replace(state.looks, covered=True)))
    assert (Thing.POOLS in outs.wanted) is (phase in (Phase.IMPORTING, Phase.ACTIVE))
    assert (outs.required == Key(Side.A, 1)) is (phase in OWNERS)
    assert Thing.POOLS not in outs.wanted or outs.required is not None


def test_no_import_begins_before_enough_of_every_vdev_is_seen_to_be_ours() -> None:
    """Acknowledged writes may be on a half of a mirror that hangs: what can be imported without it is old."""
    mine = Key(Side.A, 1)
    views = (DiskView(True, mine, frozenset({mine})),) * len(PAIR.disks)
    importing = standing(Phase.IMPORTING)

    def after(views: tuple[DiskView, ...], excused: frozenset[int] = frozenset()) -> Outputs:
        return outputs(step(replace(importing, excused=excused), ShelfSeen(views), 1))

    half = (*views[:1], UNANSWERED, *views[2:])
    for outs, begins in ((after(views), True), (after(half), False), (after(half, frozenset({1})), True)):
        assert (Thing.POOLS in outs.wanted) is begins
        assert (Thing.POOLS in outs.kept) is not begins


@pytest.mark.parametrize("phase", Phase)
def test_only_a_halted_controller_is_reset(phase: Phase) -> None:
    assert outputs(standing(phase)).reset is (phase is Phase.HALTED)
    assert outputs(standing(phase)).beat.dying is (phase is Phase.HALTED)


@pytest.mark.parametrize("fence", [None, *Fence])
@pytest.mark.parametrize("phase", Phase)
def test_a_claim_runs_in_one_phase_and_once(phase: Phase, fence: Fence | None) -> None:
    outs = outputs(replace(standing(phase), fence=fence))
    assert (outs.claim is not None) is (phase is Phase.CLAIMING and fence is None)


@pytest.mark.parametrize("pools", Presence)
@pytest.mark.parametrize("phase", Phase)
def test_the_pools_are_handed_over_when_they_are_gone(phase: Phase, pools: Presence) -> None:
    gone = pools in (Presence.NONE, Presence.REFUSED)
    assert outputs(standing(phase, pools)).beat.handed is (phase is Phase.RELEASING and gone)


@pytest.mark.parametrize("phase", Phase)
def test_owners_are_remembered_with_their_epoch(phase: Phase) -> None:
    memory = Memory(Phase.ACTIVE, 7)
    remembered = outputs(replace(standing(phase), memory=memory)).remember
    if phase is Phase.BOOTING:
        assert remembered == memory
    else:
        assert remembered == (Memory(phase, 1) if GUARANTEES[phase].required else None)
