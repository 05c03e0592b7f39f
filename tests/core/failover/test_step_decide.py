"""Decisions of a controller by its state: when it claims, releases, stays, and halts."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Asked, Event, Heard, NewOrders, PoolsSeen, Presence, Request, Tick
from reconciler.core.failover.machine.finished_claim import lives_ms, wait_ms
from reconciler.core.failover.machine.inhibitors import forbidden
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.preference import peer_better, peer_can_take, preferred
from reconciler.core.failover.machine.state import Memory, State, initial
from reconciler.core.failover.machine.step import enter, step
from reconciler.core.failover.machine.transition import Move
from reconciler.core.failover.orders.orders import PROOF_MS_LEAST, Limits, digest, policy_digest
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import Fence, Hold
from reconciler.simulation.timed.stories import PAIR
from tests.core.failover.test_step_know import BEAT
from tests.core.failover.test_step_outputs import OWNERS, standing

T = PAIR.timers
#: Long after the start; every look is fresh, and the peer was heard a moment ago.
NOW_MS = 100_000
ALL_DOWN = frozenset({1})


def now(mine: Phase, pools: Presence = Presence.NONE, /, **beat: Any) -> State:
    """A controller that has been in a phase for a while, with a peer that sends `beat`."""
    state = standing(mine, pools)
    looks = replace(state.looks, shelf_ms=NOW_MS, proved_ms=NOW_MS, owner=None)
    heard = replace(state.peer, heard_ms=(NOW_MS,) * 3, beat=replace(BEAT, epoch=1, **beat), ever=True, lately=True)
    return replace(state, now_ms=NOW_MS, since_ms=NOW_MS - 90_000, looks=looks, peer=heard)


def seen(state: State, **looks: Any) -> State:
    """The same with other looks."""
    return replace(state, looks=replace(state.looks, **looks))


def unable(state: State, for_ms: int) -> State:
    """The same, with a peer that has reported for this long that it could not take the pools."""
    return replace(state, peer=replace(state.peer, unable_ms=NOW_MS - for_ms))


def heard(state: State, network_ms: int, disk_ms: int) -> State:
    """The same, with a peer that was last heard this long ago."""
    return replace(state, peer=replace(state.peer, heard_ms=(NOW_MS - network_ms,) * 2 + (NOW_MS - disk_ms,)))


def moved(state: State, event: Event | None = None) -> tuple[Phase, Code]:
    """The phase after one step, and its reason."""
    after = step(state, event or Tick(), NOW_MS)
    return after.phase, after.why.code


STAYS = (Phase.STANDBY, Code.STARTED)
CLAIMS = {code: (Phase.CLAIMING, code) for code in Code}
SILENT = 50_000


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (heard(now(Phase.STANDBY), SILENT, SILENT), CLAIMS[Code.PEER_SILENT]),
        (heard(now(Phase.STANDBY), SILENT, 100), STAYS),
        (heard(now(Phase.STANDBY, phase=Phase.ACTIVE), 100, SILENT), STAYS),
        (heard(now(Phase.STANDBY, handed=True, phase=Phase.RELEASING), SILENT, 100), CLAIMS[Code.HANDED]),
        (now(Phase.STANDBY, handed=True, phase=Phase.RELEASING), CLAIMS[Code.HANDED]),
        (now(Phase.STANDBY, phase=Phase.RELEASING), STAYS),
        (now(Phase.STANDBY), CLAIMS[Code.NO_OWNER]),
        (unable(now(Phase.STANDBY, phase=Phase.BOOTING, able=False), T.yield_ms), CLAIMS[Code.PEER_UNABLE]),
        (unable(now(Phase.STANDBY, phase=Phase.BOOTING, able=False), T.yield_ms - 1), STAYS),
        (unable(now(Phase.STANDBY, phase=Phase.ACTIVE, able=False), T.yield_ms), STAYS),
        (now(Phase.STANDBY, phase=Phase.ACTIVE, able=False), STAYS),
        (seen(now(Phase.STANDBY), owner=Key(Side.B, 9)), STAYS),
        (seen(heard(now(Phase.STANDBY), SILENT, SILENT), groups_down=ALL_DOWN, down_ms=0), STAYS),
        (seen(heard(now(Phase.STANDBY), SILENT, SILENT), sees=False), STAYS),
        (seen(heard(now(Phase.STANDBY), SILENT, SILENT), shelf_ms=NOW_MS - T.stale_ms), STAYS),
        (seen(heard(now(Phase.STANDBY), SILENT, SILENT), woke=True, shelf_ms=None), STAYS),
        (seen(now(Phase.STANDBY), pools=Presence.ALL), (Phase.HALTED, Code.FOREIGN_IMPORT)),
        (replace(heard(now(Phase.STANDBY), SILENT, SILENT), retry_ms=NOW_MS + 1), STAYS),
        (replace(heard(now(Phase.STANDBY), SILENT, SILENT), retry_ms=NOW_MS), CLAIMS[Code.PEER_SILENT]),
    ],
)  # fmt: skip
def test_a_row_of_the_table(state: State, expected: tuple[Phase, Code]) -> None:
    assert moved(state) == expected


@pytest.mark.parametrize(("down", "expected"), [(frozenset[int](), CLAIMS[Code.PEER_DEAD]), (ALL_DOWN, STAYS)])
def test_a_dead_peer_is_replaced_unless_clients_could_not_come_here(
    down: frozenset[int], expected: tuple[Phase, Code]
) -> None:
    state = seen(now(Phase.STANDBY), groups_down=down)
    assert moved(replace(state, peer=replace(state.peer, dead=True))) == expected


@pytest.mark.parametrize(("default", "quiet_ms"), [(Side.A, T.boot_ms), (Side.B, T.boot_ms + T.yield_ms)])
def test_a_controller_that_hears_nobody_since_its_start_waits_its_turn(default: Side, quiet_ms: int) -> None:
    state = heard(now(Phase.STANDBY), SILENT, SILENT)
    state = replace(state, orders=replace(PAIR, default=default), peer=replace(state.peer, ever=False, beat=None))
    assert moved(replace(state, since_ms=NOW_MS - quiet_ms + 1)) == STAYS
    assert moved(replace(state, since_ms=NOW_MS - quiet_ms)) == CLAIMS[Code.PEER_ABSENT]


@pytest.mark.parametrize("groups", [(), (1,), (2,), (1, 2)], ids=str)
@pytest.mark.parametrize("theirs", [(), (1,), (2,), (1, 2)], ids=str)
def test_better_is_fewer_groups_down_and_none_of_them_up_here(groups: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    state = seen(now(Phase.STANDBY, groups_down=frozenset(theirs)), groups_down=frozenset(groups))
    assert peer_better(state) is (set(theirs) < set(groups))
    other_first = replace(state, orders=replace(PAIR, default=Side.B))
    assert preferred(other_first) is (set(groups) < set(theirs))


@pytest.mark.parametrize("beat", [{"able": False}, {"sees": False}, {"phase": Phase.BOOTING}], ids=str)
def test_a_peer_that_cannot_take_is_not_handed_to(beat: dict[str, Any]) -> None:
    assert peer_can_take(now(Phase.ACTIVE, Presence.ALL), NOW_MS)
    ill = seen(now(Phase.ACTIVE, Presence.ALL, **beat), hung_ms=0, pools=Presence.HUNG)
    assert not peer_can_take(ill, NOW_MS)
    assert moved(ill)[0] is Phase.ACTIVE
    refused = step(now(Phase.ACTIVE, Presence.ALL, **beat), Asked(Request.SWITCHOVER), NOW_MS)
    assert refused.phase is Phase.ACTIVE
    assert refused.refused is not None
    assert refused.refused.code is Code.PEER_CANNOT


AILING = (
    (seen(now(Phase.ACTIVE, Presence.ALL), sees=False, unseen_ms=0), "unseen_ms", Code.DISKS_LOST),
    (seen(now(Phase.ACTIVE, Presence.HUNG), hung_ms=0), "hung_ms", Code.POOLS_HUNG),
    (seen(now(Phase.ACTIVE, Presence.ALL), groups_down=ALL_DOWN, down_ms=0), "down_ms", Code.GROUPS_DOWN),
    (heard(seen(now(Phase.ACTIVE, Presence.ALL), groups_down=ALL_DOWN, down_ms=0), SILENT, SILENT), "down_ms",
     Code.ISOLATED),
)  # fmt: skip
ailing = pytest.mark.parametrize(("state", "since", "code"), AILING, ids=[str(one[2]) for one in AILING])


@ailing
def test_an_ailing_active_lets_go_when_it_has_lasted(state: State, since: str, code: Code) -> None:
    assert moved(state) == (Phase.RELEASING, code)
    lasts_ms = T.proof_ms // 2 if code is Code.DISKS_LOST else T.settle_ms
    assert moved(seen(state, **{since: NOW_MS - lasts_ms})) == (Phase.RELEASING, code)
    assert moved(seen(state, **{since: NOW_MS - lasts_ms + 1}))[0] is Phase.ACTIVE


def test_pools_that_hang_soon_after_the_peer_let_go_of_them_stay() -> None:
    bound_ms = 2 * T.again_ms
    took = replace(now(Phase.ACTIVE, Presence.HUNG), taken=True, since_ms=NOW_MS - 10 * bound_ms)
    soon = seen(took, hung_ms=took.since_ms + bound_ms - 1)
    assert moved(soon)[0] is Phase.ACTIVE
    assert moved(replace(soon, taken=False)) == (Phase.RELEASING, Code.POOLS_HUNG)
    assert moved(seen(took, hung_ms=took.since_ms + bound_ms)) == (Phase.RELEASING, Code.POOLS_HUNG)
    for code, taken in ((Code.PEER_DEAD, True), (Code.NO_OWNER, False), (Code.FORCED, False)):
        assert enter(now(Phase.STANDBY), Move(Phase.CLAIMING, code), NOW_MS).taken is taken


def test_nobody_lives_longer_without_proof_than_the_peer_waits() -> None:
    """Of older and newer orders the shorter life and the longer wait count, until a beat says that both have them."""
    state = now(Phase.ACTIVE, Presence.ALL)
    longer = replace(PAIR, generation=2, timers=replace(T, proof_ms=6_000))
    told = step(state, NewOrders(longer), NOW_MS)
    assert (lives_ms(told), wait_ms(told)) == (T.proof_ms, 6_000 + T.deadman_ms)
    other, same = (replace(BEAT, counter=9, digest=number, echo=told.incarnation) for number in (1, digest(longer)))
    assert lives_ms(step(told, Heard(0, other), NOW_MS)) == T.proof_ms
    agreed = step(told, Heard(0, same), NOW_MS)
    assert lives_ms(agreed) == 6_000
    back = step(agreed, NewOrders(replace(PAIR, generation=3)), NOW_MS)
    assert (lives_ms(back), wait_ms(back)) == (T.proof_ms, 6_000 + T.deadman_ms), "the peer may still live longer"
    known = step(back, Heard(0, replace(same, counter=10, digest=digest(back.orders))), NOW_MS)
    assert wait_ms(known) == T.proof_ms + T.deadman_ms
    assert lives_ms(step(agreed, Heard(0, replace(other, counter=11)), NOW_MS)) == PROOF_MS_LEAST


@ailing
def test_an_ailing_active_stays_while_it_must_not_move(state: State, since: str, code: Code) -> None:
    assert moved(replace(state, orders=replace(PAIR, enabled=False, generation=2)))[0] is Phase.ACTIVE
    assert moved(replace(state, maintenance_ms=NOW_MS + 1))[0] is Phase.ACTIVE
    assert moved(replace(state, retry_ms=NOW_MS + 1))[0] is Phase.ACTIVE
    assert moved(seen(state, woke=True))[0] is Phase.ACTIVE


def test_nobody_moves_to_a_side_that_is_no_better() -> None:
    state = seen(now(Phase.ACTIVE, Presence.ALL, groups_down=ALL_DOWN), groups_down=ALL_DOWN, down_ms=0)
    assert moved(state)[0] is Phase.ACTIVE


def test_a_controller_without_links_stays_while_it_hears_a_peer_that_cannot_take() -> None:
    state = seen(now(Phase.ACTIVE, Presence.ALL, able=False), groups_down=ALL_DOWN, down_ms=0)
    assert moved(state)[0] is Phase.ACTIVE


def test_a_switchover_never_goes_to_the_worse_side() -> None:
    state = now(Phase.ACTIVE, Presence.ALL, groups_down=ALL_DOWN)
    assert moved(state, Asked(Request.SWITCHOVER))[0] is Phase.ACTIVE
    assert moved(now(Phase.ACTIVE, Presence.ALL), Asked(Request.SWITCHOVER)) == (Phase.RELEASING, Code.ASKED)


@pytest.mark.parametrize("pools", [Presence.NONE, Presence.REFUSED, Presence.SOME])
def test_pools_that_vanished_are_imported_again(pools: Presence) -> None:
    assert moved(now(Phase.ACTIVE, pools)) == (Phase.IMPORTING, Code.POOLS_GONE)


@pytest.mark.parametrize("phase", OWNERS)
def test_an_owner_without_its_reservation_halts(phase: Phase) -> None:
    state = now(phase, Presence.SOME if phase is not Phase.ACTIVE else Presence.ALL)
    assert moved(seen(state, hold=Hold.LOST)) == (Phase.HALTED, Code.FENCED)
    fresh = replace(state, since_ms=NOW_MS - 1)
    assert moved(seen(fresh, proved_ms=NOW_MS - T.proof_ms)) == (Phase.HALTED, Code.UNPROVEN)
    assert moved(seen(fresh, proved_ms=NOW_MS - T.proof_ms + 1))[0] is not Phase.HALTED


def test_every_bound_ends_in_a_reset() -> None:
    def late(state: State, bound_ms: int) -> tuple[Phase, Code]:
        assert moved(replace(state, since_ms=NOW_MS - bound_ms + 1))[0] is state.phase
        return moved(replace(state, since_ms=NOW_MS - bound_ms))

    assert late(now(Phase.CLAIMING), T.claim_ms) == (Phase.HALTED, Code.CLAIM_HUNG)
    assert late(now(Phase.IMPORTING, Presence.SOME), T.import_ms) == (Phase.HALTED, Code.IMPORT_HUNG)
    assert late(now(Phase.RELEASING, Presence.ALL), T.release_ms) == (Phase.HALTED, Code.RELEASE_HUNG)


def test_what_goes_on_is_ended_by_no_clock() -> None:
    """Limits count from the last progress, and a phase that begins counts anew."""
    for phase, bound_ms in ((Phase.IMPORTING, T.import_ms), (Phase.RELEASING, T.release_ms)):
        goes_on = step(now(phase, Presence.SOME), PoolsSeen(Presence.SOME, progress=7), NOW_MS)
        assert (goes_on.phase, goes_on.looks.still_ms) == (phase, NOW_MS), f"began long before its {bound_ms} ms"
        assert step(goes_on, PoolsSeen(Presence.SOME, progress=7), NOW_MS + 100).looks.still_ms == NOW_MS
        late = seen(goes_on, still_ms=NOW_MS - bound_ms + 1)
        assert moved(late)[0] is phase
        assert moved(seen(late, still_ms=NOW_MS - bound_ms))[0] is Phase.HALTED
    assert step(seen(now(Phase.IMPORTING, Presence.ALL), still_ms=NOW_MS), Tick(), NOW_MS).looks.still_ms is None


def test_an_import_that_is_refused_again_and_again_does_not_go_on() -> None:
    alone = now(Phase.IMPORTING, Presence.SOME, able=False)
    refused = step(replace(alone, since_ms=NOW_MS - T.import_ms), PoolsSeen(Presence.REFUSED, progress=7), NOW_MS)
    assert (refused.phase, refused.why.code) == (Phase.RELEASING, Code.IMPORT_REFUSED)


@pytest.mark.parametrize(
    ("voluntary", "looks", "ends"),
    [
        (True, {"used": True}, (Phase.IMPORTING, Code.RELEASE_GIVEN_UP)),
        (False, {"used": True}, (Phase.HALTED, Code.RELEASE_HUNG)),
        (True, {"used": False}, (Phase.HALTED, Code.RELEASE_HUNG)),
        (True, {"used": True, "sees": False}, (Phase.HALTED, Code.RELEASE_HUNG)),
        (True, {"used": True, "hold": Hold.UNKNOWN}, (Phase.HALTED, Code.RELEASE_HUNG)),
        (True, {"used": True, "hold": Hold.LOST}, (Phase.HALTED, Code.FENCED)),
    ],
)
def test_only_a_switchover_that_somebody_keeps_from_going_on_is_given_up(
    voluntary: bool, looks: dict[str, Any], ends: tuple[Phase, Code]
) -> None:
    state = replace(seen(now(Phase.RELEASING, Presence.SOME), **looks), voluntary=voluntary)
    assert moved(state) == ends
    after = step(state, Tick(), NOW_MS)
    if ends[0] is Phase.IMPORTING:
        assert after.refused == after.why
        assert after.retry_ms == NOW_MS + T.again_ms
        assert not after.looks.covered, "the reservation is looked at before anything is imported or mounted"


def test_only_what_a_person_asks_for_is_voluntary() -> None:
    state = now(Phase.ACTIVE, Presence.ALL)
    assert step(state, Asked(Request.SWITCHOVER), NOW_MS).voluntary
    sick = step(seen(state, hung_ms=NOW_MS - 90_000, pools=Presence.HUNG), Tick(), NOW_MS)
    assert (sick.phase, sick.voluntary) == (Phase.RELEASING, False)


def test_a_release_ends_when_the_peer_takes_or_nobody_does() -> None:
    gone = replace(now(Phase.RELEASING), handed_ms=NOW_MS - T.handover_ms)
    waiting = replace(gone, handed_ms=NOW_MS - T.handover_ms + 1)
    assert moved(waiting)[0] is Phase.RELEASING
    assert moved(seen(waiting, hold=Hold.LOST)) == (Phase.STANDBY, Code.TAKEN)
    assert moved(gone) == (Phase.IMPORTING, Code.RESUMED_SERVICE)
    assert moved(seen(gone, hold=Hold.UNKNOWN)) == (Phase.STANDBY, Code.LEFT)
    assert moved(seen(gone, sees=False)) == (Phase.STANDBY, Code.LEFT)
    assert moved(seen(gone, proved_ms=NOW_MS - T.proof_ms)) == (Phase.STANDBY, Code.LEFT)
    assert step(gone, Tick(), NOW_MS).retry_ms == NOW_MS + T.again_ms


def test_a_refused_import_goes_to_the_peer_only_when_moves_are_allowed() -> None:
    refused = replace(now(Phase.IMPORTING, Presence.REFUSED), since_ms=NOW_MS - 1)
    assert moved(refused) == (Phase.RELEASING, Code.IMPORT_REFUSED)
    assert moved(replace(refused, maintenance_ms=NOW_MS + 1))[0] is Phase.IMPORTING


@pytest.mark.parametrize(
    ("fence", "hold", "fenced_ms", "expected"),
    [
        (Fence.HOLDS, Hold.OURS, NOW_MS, (Phase.IMPORTING, Code.CLAIM_VERIFIED)),
        (Fence.HOLDS, Hold.LOST, NOW_MS, (Phase.STANDBY, Code.CLAIM_LOST)),
        (Fence.WAIT, Hold.OURS, NOW_MS - T.proof_ms - T.deadman_ms, (Phase.IMPORTING, Code.CLAIM_WAITED)),
        (Fence.WAIT, Hold.OURS, NOW_MS - T.proof_ms - T.deadman_ms + 1, (Phase.CLAIMING, Code.STARTED)),
        (Fence.WAIT, Hold.LOST, NOW_MS, (Phase.STANDBY, Code.CLAIM_LOST)),
        (Fence.BROKEN, Hold.OURS, 0, (Phase.STANDBY, Code.CLAIM_LOST)),
        (None, Hold.OURS, None, (Phase.CLAIMING, Code.STARTED)),
    ],
)
def test_what_a_finished_claim_allows(
    fence: Fence | None, hold: Hold, fenced_ms: int | None, expected: tuple[Phase, Code]
) -> None:
    state = replace(now(Phase.CLAIMING, policy=1), since_ms=NOW_MS - 1, fence=fence, fenced_ms=fenced_ms)
    assert moved(seen(state, hold=hold)) == expected
    after = step(seen(state, hold=hold), Tick(), NOW_MS)
    assert after.retry_ms == (NOW_MS + T.retry_ms if after.phase is Phase.STANDBY else None)


@pytest.mark.parametrize("said", [{"armed": False, "policy": 1}, {"armed": True, "policy": 0}])
def test_a_deadman_that_nobody_knows_of_ends_no_wait(said: dict[str, Any]) -> None:
    """A peer that says it has none, and one of the first release, which says nothing."""
    over = {"since_ms": NOW_MS - 1, "fence": Fence.WAIT, "fenced_ms": NOW_MS - T.proof_ms - T.deadman_ms, "epoch": 7}
    vain = (Phase.STANDBY, Code.CLAIM_UNARMED)
    for phase in Phase:
        state = seen(replace(now(Phase.CLAIMING, phase=phase, **said), **over), hold=Hold.OURS)
        assert moved(state) == vain
        # It exported its pools before, and knows of this claim.
        for epoch, expected in ((6, vain), (7, (Phase.IMPORTING, Code.CLAIM_WAITED))):
            handed = replace(state, handed_over=True)
            assert handed.peer.beat is not None
            handed = replace(handed, peer=replace(handed.peer, beat=replace(handed.peer.beat, epoch=epoch)))
            assert moved(handed) == (expected if phase is Phase.STANDBY else vain)
        proven = replace(state, peer=replace(state.peer, proven=True))
        assert moved(proven) == (Phase.IMPORTING, Code.CLAIM_PROVEN)
    alone = seen(replace(now(Phase.CLAIMING), **over), hold=Hold.OURS)
    assert moved(replace(alone, peer=replace(alone.peer, beat=None))) == vain


def test_a_claim_that_would_wait_in_vain_is_not_begun() -> None:
    """Not even on request: it would take the disks from a serving peer, and end without an import."""
    vain = seen(heard(now(Phase.STANDBY), SILENT, SILENT), unguarded=True)
    assert moved(vain) == STAYS
    forced = step(vain, Asked(Request.FORCE), NOW_MS)
    assert forced.phase is Phase.STANDBY and forced.refused is not None and forced.refused.code is Code.CLAIM_UNARMED
    assert moved(seen(vain, unguarded=False))[0] is Phase.CLAIMING
    proven = replace(vain, peer=replace(vain.peer, proven=True, dead=True))
    assert moved(proven) == (Phase.CLAIMING, Code.PEER_DEAD)


def test_a_claim_is_later_than_every_epoch_ever_seen() -> None:
    after = step(replace(heard(now(Phase.STANDBY), SILENT, SILENT), highest=41), Tick(), NOW_MS)
    assert (after.epoch, after.highest) == (42, 42)


POLICY = policy_digest(PAIR)
RESETS_MS = PAIR.limits.resets_window_ms
FORBIDS = {
    "disabled": (replace(now(Phase.ACTIVE), orders=replace(PAIR, enabled=False, generation=2)), Code.DISABLED),
    "disabled there": (now(Phase.ACTIVE, generation=2, enabled=False), Code.DISABLED),
    "maintenance": (replace(now(Phase.ACTIVE), maintenance_ms=NOW_MS + 1), Code.MAINTENANCE),
    "resets": (replace(now(Phase.ACTIVE), held_back_ms=NOW_MS - RESETS_MS + 1), Code.HELD_BACK),
    "moves": (replace(now(Phase.ACTIVE), moves_ms=(NOW_MS,) * PAIR.limits.moves), Code.BUDGET),
    "contradiction": (now(Phase.ACTIVE, digest=1, policy=1), Code.CONTRADICTION),
    "contradiction about the shelf": (now(Phase.ACTIVE, digest=1, policy=POLICY, shelf=1), Code.CONTRADICTION),
    "contradiction with the first release, shelf": (now(Phase.ACTIVE, digest=1, shelf=1), Code.CONTRADICTION),
    "contradiction with the first release, enabled": (now(Phase.ACTIVE, digest=1, enabled=False), Code.CONTRADICTION),
    "shelf": (now(Phase.ACTIVE, generation=2, shelf=1), Code.SHELF_DIFFERS),
    "same role": (now(Phase.ACTIVE, phase=Phase.ACTIVE), Code.SAME_ROLE),
}
ALLOWS = {
    "nothing": now(Phase.ACTIVE),
    "older orders disable there": now(Phase.ACTIVE, generation=0, enabled=False),
    "maintenance over": replace(now(Phase.ACTIVE), maintenance_ms=NOW_MS),
    "resets long ago": replace(now(Phase.ACTIVE), held_back_ms=NOW_MS - RESETS_MS),
    "one move left": replace(now(Phase.ACTIVE), moves_ms=(NOW_MS,) * (PAIR.limits.moves - 1)),
    "moves long ago": replace(now(Phase.ACTIVE), moves_ms=(NOW_MS - PAIR.limits.moves_window_ms,) * 9),
    "other derived limits": now(Phase.ACTIVE, digest=1, policy=POLICY),
    "another digest of the first release": now(Phase.ACTIVE, digest=1),
    "newer orders, same shelf": now(Phase.ACTIVE, generation=2),
    "the peer was active once": heard(now(Phase.ACTIVE, phase=Phase.ACTIVE), SILENT, SILENT),
}


@pytest.mark.parametrize(("state", "code"), FORBIDS.values(), ids=FORBIDS)
def test_a_reason_to_stay_still(state: State, code: Code) -> None:
    assert [decision.code for decision in forbidden(state, NOW_MS)] == [code]


@pytest.mark.parametrize("state", ALLOWS.values(), ids=ALLOWS)
def test_no_reason_to_stay_still(state: State) -> None:
    assert not forbidden(state, NOW_MS)


def test_the_end_of_the_peer_is_waited_for_by_the_longer_of_both_limits() -> None:
    own_ms = T.proof_ms + T.deadman_ms
    for said_ms, waited_ms in ((0, own_ms), (own_ms - 1, own_ms), (own_ms + 500, own_ms + 500)):
        assert wait_ms(now(Phase.CLAIMING, lives_ms=said_ms)) == waited_ms
    assert wait_ms(standing(Phase.CLAIMING)) == own_ms


def test_moves_are_counted_and_outlive_a_restart() -> None:
    after = step(heard(now(Phase.STANDBY), SILENT, SILENT), Tick(), NOW_MS)
    assert after.moves_ms == (NOW_MS,)
    assert step(now(Phase.STANDBY, handed=True, phase=Phase.RELEASING), Tick(), NOW_MS).moves_ms == ()
    assert initial(replace(PAIR, limits=Limits(moves=2)), 1, 7, moves_recent=9).moves_ms == (7, 7)
    assert initial(PAIR, 1, 7, resets_recent=PAIR.limits.resets).held_back_ms == 7
    assert initial(PAIR, 1, 7, resets_recent=PAIR.limits.resets - 1).held_back_ms is None


def strict(state: State) -> State:
    """The same with strict orders."""
    return replace(state, orders=replace(state.orders, strict=True, generation=2))


def test_with_strict_orders_clients_wait_until_the_old_active_is_surely_silent() -> None:
    silent = heard(now(Phase.STANDBY), SILENT, SILENT)
    assert step(silent, Tick(), NOW_MS).answer_ms is None
    claimed = step(strict(silent), Tick(), NOW_MS)
    assert claimed.answer_ms == NOW_MS + wait_ms(claimed)
    proven = replace(now(Phase.STANDBY), peer=replace(now(Phase.STANDBY).peer, dead=True))
    assert step(strict(proven), Tick(), NOW_MS).answer_ms is None
    said = replace(proven, peer=replace(proven.peer, beat=replace(BEAT, dying=True)))
    assert step(strict(said), Tick(), NOW_MS).answer_ms == NOW_MS + wait_ms(claimed)


def test_the_wait_counts_from_the_fence_and_starts_again_with_the_daemon() -> None:
    ended = replace(strict(now(Phase.CLAIMING)), since_ms=NOW_MS - 1, fence=Fence.HOLDS, fenced_ms=NOW_MS, answer_ms=5)
    assert step(ended, Tick(), NOW_MS).answer_ms == NOW_MS + wait_ms(ended)
    again = replace(strict(now(Phase.BOOTING, Presence.ALL)), memory=Memory(Phase.ACTIVE, 1, quiet=True))
    assert step(again, Tick(), NOW_MS).answer_ms == NOW_MS + wait_ms(again)
