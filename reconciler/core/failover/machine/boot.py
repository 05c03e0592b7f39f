"""BOOTING: judge, by the first looks, the state in which this daemon found the controller.

A daemon that restarts over imported pools resumes the phase of its predecessor. It does so only under the same
reservation under which the predecessor imported them. Takes no disk and no pool.
"""

from __future__ import annotations

from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.finished_claim import lives_ms
from reconciler.core.failover.machine.phase import GUARANTEES, Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.transition import Move
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import Hold


def booting(state: State, now_ms: int) -> Move | None:
    """Return the move out of BOOTING, or None to wait for more looks."""
    looks, memory = state.looks, state.memory
    if looks.pools in (Presence.NONE, Presence.REFUSED):
        return Move(Phase.STANDBY, Code.NOTHING_HERE)
    if looks.pools in (Presence.UNKNOWN, Presence.HUNG) and memory is None:
        return None
    if memory is None or not GUARANTEES[memory.phase].required:
        return Move(Phase.HALTED, Code.FOREIGN_IMPORT)
    if looks.hold is Hold.LOST:
        return Move(Phase.HALTED, Code.FENCED, looks.doubt)
    if looks.hold is Hold.OURS and looks.pools is not Presence.UNKNOWN:
        return Move(memory.phase, Code.RESUMED, f"{memory.phase} of epoch {Key(state.orders.side, memory.epoch).claim}")
    if now_ms - state.since_ms >= lives_ms(state):
        return Move(Phase.HALTED, Code.UNPROVEN, looks.doubt)
    return None
