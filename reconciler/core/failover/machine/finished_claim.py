"""CLAIMING: judge a finished claim by its last look, and decide between import, standby and halt.

The peer may have given up a disk that the claim could not fence. The peer must no longer write to such a disk when the
import begins. Time alone proves that only if a hardware watchdog resets the peer. The invariant: *a wait ends in an
import only if the peer said that its deadman is armed, if it is proven dead, or if it had exported its pools before the
claim and reports after it that it is standby*. A standby report of a peer that was fenced proves nothing: without a
hardware watchdog it may have written to such a disk until it rebooted.

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
    """Return the move to import, standby or halt; None while the claim runs or waits for the peer's deadman."""
    timers, looks = state.orders.timers, state.looks
    if looks.pools in (Presence.SOME, Presence.ALL):
        return Move(Phase.HALTED, Code.FOREIGN_IMPORT)
    waiting = state.fence is Fence.WAIT and looks.hold is not Hold.LOST
    limit_ms = timers.claim_ms + (wait_ms(state) if waiting else 0)
    # A wait that started again gets its full time.
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
    if guarded(state) or (state.handed_over and peer_yielded(state)):
        return Move(Phase.IMPORTING, Code.CLAIM_WAITED)
    return Move(Phase.STANDBY, Code.CLAIM_UNARMED)


def guarded(state: State) -> bool:
    """Whether the peer's newest heartbeat reports that a hardware watchdog resets it if it hangs."""
    return state.peer.beat is not None and state.peer.beat.guarded


def peer_yielded(state: State) -> bool:
    """Whether the peer reports that it is standby and knows our claim. To import it would have to claim again."""
    beat = state.peer.beat
    return beat is not None and beat.phase is Phase.STANDBY and rank(beat.epoch) >= rank(state.epoch)


def wait_ms(state: State) -> int:
    """Return how long, in ms, a peer that lost the majority may still run: its time without proof, plus its deadman.

    The peer's own heartbeat counts if it reports a longer time: a peer of another release may derive other limits from
    the same configuration.
    """
    timers, beat = state.orders.timers, state.peer.beat
    said_ms = beat.lives_ms if beat is not None else 0
    return max(timers.proof_ms + timers.deadman_ms, state.waits_ms, said_ms)


def feeds_ms(state: State) -> int:
    """Return the time-out of this controller's deadman in ms.

    It is never shorter than the pauses that the orders allow, because a healthy daemon may feed its deadman that late.
    """
    timers = state.orders.timers
    floor_ms = timers.beat_ms + timers.pause_ms + 1_000
    return min(timers.deadman_ms, max(floor_ms, state.feeds_ms or timers.deadman_ms))


def lives_ms(state: State) -> int:
    """Return how long, in ms, this controller may go on without proof of its reservation."""
    return min(state.orders.timers.proof_ms, state.lives_ms or state.orders.timers.proof_ms)
