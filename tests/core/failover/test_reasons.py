"""Reasons: every one that holds appears, none hides another, and a healthy pair has none."""

from dataclasses import replace

import pytest

from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.events import Asked, PoolsSeen, Presence, Request
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.reasons import reasons
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Limits, VirtualAddress, digest, policy_digest
from reconciler.core.failover.reservations.key import EPOCH_MAX
from reconciler.core.failover.reservations.reservation_state import Hold
from tests.core.failover.test_step import beat, standing

HEALTHY = replace(
    standing(Phase.ACTIVE),
    orders=replace(standing(Phase.ACTIVE).orders, addresses=(VirtualAddress("net0", "10.0.0.10/24", 20),)),
)


def healthy(**changes: object) -> State:
    """An active controller without any reason, and then something changed."""
    peer = replace(HEALTHY.peer, beat=beat(digest=digest(HEALTHY.orders), policy=policy_digest(HEALTHY.orders)))
    return replace(replace(HEALTHY, peer=peer), **changes)  # type: ignore[arg-type]


def names(state: State, now_ms: int = 1) -> set[str]:
    return {reason.name for reason in reasons(state, now_ms)}


def said(state: State, **changes: object) -> State:
    """The same, with another beat of the peer."""
    assert state.peer.beat is not None
    return replace(state, peer=replace(state.peer, beat=replace(state.peer.beat, **changes)))  # type: ignore[arg-type]


def looked(state: State, **changes: object) -> State:
    return replace(state, looks=replace(state.looks, **changes))  # type: ignore[arg-type]


def test_a_healthy_pair_has_no_reason() -> None:
    assert reasons(healthy(), 1) == ()


@pytest.mark.parametrize(
    ("name", "state", "now_ms"),
    [
        ("NO_FAILOVER", healthy(orders=replace(HEALTHY.orders, enabled=False)), 1),
        ("NO_FAILOVER", said(healthy(), generation=2, enabled=False), 1),
        ("ORDERS_CONTRADICT", said(healthy(), digest=1, policy=1), 1),
        ("MISMATCH_DISKS", said(healthy(), generation=2, shelf=1), 1),
        ("ORDERS_DIFFER", said(healthy(), generation=0), 1),
        ("EPOCH_REFUSED", said(healthy(), epoch=EPOCH_MAX), 1),
        ("PEER_UNGUARDED", said(healthy(), armed=False), 1),
        ("PEER_UNGUARDED", said(healthy(), policy=0), 1),
        ("UNFENCED", looked(healthy(phase=Phase.STANDBY), unguarded=True), 1),
        ("UNFENCED", healthy(phase=Phase.STANDBY, why=Decision(Code.CLAIM_UNARMED)), 1),
        ("EPOCHS_EXHAUSTED", healthy(highest=EPOCH_MAX), 1),
        ("MAINTENANCE", step(healthy(), Asked(Request.MAINTENANCE, 60_000), 1), 2),
        ("HELD_BACK", healthy(held_back_ms=0), 1),
        ("FLAPPING", healthy(orders=replace(HEALTHY.orders, limits=Limits(moves=1)), moves_ms=(0,)), 1),
        ("ORDERS_UNSAFE", healthy(orders=replace(HEALTHY.orders, arbitration=(0, 2))), 1),
        ("NO_CRITICAL_INTERFACES", healthy(orders=replace(HEALTHY.orders, groups=())), 1),
        ("NO_VIP", healthy(orders=replace(HEALTHY.orders, addresses=())), 1),
        ("LOC_NOT_READY", healthy(phase=Phase.BOOTING), 1),
        ("LOC_HALTED", healthy(phase=Phase.HALTED), 1),
        ("LOC_FAILOVER_ONGOING", healthy(phase=Phase.IMPORTING), 1),
        ("IMPORT_SLOW", looked(healthy(phase=Phase.IMPORTING), pools=Presence.SOME, still_ms=59_000), 60_000),
        ("EXPORT_SLOW", looked(healthy(phase=Phase.RELEASING), pools=Presence.SOME, still_ms=4_000), 5_000),
        ("EXPORT_IN_USE", looked(healthy(phase=Phase.RELEASING), pools=Presence.SOME, used=True), 4_000),
        ("SHARES_LATE", looked(healthy(), served=False), 1),
        ("SHARES_UNSERVED", looked(healthy(), served=False), 10_000),
        ("SHARES_NOT_STOPPED", looked(healthy(phase=Phase.STANDBY), stopped=False), 1),
        ("SWITCHOVER_GIVEN_UP", healthy(refused=Decision(Code.RELEASE_GIVEN_UP), retry_ms=2), 1),
        ("NO_FENCED", looked(healthy(), hold=Hold.UNKNOWN), 1),
        ("NO_VOLUME", looked(healthy(), pools=Presence.HUNG), 1),
        ("NO_DISKS", looked(healthy(), sees=False), 1),
        ("POOLS_UNKNOWN", step(standing(Phase.STANDBY), PoolsSeen(Presence.HUNG), 1), 1),
        ("GROUP_DOWN", looked(healthy(), groups_down=frozenset({1})), 1),
        ("DISKS_OUT", looked(healthy(), out=frozenset({0})), 1),
        ("WOKE_LATE", looked(healthy(), woke=True), 1),
        ("NO_HEARTBEAT", healthy(), 1_000),
        ("NO_PONG", healthy(), 1_000),
        ("NO_PONG", healthy(peer=replace(HEALTHY.peer, ever=False)), 1),
        ("ISOLATED", healthy(), 1_000),
        ("STALE_RECORD", replace(said(healthy(), phase=Phase.ACTIVE),
                                 peer=replace(HEALTHY.peer, beat=beat(Phase.ACTIVE), heard_ms=(1_600, 1_600, 0)),
                                 looks=replace(HEALTHY.looks, shelf_ms=1_600)), 1_600),
        ("DISAGREE_VIP", said(healthy(), phase=Phase.ACTIVE), 1),
        ("REM_DEAD", healthy(peer=replace(HEALTHY.peer, dead=True)), 1),
        ("NO_SYSTEM_READY", said(healthy(), phase=Phase.BOOTING), 1),
        ("REM_FAILOVER_ONGOING", said(healthy(), phase=Phase.IMPORTING), 1),
        ("NO_OWNER", standing(Phase.STANDBY), 1),
        ("REM_NOT_ABLE", said(healthy(), able=False), 1),
        ("REM_NO_DISKS", said(healthy(), sees=False), 1),
        ("REM_GROUP_DOWN", said(healthy(), groups_down=frozenset({1})), 1),
    ],
)  # fmt: skip
def test_reason(name: str, state: State, now_ms: int) -> None:
    assert name in names(state, now_ms)
    reason = next(one for one in reasons(state, now_ms) if one.name == name)
    assert reason.text
    assert reason.remedy


def test_an_active_controller_misses_a_standby_on_every_channel() -> None:
    """A standby sends no CARP advertisement, but its beats on that channel count."""
    deaf = healthy(peer=replace(HEALTHY.peer, beat=healthy().peer.beat, heard_ms=(1_000, 0, 1_000)))
    assert [reason.text for reason in reasons(deaf, 1_000)] == ["the peer is not heard on net0"]


def test_what_is_known_of_the_peers_deadman_is_said() -> None:
    for changes, words in (({"armed": False}, "says that no hardware watchdog"), ({"policy": 0}, "does not say")):
        (reason,) = reasons(said(healthy(), **changes), 1)
        assert words in reason.evidence
    for phase in (Phase.BOOTING, Phase.HALTED):
        assert "PEER_UNGUARDED" not in names(said(healthy(), armed=False, phase=phase)), "it is not fed there"


def test_no_reason_hides_another() -> None:
    state = said(
        looked(healthy(held_back_ms=0), groups_down=frozenset({1}), out=frozenset({2})), sees=False, digest=1, policy=1
    )
    assert names(state) >= {"HELD_BACK", "GROUP_DOWN", "DISKS_OUT", "REM_NO_DISKS", "ORDERS_CONTRADICT"}
