"""CLAIMING: what a finished claim allows. The look that the claim took last is judged here, not by whoever claimed.

A disk that could not be fenced, and that the peer had given up, must not be written by the peer any more when the
import begins. Time alone proves that only where a hardware watchdog resets the peer. The invariant: *a wait ends in an
import only if the peer said that its deadman is armed, if it is proven dead, or if it had exported its pools before the
claim and says after it that it stands by*. That a peer which was fenced stands by proves nothing: a machine that no
hardware watchdog resets may have written to such a disk until it booted.

Does not know the commands of a claim (`claim` does).
"""

from __future__ import annotations

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.transition import Move
from reconciler.core.failover.reservations.key import rank
from reconciler.core.failover.reservations.reservation_state import Fence, Hold


def claiming(state: State, now_ms: int) -> Move | None:
    """Import, go back, or halt; None while the claim runs or is waited out."""
    timers, looks = state.orders.timers, state.looks
    if looks.pools in (Presence.SOME, Presence.ALL):
        return Move(Phase.HALTED, Code.FOREIGN_IMPORT)
    waiting = state.fence is Fence.WAIT and looks.hold is not Hold.LOST
    limit_ms = timers.claim_ms + (wait_ms(state) if waiting else 0)
    # A wait that had to begin anew is given its time.
    begun_ms = state.fenced_ms if waiting and state.fenced_ms is not None else state.since_ms
    if now_ms - begun_ms >= limit_ms:
        return Move(Phase.HALTED, Code.CLAIM_HUNG)
    if state.fence is None:
        return None
    if state.fence is Fence.BROKEN or looks.hold is Hold.LOST:
        return Move(Phase.STANDBY, Code.CLAIM_LOST, ", ".join(state.unfenced))
    if looks.hold is not Hold.OURS:
        return None
    if state.fence is Fence.HOLDS:
        return Move(Phase.IMPORTING, Code.CLAIM_VERIFIED)
    assert state.fenced_ms is not None
    if state.peer.proven:
        return Move(Phase.IMPORTING, Code.CLAIM_PROVEN)
    if now_ms - state.fenced_ms < wait_ms(state):
        return None
    if guarded(state) or (state.handed_over and gave_way(state)):
        return Move(Phase.IMPORTING, Code.CLAIM_WAITED)
    return Move(Phase.STANDBY, Code.CLAIM_UNARMED)


def guarded(state: State) -> bool:
    """Whether a peer that hangs is reset by its hardware watchdog, as its newest heartbeat says."""
    return state.peer.beat is not None and state.peer.beat.guarded


def gave_way(state: State) -> bool:
    """Whether the peer says that it stands by and knows of our claim: to import it would have to claim again."""
    beat = state.peer.beat
    return beat is not None and beat.phase is Phase.STANDBY and rank(beat.epoch) >= rank(state.epoch)


def wait_ms(state: State) -> int:
    """How long a peer that lost the majority may still run: until it cannot prove it, and its deadman.

    By its own word where that is longer: a peer of another release may derive other limits from the same configuration.
    """
    timers, beat = state.orders.timers, state.peer.beat
    said_ms = beat.lives_ms if beat is not None else 0
    return max(timers.proof_ms + timers.deadman_ms, state.waits_ms, said_ms)


def feeds_ms(state: State) -> int:
    """After which time without food the deadman of this controller is to reset it.

    Never so short that the orders' own pauses would: a healthy controller is fed that seldom.
    """
    timers = state.orders.timers
    floor_ms = timers.beat_ms + timers.pause_ms + 1_000
    return min(timers.deadman_ms, max(floor_ms, state.feeds_ms or timers.deadman_ms))


def lives_ms(state: State) -> int:
    """How long this controller may go on without proof of its reservation."""
    return min(state.orders.timers.proof_ms, state.lives_ms or state.orders.timers.proof_ms)
