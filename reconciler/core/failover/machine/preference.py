"""Which side is better off: failover groups, and who may take the pools when nobody has them.

Never prefers a side that has a group down which is up at the other. Does not know timers.
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.failure_detector import network_alive
from reconciler.core.failover.heartbeats.twins import listening
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.inhibitors import forbidden
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State


def peer_better(state: State) -> bool:
    """The groups that are down at the peer are fewer than ours, and none of them is up here."""
    beat = state.peer.beat
    return beat is not None and beat.groups_down < state.looks.groups_down


def peer_worse(state: State) -> bool:
    """A group is down at the peer that is up here, and none the other way round."""
    beat = state.peer.beat
    return beat is not None and state.looks.groups_down < beat.groups_down


def preferred(state: State) -> bool:
    """When both are up and nobody owns the pools: whether this side goes first."""
    if peer_better(state):
        return False
    return peer_worse(state) or state.orders.default is state.orders.side


def all_groups_down(state: State) -> bool:
    """No failover group works here: silence may be our own fault."""
    groups = state.orders.groups
    return bool(groups) and len(state.looks.groups_down) == len(groups)


def peer_can_take(state: State, now_ms: int) -> bool:
    """The peer is heard on a network, is standby, and says that it could take the pools.

    Where pools have given up disks, the peer has to wait until this controller cannot write to them, and does so only
    for one that a hardware watchdog resets.
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
    """The disks and pools have been looked at lately, the disks are in sight and no pool is imported here.

    Where our own side holds the disks, but not by this machine in this boot, its holder must have had time to be heard.
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
    """The last attempt failed and its pause is not over."""
    return state.retry_ms is not None and now_ms < state.retry_ms


def able(state: State, now_ms: int) -> bool:
    """This controller, standby, could take the pools now if there were a reason."""
    return (
        state.phase is Phase.STANDBY
        and ready(state, now_ms)
        and not resting(state, now_ms)
        and not forbidden(state, now_ms)
        and state.unit is None
    )
