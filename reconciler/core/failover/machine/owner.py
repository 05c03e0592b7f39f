"""IMPORTING, ACTIVE, RELEASING: the phases that require the reservation, and the conditions that end each.

*An import or export that makes progress is never ended by a clock*: its limit counts from its last progress. If a limit
runs out while the process slept, it counts only after a new look at disks and pools. Does not know how pools are
imported or exported.
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.failure_detector import heard_since, network_silent
from reconciler.core.failover.machine.decision_codes import Code
from reconciler.core.failover.machine.events import Presence, Request
from reconciler.core.failover.machine.finished_claim import lives_ms
from reconciler.core.failover.machine.inhibitors import forbidden
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.preference import all_groups_down, peer_better, peer_can_take, resting
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.transition import Move
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import Hold

GONE = (Presence.NONE, Presence.REFUSED)


def released(state: State) -> bool:
    """Whether the peer may have the pools: none is imported here, and no server of shares runs here."""
    return state.looks.pools in GONE and state.looks.stopped


def unproven(state: State, now_ms: int) -> Move | None:
    """Halt if the reservation is lost, or unproven for too long. This is the first rule of all three phases."""
    looks = state.looks
    if looks.hold is Hold.LOST:
        return Move(Phase.HALTED, Code.FENCED, f"{_taker(state)}; ours was {Key(state.orders.side, state.epoch)}")
    since_ms = state.since_ms if looks.proved_ms is None else looks.proved_ms
    if now_ms - since_ms >= lives_ms(state):
        return Move(Phase.HALTED, Code.UNPROVEN, "; ".join((f"{now_ms - since_ms} ms", *filter(None, (looks.doubt,)))))
    return None


def _taker(state: State) -> str:
    """Return the evidence that the disks are lost. A refused record shows it before the next look does."""
    return state.looks.doubt or "our record was refused"


def importing(state: State, now_ms: int) -> Move | None:
    """Become active when all pools are imported; release or halt if that does not happen in time."""
    if halt := unproven(state, now_ms):
        return halt
    if state.looks.woke:
        return None
    pools = state.looks.pools
    if pools is Presence.ALL:
        return Move(Phase.ACTIVE, Code.IMPORTED)
    if pools is Presence.REFUSED and peer_can_take(state, now_ms) and not forbidden(state, now_ms):
        return Move(Phase.RELEASING, Code.IMPORT_REFUSED, automatic=True)
    limit_ms = state.orders.timers.import_ms
    if pools in GONE:
        # Each refused import reads some labels first. That is no progress, so the limit counts from the phase's start.
        return Move(Phase.RELEASING, Code.IMPORT_REFUSED) if now_ms - state.since_ms >= limit_ms else None
    still = stalled_ms(state, now_ms)
    return Move(Phase.HALTED, Code.IMPORT_HUNG, f"{still} ms without progress") if still >= limit_ms else None


def stalled_ms(state: State, now_ms: int) -> int:
    """Return for how long, in ms, the import or export of this phase has made no progress."""
    return now_ms - max(state.since_ms, state.looks.still_ms or state.since_ms)


def active(state: State, now_ms: int, asked: Request | None) -> Move | None:
    """Serve; release when the operator asks for it or when the peer can serve better."""
    if halt := unproven(state, now_ms):
        return halt
    if state.looks.pools in (*GONE, Presence.SOME):
        return Move(Phase.IMPORTING, Code.POOLS_GONE)
    if asked is Request.SWITCHOVER and switchover_refused(state, now_ms) is None:
        return Move(Phase.RELEASING, Code.ASKED)
    if state.looks.woke or resting(state, now_ms) or forbidden(state, now_ms):
        return None
    code = release_reason(state, now_ms)
    return Move(Phase.RELEASING, code, automatic=True) if code else None


def release_reason(state: State, now_ms: int) -> Code | None:
    """Return why the active controller should release the pools by itself; None if it should not."""
    looks, timers = state.looks, state.orders.timers

    # A release that begins without disks cannot end. Beginning it early would stop service on a shelf that only paused.
    blind_ms = max(0, lives_ms(state) // 2 - timers.settle_ms)

    def lasts(since_ms: int | None, extra_ms: int = 0) -> bool:
        return since_ms is not None and now_ms - since_ms >= timers.settle_ms + extra_ms

    if peer_can_take(state, now_ms):
        if lasts(looks.unseen_ms, blind_ms):
            return Code.DISKS_LOST
        if lasts(looks.hung_ms) and not _hangs_anywhere(state):
            return Code.POOLS_HUNG
        if lasts(looks.down_ms, timers.network_ms) and peer_better(state) and _reported_since(state):
            return Code.GROUPS_DOWN
    elif all_groups_down(state) and lasts(looks.down_ms, timers.network_ms) and network_silent(state, now_ms):
        return Code.ISOLATED
    return None


def _hangs_anywhere(state: State) -> bool:
    """Whether the pools hung soon after the peer released them. The pools are the cause then; a move would not help."""
    hung_ms = state.looks.hung_ms
    return state.taken and hung_ms is not None and hung_ms - state.since_ms < 2 * state.orders.timers.again_ms


def _reported_since(state: State) -> bool:
    """Whether the peer has reported its groups since ours went down. One fault may take down the links of both."""
    down_ms = state.looks.down_ms
    return down_ms is not None and heard_since(state, down_ms + state.orders.timers.beat_ms)


def switchover_refused(state: State, now_ms: int) -> Code | None:
    """Return why a requested switchover cannot begin here; None if it can."""
    if state.phase is not Phase.ACTIVE:
        return Code.NOT_ACTIVE
    if not state.orders.enabled:
        return Code.DISABLED
    if not peer_can_take(state, now_ms):
        return Code.PEER_CANNOT
    beat = state.peer.beat
    return Code.PEER_WORSE if beat is not None and state.looks.groups_down < beat.groups_down else None


def releasing(state: State, now_ms: int, asked: Request | None) -> Move | None:
    """Release everything but the reservation; serve again if the peer does not take it."""
    looks, timers = state.looks, state.orders.timers
    if not released(state):
        if halt := unproven(state, now_ms):
            return halt
        if looks.woke:
            return None
        still_ms = stalled_ms(state, now_ms)
        if still_ms < timers.release_ms:
            return None
        evidence = f"{still_ms} ms without progress"
        if not looks.stopped:
            evidence = f"{evidence}; a server of shares has not stopped"
        if state.voluntary and looks.used and looks.sees and looks.hold is Hold.OURS:
            # Every pool is still imported under our reservation, and no part of the export is left in the kernel.
            return Move(Phase.IMPORTING, Code.RELEASE_GIVEN_UP, evidence)
        return Move(Phase.HALTED, Code.RELEASE_HUNG, evidence)
    if looks.hold is Hold.LOST:
        return Move(Phase.STANDBY, Code.TAKEN, _taker(state))
    if looks.woke:
        return None
    waited = state.handed_ms is not None and now_ms - state.handed_ms >= timers.handover_ms
    if not (waited or asked is Request.FORCE):
        return None
    if state.unimportable:
        # Another import under this claim would be refused again. A new claim also fences the disks that the last one
        # skipped.
        return Move(Phase.STANDBY, Code.REFUSED_HERE)
    proved = looks.hold is Hold.OURS and looks.proved_ms is not None and now_ms - looks.proved_ms < lives_ms(state)
    if proved and looks.sees:
        return Move(Phase.IMPORTING, Code.RESUMED_SERVICE)
    return Move(Phase.STANDBY, Code.LEFT)
