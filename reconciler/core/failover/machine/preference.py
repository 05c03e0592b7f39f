"""Preference: which side has the better failover groups, and which may take the pools when neither owns them.

Never prefers a side that has a group down which is up at the other side. Does not know timers.
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.failure_detector import network_alive
from reconciler.core.failover.heartbeats.twins import listening
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.inhibitors import forbidden
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State


def peer_better(state: State) -> bool:
    """Whether the peer has fewer groups down, and each of them is down here, too."""
    beat = state.peer.beat
    return beat is not None and beat.groups_down < state.looks.groups_down


def peer_worse(state: State) -> bool:
    """Whether we have fewer groups down, and each of them is down at the peer, too."""
    beat = state.peer.beat
    return beat is not None and state.looks.groups_down < beat.groups_down


def preferred(state: State) -> bool:
    """Whether this side claims first when both controllers are up and neither owns the pools."""
    if peer_better(state):
        return False
    return peer_worse(state) or state.orders.default is state.orders.side


def all_groups_down(state: State) -> bool:
    """Whether every failover group is down here. The peer's silence may then be our own fault."""
    groups = state.orders.groups
    return bool(groups) and len(state.looks.groups_down) == len(groups)


def peer_can_take(state: State, now_ms: int) -> bool:
    """Whether the peer is heard on a network, is standby, and reports that it could take the pools.

    If the pools have given up disks, the peer has to wait until this controller cannot write to them. It waits only for
    a controller that a hardware watchdog resets.
    """
    beat = state.peer.beat
    return (
        network_alive(state, now_ms)
        and not state.peer.dead
        and beat is not None
        and beat.phase is Phase.STANDBY
        and beat.able
        and beat.sees
        and (state.armed or not state.looks.out)
    )


def ready(state: State, now_ms: int) -> bool:
    """Whether this controller may claim: recent looks see enough disks and no imported pool here.

    If our own side holds the disks, but this machine did not claim them in this boot, the holder must first have had
    time to be heard.
    """
    looks = state.looks
    return (
        looks.shelf_ms is not None
        and now_ms - looks.shelf_ms < state.orders.timers.stale_ms
        and looks.sees
        and looks.pools in (Presence.NONE, Presence.REFUSED)
        and not looks.woke
        and not listening(state, now_ms)
    )


def resting(state: State, now_ms: int) -> bool:
    """Whether the pause after a failed attempt is not over yet."""
    return state.retry_ms is not None and now_ms < state.retry_ms


def able(state: State, now_ms: int) -> bool:
    """Whether this standby could take the pools now if there were a reason."""
    return (
        state.phase is Phase.STANDBY
        and ready(state, now_ms)
        and not resting(state, now_ms)
        and not forbidden(state, now_ms)
        and state.unit is None
    )
