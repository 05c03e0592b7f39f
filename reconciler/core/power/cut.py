"""When the power of the peer is cut without a person's word, and what an answer of its switch proves.

The decision stays where it was searched: in the failover core. A cut only follows a claim that the core began, and
only when the disks say that the claim is ours. So silence on the networks alone, with a disk record that moves on, cuts
no power; and of two controllers that claim at once only the one that got the majority of the arbitration disks cuts.

The invariant, asserted before each cut: *power is cut only by a controller that holds the majority of the arbitration
disks by a claim which began because the peer was silent everywhere, its disk record included, or had said itself that
it was dying under orders that wait for its end.* And never while its record changes, whether or not it can be decoded.
"""

from __future__ import annotations

from typing import Final

from reconciler.core.failover.heartbeats.failure_detector import disk_alive
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.orders.orders import Timers
from reconciler.core.failover.reservations.reservation_state import Hold

#: Number of consecutive signs of life that have to be missing.
MISSED: Final = 2
#: In these the claim is running, or has just been won.
CUTTING: Final = frozenset({Phase.CLAIMING, Phase.IMPORTING})


def cause(state: State, known: Code | None) -> Code | None:
    """Why the claim began that this state comes from; None outside a takeover. `known`: what it was before."""
    if state.phase is Phase.CLAIMING:
        return state.why.code
    return known if state.phase in (Phase.IMPORTING, Phase.ACTIVE) else None


def cuts(state: State, began: Code | None, *, proven: bool) -> bool:
    """Whether the peer's power is to be cut now. `began`: `cause`. `proven`: its switch has been proven off already.

    PEER_DEAD is the peer's own last word, unless proven: it resets itself then, and only strict orders do not take
    its word for that. A forced claim, a hand-over and an election cut no power.
    """
    silent = began is Code.PEER_SILENT and not disk_alive(state, state.now_ms)
    due = silent or (began is Code.PEER_DEAD and state.orders.strict)
    return due and not proven and state.phase in CUTTING and state.looks.hold is Hold.OURS and state.orders.enabled


def sign_of_life_since(state: State, moment_ms: int) -> bool:
    """Whether the peer gave a sign of life after this moment, on any network or by its disk record.

    A restart of silence detection counts as a sign of life: the time before it cannot be told from silence.
    `heard_since` of the failure detector is about networks only.
    """
    return max(state.peer.heard_ms) > moment_ms


def proves(state: State, now_ms: int) -> bool:
    """Whether "off", said by the switch a moment ago, means this peer: nothing is heard of it any more.

    An agent answers faster than a peer beats, and the switch of another machine says off just as well. What has to be
    missing is less than what begins a claim (`unsafe` wants a longer silence than this), so the proof is there before.
    """
    return not sign_of_life_since(state, now_ms - quiet_ms(state.orders.timers))


def quiet_ms(timers: Timers) -> int:
    """Within this time a healthy peer is heard, however late it is."""
    return MISSED * max(timers.beat_ms, timers.record_ms, timers.look_ms) + timers.pause_ms
