"""STANDBY: decide whether to begin a claim, by a decision table, row by row.

A claim is the only irreversible act of a standby. Does not know the commands of a claim.
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.failure_detector import (
    ages,
    disk_alive,
    disk_stale,
    network_alive,
    network_silent,
    undecoded,
)
from reconciler.core.failover.heartbeats.twins import owner_unheard
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Presence, Request
from reconciler.core.failover.machine.inhibitors import exhausted, forbidden, other_unit, twin_here
from reconciler.core.failover.machine.phase import OWNING, Phase
from reconciler.core.failover.machine.preference import all_groups_down, preferred, ready, resting
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.transition import Move


def standby(state: State, now_ms: int, asked: Request | None) -> Move | None:
    """Return the move that begins a claim, or one that halts; None to stay."""
    if state.looks.pools in (Presence.SOME, Presence.ALL):
        return Move(Phase.HALTED, Code.FOREIGN_IMPORT)
    if not ready(state, now_ms) or exhausted(state) or twin_here(state, now_ms) or other_unit(state):
        return None
    without_import = ends_without_import(state)
    if without_import and asked is Request.FORCE:
        return None
    if asked is Request.FORCE:
        return Move(Phase.CLAIMING, Code.FORCED)
    if resting(state, now_ms) or forbidden(state, now_ms) or state.unit is not None:
        return None
    code = claim_reason(state, now_ms)
    if without_import and code is not Code.HANDED:
        return None
    return Move(Phase.CLAIMING, code, ages(state, now_ms), automatic=code is not Code.HANDED) if code else None


def ends_without_import(state: State) -> bool:
    """Whether a claim would take the disks from the peer and still end without an import (see `finished_claim`).

    A hand-over is no such case: a peer that has exported its pools reports after the claim that it is standby.
    """
    return state.looks.unguarded and not state.peer.proven


def claim_reason(state: State, now_ms: int) -> Code | None:
    """Return the row of the table that lets this controller claim now; None if no row does."""
    peer, beat = state.peer, state.peer.beat
    if peer.dead:
        return None if all_groups_down(state) else Code.PEER_DEAD
    if network_alive(state, now_ms):
        assert beat is not None
        if beat.handed:
            return Code.HANDED
        return None if beat.phase in OWNING else _election(state, now_ms)
    if undecoded(state, now_ms):
        # The peer lives. Its last readable beat is too old to count as a hand-over.
        return None
    if disk_alive(state, now_ms):
        # If no client reaches this controller either, taking over from a peer that no client reaches gains nothing.
        return Code.HANDED if beat is not None and beat.handed and not all_groups_down(state) else None
    if all_groups_down(state) or not network_silent(state, now_ms) or not disk_stale(state, now_ms):
        return None
    if peer.ever:
        return Code.PEER_SILENT
    return Code.PEER_ABSENT if now_ms - state.since_ms >= _quiet_ms(state) else None


def _quiet_ms(state: State) -> int:
    """Return how long, in ms, the peer must be silent after a start before this controller claims alone."""
    timers = state.orders.timers
    first = state.orders.default is state.orders.side
    return timers.boot_ms if first else timers.boot_ms + timers.yield_ms


def _election(state: State, now_ms: int) -> Code | None:
    """Choose who claims when both controllers are up and neither owns the pools; None: not this one now.

    A peer that stays in BOOTING counts as unable. The time counts from when the peer became unable, not from when this
    controller began to wait: a daemon that restarts over imported pools reports BOOTING for a moment.
    """
    beat, timers, owner = state.peer.beat, state.orders.timers, state.looks.owner
    assert beat is not None
    if owner is not None and owner.side is state.orders.side.other and owner.epoch > beat.epoch:
        # The disks show that the peer has claimed since its last beat. Its next beat will report it.
        return None
    if owner_unheard(state, now_ms):
        return None
    if beat.phase is Phase.STANDBY and preferred(state):
        return Code.NO_OWNER
    since_ms = state.peer.unable_ms
    unable = since_ms is not None and now_ms - max(since_ms, state.since_ms) >= timers.yield_ms
    return Code.PEER_UNABLE if unable else None
