"""Machines that speak for a side that another machine is: a cloned boot disk, or a node file on the wrong machine.

Every machine has a number, another one after each boot, and says it in its beats. A beat of our own side with another
number is from a machine that believes to be this controller; two numbers on the peer's side are two machines that
believe to be the peer. The invariant: *no claim begins while such a machine is heard, and none begins over a
reservation of our own side that this machine did not make before that machine had time to be heard*.

A recording of our own earlier life is no such machine: it counts once it has moved on, beyond all that was heard of it.
Does not know what keeps a machine from claiming; `forbidden` and `compare` do.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.state import Peer, State, Twin
from reconciler.core.failover.orders.orders import Timers
from reconciler.core.failover.reservations.key import machine_tag


def quiet_ms(timers: Timers) -> int:
    """After this long without a sign a machine is no longer there: the bound of the slowest way to hear it."""
    return max(timers.silence_ms + timers.network_ms, timers.stale_ms)


def hear_own(state: State, channel: int, beat: Beat, now_ms: int) -> State:
    """A beat of our own side: what a switch reflects of ours is harmless, what another machine says is not."""
    if beat.machine == state.machine or (not beat.machine and beat.incarnation == state.incarnation):
        return state
    twin = _moved(state.twin, beat, channel, now_ms, alive=beat.incarnation > state.incarnation)
    if twin is state.twin:
        return state
    return replace(state, twin=twin, alone_ms=now_ms if twin.alive else state.alone_ms)


def hear_peer(state: State, channel: int, beat: Beat, now_ms: int) -> Peer:
    """What is known of machines on the peer's side after this beat. It must answer this life of ours."""
    peer, stamp = state.peer, (beat.incarnation, beat.counter)
    newest = peer.beat
    if newest is None or not beat.machine or not newest.machine or beat.machine == newest.machine:
        return peer
    if beat.echo != state.incarnation and channel < len(peer.last) - 1:
        return peer
    if stamp > (newest.incarnation, newest.counter):
        # The peer has booted, or a second machine speaks for it: then the first one goes on speaking.
        known = (newest.incarnation, newest.counter)
        return replace(peer, twin=Twin(newest.machine, known, channel, now_ms, now_ms, alive=False))
    return replace(peer, twin=_moved(peer.twin, beat, channel, now_ms, alive=False))


def is_back(state: State, channel: int, beat: Beat, now_ms: int) -> bool:
    """Whether the machine that was the peer before is the only one again: it speaks, and the newer one is silent.

    Its beats carry older numbers than those of the newer one, and would never count again.
    """
    peer, twin, silence_ms = state.peer, state.peer.twin, state.orders.timers.silence_ms
    if twin is None or not twin.alive or twin.machine != beat.machine or channel == len(peer.last) - 1:
        return False
    moved = twin.stamp == (beat.incarnation, beat.counter)
    return moved and all(now_ms - heard_ms >= silence_ms for heard_ms in peer.heard_ms[:-1])


def _moved(twin: Twin | None, beat: Beat, channel: int, now_ms: int, *, alive: bool) -> Twin:
    """`alive`: the beat alone shows that its machine runs."""
    stamp = (beat.incarnation, beat.counter)
    if twin is None or twin.machine != beat.machine:
        return Twin(beat.machine, stamp, channel, now_ms, now_ms, alive)
    if stamp <= twin.stamp:
        return twin
    return replace(twin, stamp=stamp, channel=channel, heard_ms=now_ms, alive=True)


def here(twin: Twin | None, timers: Timers, now_ms: int) -> bool:
    """Whether this machine is known to run, and was heard lately."""
    return twin is not None and twin.alive and now_ms - twin.heard_ms < quiet_ms(timers)


def owner_unheard(state: State, now_ms: int) -> bool:
    """Whether the disks are the peer's, but by another machine or boot than the one that speaks for it since lately.

    That machine may serve, and be heard in a moment.
    """
    owner, peer = state.looks.owner, state.peer
    if owner is None or owner.side is state.orders.side or peer.beat is None or not owner.machine:
        return False
    since_ms = max(state.alone_ms, peer.twin.since_ms if peer.twin is not None else state.alone_ms)
    other = peer.beat.machine != 0 and machine_tag(peer.beat.machine) != owner.machine
    return other and now_ms - since_ms < quiet_ms(state.orders.timers)


def listening(state: State, now_ms: int) -> bool:
    """Whether the disks are reserved by our own side, by another machine or boot, that may still be heard."""
    owner = state.looks.owner
    if owner is None or owner.side is not state.orders.side or owner.machine == machine_tag(state.machine):
        return False
    return now_ms - state.alone_ms < quiet_ms(state.orders.timers)
