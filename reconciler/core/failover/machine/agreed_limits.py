"""What both controllers may count on of each other's limits, and what of that outlives a daemon.

The invariant (`detector.agreed`): *nobody lives longer without proof, its deadman included, than the other one waits*.
A daemon that starts again does not know yet which orders its peer has. So it goes on by what was in force before it,
and one that was left nothing goes on by what every release keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.failover.machine.finished_claim import feeds_ms, lives_ms, wait_ms
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import least_proof_ms


@dataclass(frozen=True, slots=True)
class Agreement:
    """The limits that were in force: time without proof, deadman, and the wait for the end of the peer."""

    lives_ms: int
    feeds_ms: int
    waits_ms: int


def agreement(state: State) -> Agreement:
    """The limits in force now. The wait is as long as the peer has said that it may live."""
    return Agreement(lives_ms(state), feeds_ms(state), wait_ms(state))


def with_agreement(state: State, kept: Agreement | None) -> State:
    """The state of a daemon that starts, with the limits that were in force before; None: nobody knows of any."""
    timers = state.orders.timers
    if kept is None:
        kept = Agreement(least_proof_ms(timers), timers.deadman_ms, 0)
    return replace(
        state,
        lives_ms=kept.lives_ms if kept.lives_ms < timers.proof_ms else 0,
        feeds_ms=kept.feeds_ms if kept.feeds_ms < timers.deadman_ms else 0,
        waits_ms=kept.waits_ms if kept.waits_ms > timers.proof_ms + timers.deadman_ms else 0,
    )
