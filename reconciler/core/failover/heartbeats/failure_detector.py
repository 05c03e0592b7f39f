"""Failure detector: on which channels the peer is heard, and which beats count as signs of life.

A beat on a network counts if it is newer than every earlier one of its channel and echoes this life of the receiver.
The disk record counts if its beat has advanced since the last read. *A beat on a network shows life now only if it is
newer than every beat heard before, on any channel or disk*. An overtaken beat shows life only as of the newest sign, so
beats delayed on one channel cannot keep a dead peer alive. A record that changes to undecodable content counts, too: *a
controller that writes the peer's slot is alive, in whatever version and under whatever seal*. Ages are differences of
the receiver's monotonic clock; the core compares no value in a beat with a clock. Does not know the consequences of
silence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.twins import hear_own, hear_peer, is_back
from reconciler.core.failover.machine.phase import OWNING, Phase
from reconciler.core.failover.machine.state import Peer, State
from reconciler.core.failover.orders.orders import digest, least_proof_ms, shelf_digest
from reconciler.core.failover.refusal import Refusal
from reconciler.core.failover.reservations.key import is_credible, rank
from reconciler.core.failover.reservations.transaction_groups import joined

T = TypeVar("T")


def hear(state: State, channel: int, beat: Beat, now_ms: int) -> State:
    """Return the state after a beat arrived on a channel (index; one past the last is the disk record)."""
    if not 0 <= channel < len(state.peer.last):
        return state
    if beat.side is state.orders.side:
        return hear_own(state, channel, beat, now_ms)
    state = replace(state, peer=hear_peer(state, channel, beat, now_ms))
    back, peer = is_back(state, channel, beat, now_ms), state.peer
    if back:
        peer = replace(peer, last=(None,) * len(peer.last), beat=None, incarnation=0, twin=None)
    last, stamp = peer.last[channel], (beat.incarnation, beat.counter)
    if last is not None and stamp <= last:
        return state
    disk = channel == len(peer.last) - 1
    peer = replace(
        peer,
        last=_put(peer.last, channel, stamp),
        incarnation=max(peer.incarnation, beat.incarnation),
    )
    if is_credible(state.highest, beat.epoch):
        state = replace(state, highest=max(state.highest, beat.epoch))
    # The record of a dead owner is no sign of life, but it holds the owner's last marks.
    state = _said(state, beat)
    if (last is None) if disk else (beat.echo != state.incarnation):
        return replace(state, peer=peer)
    newest = peer.beat is None or stamp > (peer.beat.incarnation, peer.beat.counter)
    # The newest beat may come on each channel. Only the first copy is news.
    lived_ms = now_ms if disk or newest else max(peer.heard_ms)
    heard_ms = _put(peer.heard_ms, channel, lived_ms)
    assert disk or newest or max(heard_ms) == max(peer.heard_ms), "an overtaken beat prolongs no life"
    peer = replace(
        peer,
        heard_ms=heard_ms,
        beat=beat if newest else peer.beat,
        ever=True,
        lately=peer.lately or disk or newest,
        dead=(beat.dying or beat.phase is Phase.HALTED) if newest else peer.dead,
        proven=peer.proven and not newest,
        unable_ms=_unable_ms(peer.unable_ms, beat, now_ms) if newest else peer.unable_ms,
        undecoded_ms=None if newest else peer.undecoded_ms,
    )
    return replace(agreed(state, beat) if newest else state, peer=peer)


def agreed(state: State, beat: Beat) -> State:
    """Apply the invariant: *no controller lives longer without proof than the other one waits*.

    The limits of the orders apply once both controllers have the same orders. A peer with other orders waits only as
    long as every release does at least, and may itself live as long as under its earlier orders. The deadman is part of
    this: its time-out becomes longer only once the peer has those orders, too.
    """
    timers = state.orders.timers
    if beat.digest == digest(state.newest):
        return replace(state, lives_ms=0, feeds_ms=0, waits_ms=0)
    least_ms = least_proof_ms(timers)
    lives_ms = min(state.lives_ms or timers.proof_ms, least_ms)
    return replace(state, lives_ms=lives_ms if lives_ms < timers.proof_ms else 0)


def changed(peer: Peer, now_ms: int) -> Peer:
    """The peer's slot changed without a readable beat: the peer lives, and its earlier reports may be out of date."""
    return replace(
        peer,
        heard_ms=(*peer.heard_ms[:-1], now_ms),
        ever=True,
        dead=False,
        proven=False,
        unable_ms=None,
        undecoded_ms=now_ms if peer.undecoded_ms is None else peer.undecoded_ms,
    )


def harmless(peer: Peer | None, why: Refusal) -> bool:
    """Whether an undecodable record in the peer's slots needs no repair: it is blank, half written, or left over.

    Only an owner writes its record. If the newest sign of life of the peer reports that it owns nothing, a record with
    a wrong seal is from an earlier ownership, under a secret that was dropped since.
    """
    if why in (Refusal.BLANK, Refusal.TORN):
        return True
    if why is not Refusal.SEAL or peer is None or peer.beat is None or peer.undecoded_ms is not None:
        return False
    return peer.beat.phase not in OWNING


def _said(state: State, beat: Beat) -> State:
    """Keep the marks that an owner reports. Ignore orders of another shelf, which may order the pools differently."""
    if beat.phase not in OWNING or not any(beat.txgs) or beat.shelf != shelf_digest(state.orders):
        return state
    # An incredible epoch replaces no marks, but its marks still count: a mark never lets an older copy in.
    epoch = beat.epoch if is_credible(state.highest, beat.epoch) else 0
    word = joined(state.word, beat.txgs, newer=rank(epoch) >= rank(state.word_epoch))
    return replace(state, word=word, word_epoch=max(state.word_epoch, epoch, key=rank))


def _unable_ms(since_ms: int | None, beat: Beat, now_ms: int) -> int | None:
    """Return since when the peer, up to this beat, reports that it neither owns the pools nor could take them."""
    if beat.able or beat.phase in OWNING:
        return None
    return now_ms if since_ms is None else since_ms


def _put(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    return (*values[:index], value, *values[index + 1 :])


def forget(peer: Peer, now_ms: int) -> Peer:
    """Restart silence detection. After a late wake, the time spent asleep does not count as peer silence."""
    return replace(
        peer,
        heard_ms=(now_ms,) * len(peer.heard_ms),
        last=(*peer.last[:-1], None),
        lately=False,
        dead=False,
        proven=False,
        unable_ms=None,
        undecoded_ms=None,
    )


def watch_disks(peer: Peer, now_ms: int) -> Peer:
    """The disks came into sight: count the staleness of the record from now."""
    return replace(peer, heard_ms=(*peer.heard_ms[:-1], now_ms), last=(*peer.last[:-1], None))


def claimed(peer: Peer, now_ms: int) -> Peer:
    """The peer's key on the disks is newer than any seen before. Only a live controller claims, so the peer lives."""
    return replace(peer, heard_ms=(*peer.heard_ms[:-1], now_ms))


def network_alive(state: State, now_ms: int) -> bool:
    """Whether the peer was heard on a network channel within the silence limit."""
    bound_ms = state.orders.timers.silence_ms
    return state.peer.lately and any(now_ms - heard < bound_ms for heard in state.peer.heard_ms[:-1])


def heard_since(state: State, moment_ms: int) -> bool:
    """Whether the peer was heard on a network channel at that moment or later."""
    return state.peer.lately and any(heard >= moment_ms for heard in state.peer.heard_ms[:-1])


def network_silent(state: State, now_ms: int) -> bool:
    """Whether all network channels were silent for the limit and the extra wait. False if there are none."""
    timers = state.orders.timers
    bound_ms = timers.silence_ms + timers.network_ms
    heard = state.peer.heard_ms[:-1]
    return bool(heard) and all(now_ms - moment >= bound_ms for moment in heard)


def disk_alive(state: State, now_ms: int) -> bool:
    """Whether the disk record has advanced within the limit."""
    listened = state.peer.lately or state.peer.undecoded_ms is not None
    return listened and now_ms - state.peer.heard_ms[-1] < state.orders.timers.stale_ms


def undecoded(state: State, now_ms: int) -> bool:
    """Whether the only sign of life of the peer is its disk record, which this controller cannot decode."""
    return state.peer.undecoded_ms is not None and disk_alive(state, now_ms) and not network_alive(state, now_ms)


def disk_stale(state: State, now_ms: int) -> bool:
    """Whether the disk record has not advanced for the limit while the disks were readable (see `watch_disks`)."""
    looks = state.looks
    return (
        looks.sees
        and looks.shelf_ms is not None
        and now_ms - looks.shelf_ms < state.orders.timers.stale_ms
        and now_ms - state.peer.heard_ms[-1] >= state.orders.timers.stale_ms
    )


def ages(state: State, now_ms: int) -> str:
    """Return the age of the last beat on each channel, for people."""
    names = [*(channel.name for channel in state.orders.channels), "disk record"]
    pairs = zip(names, state.peer.heard_ms, strict=True)
    return ", ".join(f"{name} {now_ms - heard} ms" for name, heard in pairs)
