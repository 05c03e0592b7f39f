"""One step of the core: an event updates the state, the phase decides, and at most one transition follows.

Level-triggered: a decision follows from the whole state and never from the last event alone, so no order of events can
lose a decision. Reads no clock: `now_ms` comes from a monotonic clock and only rises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from reconciler.core.failover.heartbeats.twins import listening
from reconciler.core.failover.machine.boot import booting
from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.event_effects import apply_event, wake
from reconciler.core.failover.machine.events import Asked, Event, Presence, Request
from reconciler.core.failover.machine.finished_claim import claiming, wait_ms
from reconciler.core.failover.machine.inhibitors import exhausted, other_unit, recent, twin_here
from reconciler.core.failover.machine.owner import active, importing, released, releasing, switchover_refused
from reconciler.core.failover.machine.pending_orders import follow_owner
from reconciler.core.failover.machine.phase import GUARANTEES, LEGAL, Phase
from reconciler.core.failover.machine.preference import ready
from reconciler.core.failover.machine.standby import ends_without_import, standby
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.transition import Move
from reconciler.core.failover.reservations.key import next_epoch
from reconciler.core.failover.reservations.reservation_state import Hold

#: Reasons of a claim for pools that the peer owned until now.
TAKING = (Code.HANDED, Code.PEER_DEAD, Code.PEER_SILENT)


def step(state: State, event: Event, now_ms: int) -> State:
    """Return the state after `event` at `now_ms`. Pure; asserts that every transition is legal."""
    now_ms = max(now_ms, state.now_ms)
    if state.phase is Phase.HALTED:
        return replace(state, now_ms=now_ms)
    state = replace(wake(state, now_ms), now_ms=now_ms)
    state = follow_owner(apply_event(state, event, now_ms), now_ms)
    asked = event.request if isinstance(event, Asked) else None
    if isinstance(event, Asked):
        state = _answer(state, event, now_ms)
    if state.phase is Phase.RELEASING and state.handed_ms is None and released(state):
        state = replace(state, handed_ms=now_ms)
    move = decide(state, now_ms, asked)
    return enter(state, move, now_ms) if move is not None else state


def decide(state: State, now_ms: int, asked: Request | None) -> Move | None:
    """Return the move that the rules of the current phase ask for; None to stay."""
    match state.phase:
        case Phase.BOOTING:
            return booting(state, now_ms)
        case Phase.STANDBY:
            return standby(state, now_ms, asked)
        case Phase.CLAIMING:
            return claiming(state, now_ms)
        case Phase.IMPORTING:
            return importing(state, now_ms)
        case Phase.ACTIVE:
            return active(state, now_ms, asked)
        case Phase.RELEASING:
            return releasing(state, now_ms, asked)
        case Phase.HALTED:
            return None
        case _:
            assert_never(state.phase)


def enter(state: State, move: Move, now_ms: int) -> State:
    """Make one transition. Reset the fields that belong to a phase, and set those that the transition decides."""
    assert (state.phase, move.to) in LEGAL, f"{state.phase.name} -> {move.to.name} is not legal"
    old, timers, fenced_ms, memory = state.phase, state.orders.timers, state.fenced_ms, state.memory
    state = replace(
        state,
        phase=move.to,
        since_ms=now_ms,
        memory=None,
        fence=None,
        fenced_ms=None,
        handed_ms=None,
        handed_over=move.code is Code.HANDED,
        unimportable=move.code is Code.IMPORT_REFUSED,
        taken=move.code in TAKING if move.to is Phase.CLAIMING else state.taken,
        voluntary=move.code is Code.ASKED,
        excused=state.looks.out if old is Phase.ACTIVE else state.excused,
        looks=replace(state.looks, still_ms=None, used=False, ended=False),
        why=Decision(move.code, move.evidence),
    )
    if move.code is Code.RELEASE_GIVEN_UP:
        # The operator who asked for the switchover waits for its outcome.
        state = replace(state, refused=state.why)
    if move.automatic and state.orders.limits.moves:
        window_ms = state.orders.limits.moves_window_ms
        state = replace(state, moves_ms=(*recent(state.moves_ms, window_ms, now_ms), now_ms))
    if move.to is Phase.IMPORTING and old is not Phase.CLAIMING:
        state = replace(state, looks=replace(state.looks, covered=False))
    match move.to:
        case Phase.CLAIMING:
            assert not other_unit(state), "a claim by another unit"
            assert not twin_here(state, now_ms) and not listening(state, now_ms), "a claim beside another machine"
            epoch = next_epoch(state.highest, state.orders.pair, state.machine)
            state = replace(state, epoch=epoch, highest=epoch, held=frozenset())
            return replace(state, answer_ms=_answer_ms(state, move.code, now_ms))
        case Phase.STANDBY:
            retry_ms = now_ms + timers.retry_ms if old is not Phase.BOOTING else None
            state = replace(state, epoch=0, held=frozenset(), missing=())
            return replace(state, retry_ms=retry_ms, looks=replace(state.looks, hold=Hold.UNKNOWN))
        case Phase.IMPORTING | Phase.ACTIVE if memory is not None and memory.quiet:
            # The rest of the wait when the daemon died is unknown, so the wait starts again.
            return replace(state, answer_ms=now_ms + wait_ms(state))
        case Phase.IMPORTING if old is Phase.CLAIMING and state.answer_ms is not None and fenced_ms is not None:
            # The old owner could prove its reservation until the fence, however long the claim took.
            return replace(state, answer_ms=fenced_ms + wait_ms(state))
        case Phase.IMPORTING if old is Phase.RELEASING:
            return replace(state, retry_ms=now_ms + timers.again_ms)
        case _:
            return state


def _answer_ms(state: State, code: Code, now_ms: int) -> int | None:
    """Return when the addresses may come up. None: at once. Strict orders and no proof: after the peer's deadman."""
    beat = state.peer.beat
    said = state.peer.dead and not state.peer.proven and beat is not None and beat.dying
    sure = code is Code.HANDED or (code is Code.PEER_DEAD and not said)
    return now_ms + wait_ms(state) if state.orders.strict and not sure else None


def _answer(state: State, asked: Asked, now_ms: int) -> State:
    """Judge a request at once and keep a refusal in `refused`. The phase acts on a request that is not refused."""
    match asked.request:
        case Request.SWITCHOVER:
            code = switchover_refused(state, now_ms)
        case Request.FORCE:
            code = _force_refused(state, now_ms)
        case Request.MAINTENANCE:
            duration_ms = max(0, min(asked.duration_ms, state.orders.timers.maintenance_ms))
            return replace(state, maintenance_ms=now_ms + duration_ms, refused=None)
        case Request.RELENT:
            return replace(state, maintenance_ms=None, held_back_ms=None, refused=None)
        case _:
            assert_never(asked.request)
    return replace(state, refused=None if code is None else Decision(code))


def _force_refused(state: State, now_ms: int) -> Code | None:
    if state.phase is Phase.RELEASING and released(state):
        return None
    if state.phase is not Phase.STANDBY:
        return Code.NOT_STANDBY
    if exhausted(state):
        return Code.EPOCHS_EXHAUSTED
    if twin_here(state, now_ms):
        return Code.TWIN
    if other_unit(state):
        return Code.OTHER_UNIT
    if ready(state, now_ms):
        return Code.CLAIM_UNARMED if ends_without_import(state) else None
    seen = state.looks.shelf_ms is not None and state.looks.pools is not Presence.UNKNOWN
    return Code.NO_DISKS if seen and not state.looks.sees else Code.NOT_READY


def required(state: State) -> bool:
    """Whether losing the reservation ends the current phase."""
    return GUARANTEES[state.phase].required
