"""Agreed limits: the time limits that both controllers rely on, and how they outlive a daemon.

The invariant (`failure_detector.agreed`): *no controller lives longer without proof, its deadman included, than the
other one waits*. A daemon that restarts does not know yet which orders its peer has. So it keeps the limits that were
in force before it. If there are none, it keeps the limits that every release respects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.failover.machine.finished_claim import feeds_ms, lives_ms, wait_ms
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import least_proof_ms


@dataclass(frozen=True, slots=True)
class Agreement:
    """The limits in force, in ms: time without proof, time-out of the deadman, and the wait for the end of the peer."""

    lives_ms: int
    feeds_ms: int
    waits_ms: int


def agreement(state: State) -> Agreement:
    """Return the limits in force now. The wait lasts at least as long as the peer reports that it may live."""
    return Agreement(lives_ms(state), feeds_ms(state), wait_ms(state))


def with_agreement(state: State, kept: Agreement | None) -> State:
    """Return the state of a starting daemon with the limits in force before it. `kept` None: no limits are known."""
    timers = state.orders.timers
    if kept is None:
        kept = Agreement(least_proof_ms(timers), timers.deadman_ms, 0)
    return replace(
        state,
        lives_ms=kept.lives_ms if kept.lives_ms < timers.proof_ms else 0,
        feeds_ms=kept.feeds_ms if kept.feeds_ms < timers.deadman_ms else 0,
        waits_ms=kept.waits_ms if kept.waits_ms > timers.proof_ms + timers.deadman_ms else 0,
    )
