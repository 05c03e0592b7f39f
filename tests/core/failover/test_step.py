"""One step in every phase with every event: a table that people read (step.txt), and invariants of any sequence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.events import (
    Asked,
    ClaimEnded,
    Conflict,
    DeadmanSeen,
    Event,
    Heard,
    LinksSeen,
    NewOrders,
    PeerDied,
    PoolsSeen,
    Presence,
    RecordChanged,
    Request,
    SharesSeen,
    ShelfSeen,
    Tick,
    UnitSeen,
)
from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.phase import GUARANTEES, LEGAL, Phase
from reconciler.core.failover.machine.state import Looks, Memory, Peer, State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import digest, shelf_digest
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Hold
from reconciler.simulation.timed.stories import PAIR

MINE, PEERS = Key(Side.A, 3), Key(Side.B, 2)
NEWER = Key(Side.B, 4)


def beat(phase: Phase = Phase.STANDBY, **changes: object) -> Beat:
    """A beat of a healthy peer."""
    said = Beat(
        Side.B, incarnation=1, counter=9, echo=1, phase=phase, epoch=2, sees=True, able=phase is Phase.STANDBY,
        generation=PAIR.generation, digest=digest(PAIR), shelf=shelf_digest(PAIR),
    )  # fmt: skip
    return replace(said, **changes)  # type: ignore[arg-type]


def views(key: Key | None) -> tuple[DiskView, ...]:
    """Every disk held by one key."""
    return (DiskView(True, key, frozenset() if key is None else frozenset({key})),) * len(PAIR.disks)


def standing(phase: Phase) -> State:
    """A controller in a phase, in its usual state there, with a healthy standby peer."""
    required = GUARANTEES[phase].required
    pools = {Phase.IMPORTING: Presence.SOME, Phase.ACTIVE: Presence.ALL, Phase.RELEASING: Presence.ALL}.get(
        phase, Presence.NONE
    )
    owner = MINE if required else PEERS
    hold = Hold.OURS if required else Hold.UNKNOWN
    state = initial(PAIR, 1, 0, Memory(Phase.ACTIVE, 3) if phase is Phase.BOOTING else None)
    return replace(
        state,
        phase=phase,
        epoch=3 if required or phase in (Phase.CLAIMING, Phase.BOOTING) else 0,
        highest=3,
        looks=Looks(hold, owner, sees=True, shelf_ms=0, proved_ms=0, pools=pools)
        if phase is not Phase.BOOTING
        else Looks(),
        peer=Peer((0, 0, 0), ((1, 1), (1, 1), (1, 1)), beat(), 1, ever=True, lately=True),
    )


#: What can happen, by name: the event, and when it comes (milliseconds after the last).
EVENTS: dict[str, tuple[Event, int]] = {
    "time passes": (Tick(), 1),
    "a long time passes": (Tick(), 120_000),
    "peer standby": (Heard(0, beat()), 1),
    "peer active": (Heard(0, beat(Phase.ACTIVE)), 1),
    "peer has released": (Heard(0, beat(Phase.RELEASING, handed=True)), 1),
    "peer halted": (Heard(0, beat(Phase.HALTED, dying=True)), 1),
    "peer's old beat": (Heard(0, beat(Phase.HALTED, counter=1)), 1),
    "an echo of ourselves": (Heard(0, replace(beat(Phase.HALTED), side=Side.A)), 1),
    "disks ours": (ShelfSeen(views(MINE)), 1),
    "undecodable record": (RecordChanged(), 1),
    "disks the peer's, older": (ShelfSeen(views(PEERS)), 1),
    "disks the peer's, newer": (ShelfSeen(views(NEWER)), 1),
    "disks free": (ShelfSeen(views(None)), 1),
    "disks silent": (ShelfSeen((UNANSWERED,) * len(PAIR.disks)), 1),
    "no pool": (PoolsSeen(Presence.NONE), 1),
    "some pools": (PoolsSeen(Presence.SOME), 1),
    "all pools": (PoolsSeen(Presence.ALL), 1),
    "import refused": (PoolsSeen(Presence.REFUSED), 1),
    "pools hang": (PoolsSeen(Presence.HUNG), 1),
    "shares served": (SharesSeen(served=True, stopped=False), 1),
    "servers on their way": (SharesSeen(served=False, stopped=False), 1),
    "servers stopped": (SharesSeen(served=False, stopped=True), 1),
    "group down": (LinksSeen(frozenset()), 1),
    "group up": (LinksSeen(frozenset({"net0"})), 1),
    "claim won": (ClaimEnded(3, views(MINE)), 1),
    "claim lost": (ClaimEnded(3, views(NEWER)), 1),
    "claim of another epoch": (ClaimEnded(2, views(Key(Side.A, 2))), 1),
    "a write is refused": (Conflict(), 1),
    "peer proven dead": (PeerDied("power controller"), 1),
    "no deadman": (DeadmanSeen(False), 1),
    "another unit": (UnitSeen(Decision(Code.OTHER_UNIT)), 1),
    "switchover asked": (Asked(Request.SWITCHOVER), 1),
    "force asked": (Asked(Request.FORCE), 1),
    "maintenance asked": (Asked(Request.MAINTENANCE, 60_000), 1),
    "relent asked": (Asked(Request.RELENT), 1),
    "newer orders": (NewOrders(replace(PAIR, generation=2, enabled=False)), 1),
    "older orders": (NewOrders(replace(PAIR, generation=0)), 1),
}


def test_every_kind_of_event_and_request_is_in_the_table() -> None:
    kinds = {type(event) for event, _ in EVENTS.values()}
    assert kinds == set(Event.__args__)  # type: ignore[attr-defined]
    asked = {event.request for event, _ in EVENTS.values() if isinstance(event, Asked)}
    assert asked == set(Request)


def test_table(golden: Callable[[Path, str], None]) -> None:
    lines = []
    for phase in Phase:
        for name, (event, later_ms) in EVENTS.items():
            after = step(standing(phase), event, later_ms)
            moved = f"{after.phase.name:<10} {after.why}" if after.phase is not phase else "stays"
            refused = f" refused: {after.refused}" if after.refused else ""
            lines.append(f"{phase.name:<10} {name:<24} {moved}{refused}".rstrip())
    golden(Path(__file__).with_name("step.txt"), "\n".join(lines) + "\n")


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("name", EVENTS)
def test_a_step_is_legal_pure_and_explained(phase: Phase, name: str) -> None:
    event, later_ms = EVENTS[name]
    before = standing(phase)
    after = step(before, event, later_ms)
    assert after == step(before, event, later_ms)
    assert before == standing(phase)
    assert after.phase is phase or (phase, after.phase) in LEGAL
    assert after.phase is phase or after.why.code is not Code.STARTED


@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 3_000)), max_size=60))
def test_any_sequence_keeps_the_laws(happenings: list[tuple[str, int]]) -> None:
    """The claim is the only way to pools; a lost reservation is never owned again; HALTED is the end."""
    state, now_ms = initial(PAIR, 1, 0), 0
    for name, later_ms in happenings:
        before, now_ms = state, now_ms + later_ms
        state = step(before, EVENTS[name][0], now_ms)
        if before.phase is Phase.HALTED:
            assert state.phase is Phase.HALTED
        if GUARANTEES[state.phase].required and not GUARANTEES[before.phase].required:
            assert before.phase is Phase.CLAIMING
            assert state.looks.hold is Hold.OURS
        if GUARANTEES[before.phase].required and before.looks.hold is Hold.LOST:
            assert not GUARANTEES[state.phase].required or state.looks.hold is Hold.LOST
        if state.phase is Phase.CLAIMING and before.phase is not Phase.CLAIMING:
            assert state.epoch > before.highest
        assert outputs(state).feed is False or state.phase is not Phase.HALTED


@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(-5_000, 3_000)), max_size=30))
def test_a_clock_that_goes_back_stands_still(happenings: list[tuple[str, int]]) -> None:
    state, now_ms = initial(PAIR, 1, 0), 0
    for name, later_ms in happenings:
        now_ms += later_ms
        before = state
        state = step(state, EVENTS[name][0], now_ms)
        assert state.now_ms == max(before.now_ms, now_ms)
