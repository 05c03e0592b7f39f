"""Newer orders with another shelf: when they come into force in each phase, and how disk indices change then."""

from dataclasses import replace

import pytest

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.events import ClaimEnded, Heard, NewOrders, Presence, ShelfSeen, Tick
from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.pending_orders import joined, resumed, with_records
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Vdev, digest, layout, shelf_digest
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.new_disks import untakeable
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Hold, judge, seen_text
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step_outputs import standing

MINE, THEIRS, FOREIGN = Key(Side.A, 1), Key(Side.B, 7), Key(None, 0xABAD)
IN_FORCE = replace(PAIR, generation=5)
#: A new disk comes first, so that every number is another one; two of three arbitration disks are new.
NEWER = replace(
    IN_FORCE,
    generation=6,
    enabled=False,
    disks=("new0", "new1", *IN_FORCE.disks),
    vdevs=(Vdev("more", (0, 1), 1), *(replace(one, disks=tuple(at + 2 for at in one.disks)) for one in IN_FORCE.vdevs)),
    arbitration=(0, 1, 2),
)
OURS = DiskView(True, MINE, frozenset({MINE}))
FREE = DiskView(True)
ALL_OURS = (OURS,) * len(IN_FORCE.disks)


def given(phase: Phase, pools: Presence = Presence.NONE) -> State:
    """A controller with newer orders that it has just been given."""
    return step(replace(standing(phase, pools), orders=IN_FORCE), NewOrders(NEWER), 1)


def saw(state: State, *new: DiskView, now_ms: int = 2) -> State:
    """The state after a look at the disks in force, which are ours, and at these new ones."""
    return step(state, ShelfSeen((*ALL_OURS, *new)), now_ms)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.HALTED])
def test_the_shelf_waits_and_all_else_is_in_force_at_once(phase: Phase) -> None:
    after = given(phase)
    assert after.pending == NEWER == after.newest
    assert after.orders == replace(IN_FORCE, generation=6, enabled=False)
    assert after.looks.sees


def test_indices_of_the_disks_in_force_stay_valid() -> None:
    assert joined(IN_FORCE, NEWER).disks == (*IN_FORCE.disks, "new0", "new1")
    assert with_records(IN_FORCE, NEWER).voters == (*IN_FORCE.voters, "new0", "new1")
    assert joined(IN_FORCE, None) is IN_FORCE


def test_beats_tell_the_newest_orders_and_the_shelf_in_force() -> None:
    beat = outputs(given(Phase.ACTIVE)).beat
    assert (beat.generation, beat.digest, beat.shelf) == (6, digest(NEWER), shelf_digest(IN_FORCE))


def test_an_owner_adopts_what_it_holds_in_one_step() -> None:
    state = replace(given(Phase.ACTIVE, Presence.ALL), excused=frozenset({1}))
    after = step(state, ShelfSeen((*ALL_OURS, OURS, OURS), frozenset({4})), 2)
    assert after.orders == NEWER
    assert after.pending is None
    assert (after.looks.hold, after.looks.sees, after.looks.proved_ms) == (Hold.OURS, True, 2)
    assert after.looks.out == {6}, "log0 has another number now"
    assert after.excused == {3}
    assert after.held == set(range(7))


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (UNANSWERED, "new1 is silent"),
        (DiskView(True, FOREIGN, frozenset({FOREIGN})), "new1 is held by foreign/0xabad"),
        (DiskView(True, THEIRS, frozenset({THEIRS})), "new1 is held by b/7"),
        (replace(OURS, registered=frozenset({MINE, FOREIGN})), "new1 is held by a/1, with foreign/0xabad registered"),
    ],
    ids=["silent", "foreign", "newer", "shared"],
)
def test_what_cannot_be_taken_is_a_hold_with_a_name(view: DiskView, told: str) -> None:
    state = given(Phase.ACTIVE, Presence.ALL)
    for now_ms in range(2, 20_000, 250):
        state = saw(state, OURS, view, now_ms=now_ms)
    assert state.phase is Phase.ACTIVE
    assert state.pending == NEWER
    (reason,) = (one for one in reasons(state, 20_000) if one.name == "ORDERS_PENDING")
    assert reason.evidence == told
    # The disk becomes free: it is taken first.
    assert saw(state, OURS, FREE, now_ms=20_000).pending == NEWER
    assert saw(state, OURS, OURS, now_ms=20_000).orders == NEWER


def test_a_data_disk_that_pools_here_have_open_waits_no_longer_than_a_claim() -> None:
    fewer = replace(NEWER, arbitration=(2, 4, 6))
    state = step(replace(standing(Phase.ACTIVE, Presence.ALL), orders=IN_FORCE), NewOrders(fewer), 1)
    limit_ms = IN_FORCE.timers.claim_ms
    for now_ms in range(250, limit_ms, 250):
        state = saw(state, OURS, FREE, now_ms=now_ms)
        assert state.pending == fewer
    assert saw(state, OURS, FREE, now_ms=limit_ms + 1).orders == fewer


def test_an_arbitration_disk_is_waited_for_as_long_as_it_takes() -> None:
    state = given(Phase.ACTIVE, Presence.ALL)
    for now_ms in range(250, 3 * IN_FORCE.timers.claim_ms, 250):
        state = saw(state, FREE, FREE, now_ms=now_ms)
    assert state.pending == NEWER
    assert state.phase is Phase.ACTIVE


def test_an_import_that_cannot_begin_adopts_only_under_a_fence_of_every_vdev() -> None:
    """The pools may have disks already that only newer orders name: an import by the older ones is refused."""
    state = given(Phase.IMPORTING)
    fewer = replace(NEWER, arbitration=(2, 4, 6))
    waits = replace(state, pending=fewer, pending_ms=0, since_ms=-20_000, looks=replace(state.looks, proved_ms=1))
    assert saw(waits, FREE, FREE).pending == fewer
    assert saw(waits, OURS, OURS).orders == fewer


@pytest.mark.parametrize("phase", [Phase.CLAIMING, Phase.RELEASING, Phase.BOOTING])
def test_phases_on_the_way_adopt_nothing(phase: Phase) -> None:
    assert saw(given(phase), OURS, OURS).pending == NEWER


def test_a_claim_is_judged_by_the_shelf_in_force() -> None:
    claiming = replace(given(Phase.CLAIMING), pending_ms=0)
    after = step(claiming, ClaimEnded(1, ALL_OURS), 3)
    assert after.phase is Phase.IMPORTING
    assert after.pending == NEWER


def test_orders_that_are_taken_back_wait_for_nothing() -> None:
    again = replace(IN_FORCE, generation=7)
    after = step(given(Phase.ACTIVE, Presence.ALL), NewOrders(again), 3)
    assert after.orders == again
    assert after.pending is None


def test_a_daemon_that_starts_goes_on_under_the_shelf_in_force() -> None:
    kept = replace(NEWER, disks=IN_FORCE.disks, vdevs=IN_FORCE.vdevs, arbitration=IN_FORCE.arbitration)
    state = initial(kept, 2, 0, pending=NEWER)
    assert state.newest == NEWER
    assert step(state, NewOrders(NEWER), 1) == replace(state, now_ms=1)


def test_the_shelf_before_stays_in_force_over_a_restart_whatever_else_is_unsafe() -> None:
    in_force, pending = resumed(NEWER, layout(IN_FORCE))
    assert (in_force.generation, layout(in_force), pending) == (6, layout(IN_FORCE), NEWER)
    assert resumed(NEWER, layout(NEWER)) == resumed(NEWER, None) == (NEWER, None)
    # A rule that only a newer release has is no reason to be judged by disks that are not ours.
    strange = replace(NEWER, limits=replace(NEWER.limits, resets=0))
    assert layout(resumed(strange, layout(IN_FORCE))[0]) == layout(IN_FORCE)
    # A shelf that decides nothing is no shelf.
    assert resumed(NEWER, replace(layout(IN_FORCE), arbitration=(0, 1))) == (NEWER, None)
    assert resumed(NEWER, replace(layout(IN_FORCE), arbitration=(-1,))) == (NEWER, None)


def said(phase: Phase, shelf: int, *, out: frozenset[int] = frozenset()) -> Beat:
    """A beat of the peer."""
    return Beat(Side.B, 4, 7, 1, phase, sees=True, able=True, generation=6, shelf=shelf, out=out)


@pytest.mark.parametrize(
    ("beat", "adopts"),
    [
        (said(Phase.ACTIVE, shelf_digest(IN_FORCE)), False),
        (said(Phase.BOOTING, shelf_digest(IN_FORCE)), False),
        (said(Phase.CLAIMING, shelf_digest(IN_FORCE)), False),
        (said(Phase.STANDBY, shelf_digest(IN_FORCE)), True),
        (said(Phase.ACTIVE, shelf_digest(NEWER)), True),
        (said(Phase.ACTIVE, 1), True),
    ],
    ids=["owner before", "booting", "claiming", "no owner", "owner after", "neither"],
)
def test_a_standby_follows_the_owner(beat: Beat, adopts: bool) -> None:
    state = replace(given(Phase.STANDBY), epoch=0)
    after = step(state, Heard(0, beat), 100)
    assert (after.orders == NEWER) is adopts
    assert (after.looks.shelf_ms is None) is adopts, "what was seen of other disks does not count for new ones"


def test_a_standby_that_has_heard_no_owner_listens_first() -> None:
    state = replace(given(Phase.STANDBY), epoch=0)
    assert step(state, Tick(), 500).pending == NEWER
    for now_ms in range(250, 2_000, 250):
        state = step(state, ShelfSeen((*ALL_OURS, FREE, FREE)), now_ms)
    assert state.orders == NEWER


def test_the_numbers_of_other_orders_excuse_no_disk() -> None:
    claiming = replace(standing(Phase.CLAIMING), orders=IN_FORCE)
    views = (OURS, UNANSWERED, *ALL_OURS[2:])
    for shelf, excused in ((shelf_digest(IN_FORCE), {1}), (shelf_digest(NEWER), set())):
        heard = step(claiming, Heard(0, said(Phase.STANDBY, shelf, out=frozenset({1}))), 1)
        assert step(heard, ClaimEnded(1, views), 2).excused == excused


def test_a_foreign_key_is_a_loss_only_where_the_disk_was_held() -> None:
    foreign = DiskView(True, FOREIGN, frozenset({FOREIGN}))
    views = (OURS, foreign, *ALL_OURS[2:])
    assert judge(IN_FORCE, 1, views).hold is Hold.LOST
    assert judge(IN_FORCE, 1, views, frozenset({0, 2})).hold is Hold.OURS
    assert judge(IN_FORCE, 1, views, frozenset({0, 1})).hold is Hold.LOST
    peers = replace(foreign, holder=THEIRS, registered=frozenset({THEIRS}))
    assert judge(IN_FORCE, 1, (OURS, peers, *ALL_OURS[2:]), frozenset()).hold is Hold.LOST


def test_what_was_held_once_is_lost_when_another_holds_it() -> None:
    active = replace(standing(Phase.ACTIVE, Presence.ALL), orders=IN_FORCE)
    foreign = DiskView(True, FOREIGN, frozenset({FOREIGN}))
    views = (OURS, foreign, *ALL_OURS[2:])
    assert step(active, ShelfSeen(views), 1).phase is Phase.ACTIVE
    held = step(active, ShelfSeen(ALL_OURS), 1)
    lost = step(held, ShelfSeen(views), 2)
    assert lost.phase is Phase.HALTED
    assert lost.why.evidence == "disk0, disk2, log0 held by a/1; disk1 held by foreign/0xabad; ours was a/1"


def test_a_halt_tells_who_holds_what() -> None:
    views = (DiskView(True, THEIRS, frozenset({THEIRS})), OURS, FREE, OURS, UNANSWERED)
    assert seen_text(IN_FORCE, 1, views) == "disk0 held by b/7; disk2 without a reservation; log0 silent"


def test_new_disks_that_the_owner_cannot_take_are_foreseen() -> None:
    foreign = DiskView(True, FOREIGN, frozenset({FOREIGN}))
    assert untakeable(IN_FORCE, NEWER, (*ALL_OURS, FREE, OURS)) == ()
    assert untakeable(IN_FORCE, NEWER, (*ALL_OURS, foreign, UNANSWERED)) == (
        "new0 is held by foreign/0xabad",
        "new1 is silent",
    )
    assert untakeable(IN_FORCE, NEWER, (*(FREE,) * len(IN_FORCE.disks), foreign, FREE)) == (), "the next claim takes it"
