"""Twins: two machines that present themselves as the same side, by a cloned boot disk or a misplaced node file.

Every machine has a number, new after each boot, and sends it in its beats. A beat of our own side with another number
comes from a machine that takes itself for this controller. Two numbers on the peer's side are two machines that take
themselves for the peer. The invariant: *no claim begins while such a machine is heard, and none begins over a
reservation of our own side that this machine did not make before that machine had time to be heard*.

A recording of our own earlier life is no such machine: a machine counts only once its beats advance beyond all that was
heard of it. Does not know the inhibitors of a claim (`inhibitors` does).
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.state import Peer, State, Twin
from reconciler.core.failover.orders.orders import Timers
from reconciler.core.failover.reservations.key import machine_tag


def quiet_ms(timers: Timers) -> int:
    """Return the time in ms after which an unheard machine counts as gone: the limit of the slowest channel."""
    return max(timers.silence_ms + timers.network_ms, timers.stale_ms)


def hear_own(state: State, channel: int, beat: Beat, now_ms: int) -> State:
    """Take a beat of our own side: harmless if a network switch reflects ours, not if another machine sent it."""
    if beat.machine == state.machine or (not beat.machine and beat.incarnation == state.incarnation):
        return state
    twin = _moved(state.twin, beat, channel, now_ms, alive=beat.incarnation > state.incarnation)
    if twin is state.twin:
        return state
    return replace(state, twin=twin, alone_ms=now_ms if twin.alive else state.alone_ms)


def hear_peer(state: State, channel: int, beat: Beat, now_ms: int) -> Peer:
    """Return the knowledge about machines on the peer's side after this beat, which must echo our incarnation."""
    peer, stamp = state.peer, (beat.incarnation, beat.counter)
    newest = peer.beat
    if newest is None or not beat.machine or not newest.machine or beat.machine == newest.machine:
        return peer
    if beat.echo != state.incarnation and channel < len(peer.last) - 1:
        return peer
    if stamp > (newest.incarnation, newest.counter):
        # Either the peer has rebooted, or a second machine acts as the peer. In that case the first one goes on
        # sending.
        known = (newest.incarnation, newest.counter)
        return replace(peer, twin=Twin(newest.machine, known, channel, now_ms, now_ms, alive=False))
    return replace(peer, twin=_moved(peer.twin, beat, channel, now_ms, alive=False))


def is_back(state: State, channel: int, beat: Beat, now_ms: int) -> bool:
    """Whether the earlier machine is the only peer again: it sends beats, and the newer machine is silent.

    Its beats have lower numbers than those of the newer machine, so without this rule they would never count again.
    """
    peer, twin, silence_ms = state.peer, state.peer.twin, state.orders.timers.silence_ms
    if twin is None or not twin.alive or twin.machine != beat.machine or channel == len(peer.last) - 1:
        return False
    moved = twin.stamp == (beat.incarnation, beat.counter)
    return moved and all(now_ms - heard_ms >= silence_ms for heard_ms in peer.heard_ms[:-1])


def _moved(twin: Twin | None, beat: Beat, channel: int, now_ms: int, *, alive: bool) -> Twin:
    """Return the twin after its beat. `alive`: the beat alone proves that its machine runs."""
    stamp = (beat.incarnation, beat.counter)
    if twin is None or twin.machine != beat.machine:
        return Twin(beat.machine, stamp, channel, now_ms, now_ms, alive)
    if stamp <= twin.stamp:
        return twin
    return replace(twin, stamp=stamp, channel=channel, heard_ms=now_ms, alive=True)


def recently_heard(twin: Twin | None, timers: Timers, now_ms: int) -> bool:
    """Whether this machine is known to run and was heard recently."""
    return twin is not None and twin.alive and now_ms - twin.heard_ms < quiet_ms(timers)


def owner_unheard(state: State, now_ms: int) -> bool:
    """Whether the peer's side holds the disks, but by another machine or boot than the one recently heard.

    The holder may be serving, and its beats may arrive in a moment.
    """
    owner, peer = state.looks.owner, state.peer
    if owner is None or owner.side is state.orders.side or peer.beat is None or not owner.machine:
        return False
    since_ms = max(state.alone_ms, peer.twin.since_ms if peer.twin is not None else state.alone_ms)
    other = peer.beat.machine != 0 and machine_tag(peer.beat.machine) != owner.machine
    return other and now_ms - since_ms < quiet_ms(state.orders.timers)


def listening(state: State, now_ms: int) -> bool:
    """Whether another machine or boot of our own side holds the disks, and may still be heard."""
    owner = state.looks.owner
    if owner is None or owner.side is not state.orders.side or owner.machine == machine_tag(state.machine):
        return False
    return now_ms - state.alone_ms < quiet_ms(state.orders.timers)
