"""Effects of single events on the state: beats, looks, conflicts, a late wake, and a daemon that starts."""

from dataclasses import replace

import pytest

from reconciler.core.failover.heartbeats.failure_detector import (
    disk_alive,
    disk_stale,
    network_alive,
    network_silent,
    undecoded,
)
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.event_effects import apply_event, wake
from reconciler.core.failover.machine.events import (
    ClaimEnded,
    Conflict,
    Event,
    Heard,
    LinksSeen,
    PeerDied,
    PoolsSeen,
    Presence,
    RecordChanged,
    ShelfSeen,
    Tick,
)
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import Memory, State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Group, digest, shelf_digest
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Fence, Hold
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step_outputs import OWNERS, standing

MINE, LATER = Key(Side.A, 1), Key(Side.B, 2)
OURS = (DiskView(True, MINE, frozenset({MINE})),) * len(PAIR.disks)
THEIRS = (DiskView(True, LATER, frozenset({LATER})),) * len(PAIR.disks)
BEAT = Beat(
    Side.B, incarnation=4, counter=7, echo=1, phase=Phase.STANDBY, sees=True, able=True, generation=PAIR.generation,
    digest=digest(PAIR), shelf=shelf_digest(PAIR),
)  # fmt: skip
RECORD = len(PAIR.channels)


def after(state: State, *events: tuple[Event, int]) -> State:
    """The state after events at their moments."""
    for event, now_ms in events:
        state = step(state, event, now_ms)
    return state


def test_a_beat_that_answers_this_life_is_a_sign_of_life() -> None:
    state = after(standing(Phase.STANDBY), (Heard(0, BEAT), 300))
    assert state.peer.heard_ms == (300, 0, 0)
    assert network_alive(state, 300)


def test_a_beat_that_answers_an_earlier_life_is_none() -> None:
    state = after(standing(Phase.STANDBY), (Heard(0, replace(BEAT, echo=0)), 300))
    assert state.peer.heard_ms == (0, 0, 0)
    assert not state.peer.lately


@pytest.mark.parametrize("channel", [0, 1, RECORD])
@pytest.mark.parametrize("replayed", [BEAT, replace(BEAT, counter=6), replace(BEAT, incarnation=3, counter=99)])
def test_what_was_heard_before_is_no_sign_of_life(channel: int, replayed: Beat) -> None:
    newer = replace(BEAT, counter=8)
    state = after(standing(Phase.STANDBY), (Heard(channel, BEAT), 100), (Heard(channel, newer), 200))
    assert after(state, (Heard(channel, replayed), 300)).peer == state.peer


def test_a_record_lives_when_it_has_moved_since_it_was_first_seen() -> None:
    seen = after(standing(Phase.STANDBY), (Heard(RECORD, BEAT), 300))
    assert not disk_alive(seen, 300)
    moved = after(seen, (Heard(RECORD, replace(BEAT, counter=8)), 400))
    assert disk_alive(moved, 400)
    assert moved.peer.heard_ms[-1] == 400


def test_the_newest_beat_counts_whatever_came_last() -> None:
    state = after(standing(Phase.STANDBY), (Heard(0, BEAT), 100), (Heard(1, replace(BEAT, counter=5, able=False)), 200))
    assert state.peer.beat == BEAT
    assert state.peer.heard_ms == (100, 100, 0)


def heard(*events: tuple[Event, int], state: State | None = None) -> State:
    """The state after events, without decisions in between."""
    state = standing(Phase.STANDBY) if state is None else state
    for event, now_ms in events:
        state = apply_event(state, event, now_ms)
    return state


@pytest.mark.parametrize("behind", [0, 1, 60])
def test_beats_that_were_overtaken_prolong_no_life(behind: int) -> None:
    silence_ms = PAIR.timers.silence_ms
    state = heard((Heard(0, replace(BEAT, counter=100)), 100))
    late = [
        (Heard(1, replace(BEAT, counter=100 - behind + at)), 100 + (at + 1) * (silence_ms - 1))
        for at in range(behind + 1)
    ]
    state = heard(*late, state=state)
    assert state.peer.heard_ms == (100, 100, 0)
    assert network_silent(state, 100 + silence_ms)


def test_the_record_overtakes_beats_of_every_network() -> None:
    state = heard(
        (Heard(RECORD, BEAT), 100),
        (Heard(RECORD, replace(BEAT, counter=50)), 200),
        (Heard(0, replace(BEAT, counter=49)), 900),
        (Heard(0, replace(BEAT, counter=50)), 950),
    )
    assert state.peer.heard_ms == (200, 0, 200)


def test_a_slow_channel_carries_alone_when_the_fast_one_is_cut() -> None:
    """Its beats are old as long as their numbers are behind, and new again after that."""
    state = heard((Heard(0, replace(BEAT, counter=10)), 2_000))
    for counter in range(7, 14):
        now_ms = 2_100 + 200 * (counter - 7)
        state = heard((Heard(1, replace(BEAT, counter=counter)), now_ms), state=state)
        assert network_alive(state, now_ms)
    assert state.peer.heard_ms == (2_000, 3_300, 0)


def test_a_copy_of_what_is_known_does_not_disprove_a_death() -> None:
    dead = heard((Heard(0, BEAT), 100), (PeerDied("power controller"), 200), (Heard(1, BEAT), 300))
    assert dead.peer.dead and dead.peer.proven
    assert not heard((Heard(1, replace(BEAT, counter=8)), 400), state=dead).peer.dead


def test_after_a_late_wake_old_beats_are_not_heard() -> None:
    state = wake(heard((Heard(0, BEAT), 100)), 60_000)
    state = heard((Heard(1, BEAT), 60_100), state=state)
    assert not state.peer.lately
    assert heard((Heard(1, replace(BEAT, counter=8)), 60_200), state=state).peer.lately


@pytest.mark.parametrize("last", [replace(BEAT, dying=True), replace(BEAT, phase=Phase.HALTED)])
def test_a_last_word_is_death_and_a_newer_beat_is_life(last: Beat) -> None:
    dead = after(standing(Phase.BOOTING, Presence.UNKNOWN), (Heard(0, last), 100))
    assert dead.peer.dead
    assert not after(dead, (Heard(0, replace(BEAT, counter=8)), 200)).peer.dead


def test_one_channel_is_enough_to_be_heard_and_all_have_to_be_silent() -> None:
    bound_ms = PAIR.timers.silence_ms
    state = replace(standing(Phase.STANDBY), peer=replace(standing(Phase.STANDBY).peer, lately=True))
    state = replace(state, peer=replace(state.peer, heard_ms=(0, 500, 0)))
    assert network_alive(state, bound_ms)
    assert not network_silent(state, bound_ms)
    assert not network_alive(state, bound_ms + 500)
    assert network_silent(state, bound_ms + 500)


def test_the_orders_extra_wait_counts_before_a_network_is_silent() -> None:
    orders = replace(PAIR, timers=replace(PAIR.timers, network_ms=3_000))
    state = replace(standing(Phase.STANDBY), orders=orders)
    assert not network_silent(state, PAIR.timers.silence_ms + 2_999)
    assert network_silent(state, PAIR.timers.silence_ms + 3_000)


def test_a_record_is_stale_only_to_who_could_read_it() -> None:
    state, late_ms = standing(Phase.STANDBY), 10_000
    fresh = replace(state, looks=replace(state.looks, shelf_ms=late_ms))
    assert disk_stale(fresh, late_ms)
    assert not disk_stale(state, late_ms)
    assert not disk_stale(replace(fresh, looks=replace(fresh.looks, sees=False)), late_ms)


def test_staleness_counts_from_when_the_disks_came_into_sight() -> None:
    state = standing(Phase.STANDBY)
    blind = replace(state, looks=replace(state.looks, sees=False))
    assert apply_event(blind, ShelfSeen(OURS), 9_000).peer.heard_ms == (0, 0, 9_000)
    assert apply_event(state, ShelfSeen(OURS), 9_000).peer.heard_ms == (0, 0, 0)


def test_whoever_claims_lives_and_its_epoch_is_known() -> None:
    state = apply_event(standing(Phase.STANDBY), ShelfSeen(THEIRS), 9_000)
    assert state.peer.heard_ms == (0, 0, 9_000)
    assert state.highest == 2
    assert apply_event(state, ShelfSeen(THEIRS), 9_500).peer.heard_ms == (0, 0, 9_000)


@pytest.mark.parametrize("phase", OWNERS)
def test_a_loss_is_for_ever(phase: Phase) -> None:
    state = standing(phase, Presence.ALL)
    assert step(state, Conflict(), 1).phase is Phase.HALTED
    assert step(state, ShelfSeen(THEIRS), 1).phase is Phase.HALTED
    lost = apply_event(state, Conflict(), 1)
    assert apply_event(lost, ShelfSeen(OURS), 2).looks.hold is Hold.LOST


@pytest.mark.parametrize("phase", OWNERS)
def test_a_look_that_began_before_this_phase_says_nothing(phase: Phase) -> None:
    state = replace(standing(phase, Presence.ALL), since_ms=100, now_ms=100)
    assert apply_event(state, ShelfSeen(THEIRS, begun_ms=99), 150) == state
    assert apply_event(state, ShelfSeen(THEIRS, begun_ms=100), 150).looks.hold is Hold.LOST


def test_a_slow_look_proves_what_was_true_when_it_began() -> None:
    assert apply_event(standing(Phase.ACTIVE), ShelfSeen(OURS, begun_ms=300), 900).looks.proved_ms == 300
    assert apply_event(standing(Phase.ACTIVE), ShelfSeen(OURS), 900).looks.proved_ms == 900
    silent = (UNANSWERED,) * len(OURS)
    assert apply_event(standing(Phase.ACTIVE), ShelfSeen(silent), 900).looks.proved_ms == 0


def test_only_the_running_claim_can_end() -> None:
    claiming = replace(standing(Phase.CLAIMING), epoch=1)
    assert step(claiming, ClaimEnded(1, OURS), 1).phase is Phase.IMPORTING
    assert step(claiming, ClaimEnded(2, OURS), 1).phase is Phase.CLAIMING
    assert step(standing(Phase.STANDBY), ClaimEnded(1, OURS), 1).phase is Phase.STANDBY


@pytest.mark.parametrize("phase", OWNERS)
def test_a_late_wake_forgets_what_it_slept_through(phase: Phase) -> None:
    timers = PAIR.timers
    late_ms = timers.beat_ms + timers.pause_ms + 1
    state = replace(standing(phase, Presence.ALL), peer=replace(standing(phase).peer, lately=True, dead=True))
    on_time = step(state, Tick(), late_ms - 1)
    assert not on_time.looks.woke
    woken = step(state, Tick(), late_ms)
    assert woken.looks.woke
    assert (woken.looks.hold, woken.looks.sees, woken.looks.shelf_ms) == (Hold.UNKNOWN, False, None)
    assert woken.peer.heard_ms == (late_ms,) * 3
    assert not (woken.peer.lately or woken.peer.dead)
    assert woken.looks.proved_ms == 0


@pytest.mark.parametrize("phase", OWNERS)
def test_whoever_slept_for_long_has_two_looks_time_to_prove_its_reservation(phase: Phase) -> None:
    timers = PAIR.timers
    woken = step(standing(phase, Presence.HUNG), Tick(), 60_000)
    assert woken.looks.proved_ms == 60_000 - timers.proof_ms + 2 * timers.look_ms + timers.pause_ms


def test_a_wait_for_the_deadman_of_the_peer_is_not_cut_short_by_a_clock_that_leaps() -> None:
    timers = PAIR.timers
    wait_ms = timers.proof_ms + timers.deadman_ms
    quiet = replace(standing(Phase.ACTIVE), answer_ms=5_000)
    assert step(quiet, Tick(), 3_000).answer_ms == 3_000 + wait_ms
    assert step(quiet, Tick(), 100).answer_ms == 5_000
    waiting = replace(standing(Phase.CLAIMING), fence=Fence.WAIT, fenced_ms=0)
    assert step(waiting, Tick(), 3_000).fenced_ms == 3_000
    assert step(waiting, Tick(), 100).fenced_ms == 0


def test_a_group_is_down_when_all_its_members_are_and_flapping_is_not_lasting() -> None:
    state = replace(standing(Phase.ACTIVE, Presence.ALL), orders=replace(PAIR, groups=(Group(1, ("one", "two")),)))
    up, half, down = frozenset({"one", "two"}), frozenset({"two"}), frozenset[str]()
    assert not apply_event(state, LinksSeen(half), 1).looks.groups_down
    first = apply_event(state, LinksSeen(down), 1)
    assert (first.looks.groups_down, first.looks.down_ms) == ({1}, 1)
    assert apply_event(first, LinksSeen(down), 2).looks.down_ms == 1
    again = apply_event(apply_event(first, LinksSeen(up), 2), LinksSeen(down), 3)
    assert again.looks.down_ms == 3


@pytest.mark.parametrize(
    ("pools", "memory", "views", "phase", "code"),
    [
        (Presence.NONE, None, OURS, Phase.STANDBY, Code.NOTHING_HERE),
        (Presence.REFUSED, Memory(Phase.IMPORTING, 1), OURS, Phase.STANDBY, Code.NOTHING_HERE),
        (Presence.UNKNOWN, None, OURS, Phase.BOOTING, Code.STARTED),
        (Presence.HUNG, None, OURS, Phase.BOOTING, Code.STARTED),
        (Presence.ALL, None, OURS, Phase.HALTED, Code.FOREIGN_IMPORT),
        (Presence.SOME, None, THEIRS, Phase.HALTED, Code.FOREIGN_IMPORT),
        (Presence.ALL, Memory(Phase.ACTIVE, 1), OURS, Phase.ACTIVE, Code.RESUMED),
        (Presence.SOME, Memory(Phase.IMPORTING, 1), OURS, Phase.IMPORTING, Code.RESUMED),
        (Presence.SOME, Memory(Phase.RELEASING, 1), OURS, Phase.RELEASING, Code.RESUMED),
        (Presence.ALL, Memory(Phase.ACTIVE, 1), THEIRS, Phase.HALTED, Code.FENCED),
        (Presence.ALL, Memory(Phase.ACTIVE, 1), (UNANSWERED,) * len(OURS), Phase.BOOTING, Code.STARTED),
        (Presence.UNKNOWN, Memory(Phase.ACTIVE, 1), OURS, Phase.BOOTING, Code.STARTED),
    ],
)
def test_a_daemon_that_starts(
    pools: Presence, memory: Memory | None, views: tuple[DiskView, ...], phase: Phase, code: Code
) -> None:
    begun = initial(PAIR, 1, 0, memory)
    state = after(begun, (ShelfSeen(views), 1), (PoolsSeen(pools), 2))
    assert (state.phase, state.why.code) == (phase, code)


def test_a_daemon_that_starts_over_pools_does_not_look_for_a_proof_for_ever() -> None:
    begun = after(initial(PAIR, 1, 0, Memory(Phase.ACTIVE, 1)), (PoolsSeen(Presence.ALL), 1))
    late_ms = PAIR.timers.proof_ms
    assert step(begun, Tick(), late_ms - 1).phase is Phase.BOOTING
    assert step(begun, Tick(), late_ms).why.code is Code.UNPROVEN


def test_a_proof_of_death_ends_every_wait_until_something_newer_is_heard() -> None:
    state = standing(Phase.CLAIMING)
    waiting = replace(
        state, fence=Fence.WAIT, fenced_ms=0, answer_ms=9_000, looks=replace(state.looks, hold=Hold.OURS, proved_ms=0)
    )
    assert step(waiting, Tick(), 100).phase is Phase.CLAIMING
    proven = step(waiting, PeerDied("power controller"), 100)
    assert (proven.phase, proven.why.code, proven.answer_ms) == (Phase.IMPORTING, Code.CLAIM_PROVEN, None)
    assert (proven.peer.dead, proven.peer.proven) == (True, True)
    again = apply_event(proven, Heard(0, BEAT), 200)
    assert (again.peer.dead, again.peer.proven) == (False, False)


def test_a_record_that_changes_undecodably_is_life_and_says_nothing() -> None:
    state = after(standing(Phase.STANDBY), (RecordChanged(), 300))
    assert state.peer.heard_ms == (0, 0, 300)
    assert disk_alive(state, 300) and undecoded(state, 300) and not network_alive(state, 300)
    assert state.peer.beat is None and state.peer.ever
    stale_ms = PAIR.timers.stale_ms
    assert not undecoded(state, 300 + stale_ms), "it has stopped"


def test_a_beat_ends_what_could_not_be_decoded() -> None:
    state = after(standing(Phase.STANDBY), (RecordChanged(), 300), (Heard(0, BEAT), 400))
    assert state.peer.undecoded_ms is None
    assert not undecoded(state, 400)


def test_an_undecodable_change_ends_a_death_and_its_proof() -> None:
    dying = after(standing(Phase.STANDBY), (PeerDied("power controller"), 100))
    assert dying.peer.dead and dying.peer.proven
    alive = apply_event(dying, RecordChanged(), 200)
    assert not alive.peer.dead and not alive.peer.proven


def test_while_the_network_carries_beats_a_record_of_another_kind_is_no_riddle() -> None:
    state = after(standing(Phase.STANDBY), (Heard(0, BEAT), 300), (RecordChanged(), 350))
    assert not undecoded(state, 350)
    assert state.peer.undecoded_ms == 350
