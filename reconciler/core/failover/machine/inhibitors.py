"""Inhibitors: every reason that now forbids an automatic move of this controller, not only the first.

Does not know which requests the operator may still make, nor which move an inhibitor forbids.
"""

from __future__ import annotations

from reconciler.core.failover.heartbeats.failure_detector import network_alive
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.twins import recently_heard
from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State, Twin
from reconciler.core.failover.orders.orders import digest, policy_digest, shelf_digest
from reconciler.core.failover.reservations.key import COUNTER_MAX, TAG_BITS, Key


def forbidden(state: State, now_ms: int) -> tuple[Decision, ...]:
    """Return why no automatic move may begin here now; empty if one may."""
    found = []
    orders, beat = state.orders, state.peer.beat
    if not orders.enabled:
        found.append(Decision(Code.DISABLED, f"orders {orders.generation}"))
    elif beat is not None and beat.generation > orders.generation and not beat.enabled:
        found.append(Decision(Code.DISABLED, f"orders {beat.generation} of the peer"))
    if in_maintenance(state, now_ms):
        found.append(Decision(Code.MAINTENANCE, f"{(state.maintenance_ms or now_ms) - now_ms} ms left"))
    if held_back(state, now_ms):
        found.append(Decision(Code.HELD_BACK, f"{orders.limits.resets} resets"))
    if budget_spent(state, now_ms):
        found.append(Decision(Code.BUDGET, f"{orders.limits.moves} moves"))
    if beat is not None:
        if contradict(state, beat):
            found.append(Decision(Code.CONTRADICTION, f"generation {orders.generation}"))
        if beat.generation > orders.generation and beat.shelf != shelf_digest(orders):
            found.append(Decision(Code.SHELF_DIFFERS, f"generation {beat.generation} there, {orders.generation} here"))
    if exhausted(state):
        # This forbids even a release: neither controller could claim the released pools.
        found.append(Decision(Code.EPOCHS_EXHAUSTED, f"claim {Key(orders.side, state.highest).claim}"))
    if twin_here(state, now_ms):
        found.append(Decision(Code.TWIN, heard(state, state.twin, now_ms)))
    if recently_heard(state.peer.twin, orders.timers, now_ms):
        found.append(Decision(Code.PEER_TWIN, heard(state, state.peer.twin, now_ms)))
    if same_role(state, now_ms):
        found.append(Decision(Code.SAME_ROLE))
    return tuple(found)


def twin_here(state: State, now_ms: int) -> bool:
    """Whether another machine presents itself as this controller. Then this one never claims, not even on request."""
    return recently_heard(state.twin, state.orders.timers, now_ms)


def other_unit(state: State) -> bool:
    """Whether this hardware is not that of the controller. Then it never claims, not even on request."""
    return state.unit is not None and state.unit.code is Code.OTHER_UNIT


def heard(state: State, twin: Twin | None, now_ms: int) -> str:
    """Return, for people, which machine was heard on which channel and when."""
    assert twin is not None
    names = [*(channel.name for channel in state.orders.channels), "the disk record"]
    where = names[twin.channel] if twin.channel < len(names) else "another channel"
    return f"machine {twin.machine:016x} heard on {where} {now_ms - twin.heard_ms} ms ago"


def contradict(state: State, beat: Beat) -> bool:
    """Whether both controllers have orders of the same generation that come from different configurations.

    Orders that differ only in the limits that a release derives do not contradict each other: both controllers fence
    the same disks, by the same policy, and each waits for the end of the other by the longer of both limits
    (`wait_ms`). A peer of the first release sends one digest over everything. For it, only the disks and whether
    failover is enabled decide: a fence covers every disk that both write to, and no release derives shorter limits than
    the first from the same configuration. One controller may still have the older shelf in force (`pending_orders`).
    """
    orders = state.newest
    if beat.generation != orders.generation or beat.digest == digest(orders):
        return False
    if beat.shelf not in (shelf_digest(orders), shelf_digest(state.orders)):
        return True
    return beat.policy != policy_digest(orders) if beat.policy else beat.enabled != orders.enabled


def exhausted(state: State) -> bool:
    """Whether no epoch is left for a claim: a key has no room for a higher one, and no other one may win."""
    return state.highest >> TAG_BITS >= COUNTER_MAX


def in_maintenance(state: State, now_ms: int) -> bool:
    """Whether the operator asked for maintenance and its time has not run out."""
    return state.maintenance_ms is not None and now_ms < state.maintenance_ms


def held_back(state: State, now_ms: int) -> bool:
    """Whether this controller stays standby after too many resets of its own."""
    return state.held_back_ms is not None and now_ms - state.held_back_ms < state.orders.limits.resets_window_ms


def budget_spent(state: State, now_ms: int) -> bool:
    """Whether this controller has begun as many automatic moves as the window allows."""
    limits = state.orders.limits
    return limits.moves > 0 and len(recent(state.moves_ms, limits.moves_window_ms, now_ms)) >= limits.moves


def recent(moments_ms: tuple[int, ...], window_ms: int, now_ms: int) -> tuple[int, ...]:
    """Return the moments inside the window."""
    return tuple(moment for moment in moments_ms if now_ms - moment < window_ms)


def same_role(state: State, now_ms: int) -> bool:
    """Whether both controllers report that they are active."""
    beat = state.peer.beat
    return (
        state.phase is Phase.ACTIVE and beat is not None and beat.phase is Phase.ACTIVE and network_alive(state, now_ms)
    )
