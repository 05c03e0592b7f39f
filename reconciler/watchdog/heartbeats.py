"""Heartbeats on every network channel: sealed, numbered, sent to and heard from the interfaces the channels stand for.

Decides which frames reach the core: those of the pair, sealed for just this channel, and new; of our own side only
what another machine sent. Counts the others by what was
wrong with them, so that a wrong secret or a stranger can be told to a person. Does not know what a beat leads to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.heartbeats.replay_window import Admitted, Replayed, TooOld, Window
from reconciler.core.failover.heartbeats.wire import Way, datagram_way, decode_datagram, encode_datagram
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.errors import ObservationError
from reconciler.system.frames import FrameSocket
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.version_negotiator import VersionNegotiator

#: Unfit frames of one kind on one channel are spoken of for so long after the last.
REFUSED_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class RejectedFrames:
    """What was wrong with frames on one channel, how many there were, and when the last came."""

    channel: str
    problem: str
    count: int
    last_ms: int


@dataclass(slots=True)
class HeartbeatChannel:
    """One channel: its way out, a way in for each accepted secret, and its socket while its interface is there.

    `peer_mac`: from where the peer's newest sealed frame came; empty before the first.
    `own`: the way out under each accepted secret; a machine that was cloned with this one's files may use another.
    """

    name: str
    out: Way
    into: tuple[Way, ...]
    own: tuple[Way, ...]
    window: Window = field(default_factory=Window)
    socket: FrameSocket | None = None
    problem: str = "its interface has not been looked for yet"
    machine: int = 0
    peer_mac: str = ""
    sent: int = 0
    heard: int = 0


class Heartbeats:
    """All channels of the orders. `heard` is called with the channel's index and the beat, in the order of arrival.

    `machine` is the number of this machine.
    """

    def __init__(
        self,
        loop: EventLoop,
        keys: PairKeys,
        negotiator: VersionNegotiator,
        heard: Callable[[int, Beat], None],
        machine: int = 0,
    ) -> None:
        self.machine = machine
        self._loop, self._keys, self.negotiator, self._heard = loop, keys, negotiator, heard
        self._orders: Orders | None = None
        keys.listeners.append(self._set_keys)
        self.channels: list[HeartbeatChannel] = []
        self.counter = 0
        self._rejected_counts: Counter[tuple[str, str]] = Counter()
        self._rejected_ms: dict[tuple[str, str], int] = {}

    def set_orders(self, orders: Orders) -> None:
        """The channels of new orders. A channel that stays keeps its window."""
        before = {line.name: line for line in self.channels}
        self.channels, self._orders = [], orders
        for channel in orders.channels:
            line = HeartbeatChannel(channel.name, *self._ways(orders, channel.name))
            old = before.pop(channel.name, None)
            if old is not None and (old.out, old.into) == (line.out, line.into):
                line = old
            elif old is not None:
                self._close(old)
            self.channels.append(line)
        for gone in before.values():
            self._close(gone)

    def _ways(self, orders: Orders, channel: str) -> tuple[Way, tuple[Way, ...], tuple[Way, ...]]:
        """The way out, the ways in, and those of another machine of this side."""
        ring = self._keys.ring
        into = (datagram_way(secret, orders.pair, channel, orders.side.other) for secret in ring.accepted)
        own = (datagram_way(secret, orders.pair, channel, orders.side) for secret in ring.accepted)
        return datagram_way(ring.current, orders.pair, channel, orders.side), tuple(into), tuple(own)

    def _set_keys(self) -> None:
        """Other secrets are in force; windows and sockets stay, so no beat is missed or taken twice."""
        for line in self.channels if self._orders is not None else ():
            assert self._orders is not None
            line.out, line.into, line.own = self._ways(self._orders, line.name)

    def bind_interfaces(self, indices: Mapping[str, int]) -> None:
        """Which interface each channel's name stands for now; a channel whose name is missing has none."""
        for line in self.channels:
            index = indices.get(line.name)
            if line.socket is not None and line.socket.index != index:
                self._close(line)
            if line.socket is not None:
                continue
            if index is None:
                line.problem = "its interface is not here"
                continue
            try:
                line.socket = FrameSocket(index)
            except ObservationError as error:
                line.problem = error.what
            else:
                line.problem = ""
                self._loop.watch(line.socket.fileno(), lambda line=line: self._read(line))  # type: ignore[misc]

    def send(self, beat: Beat) -> None:
        """One beat on every channel, with the next number."""
        self.counter += 1
        version = self.negotiator.version
        beat = replace(beat, counter=self.counter, accepts=self._keys.ring.announced)
        for line in self.channels:
            if line.socket is not None and line.socket.send(encode_datagram(beat, line.out, version)):
                line.sent += 1

    def next_number(self) -> int:
        """The next number, for a beat that goes another way."""
        self.counter += 1
        return self.counter

    def rejected(self, now_ms: int) -> tuple[RejectedFrames, ...]:
        """What was refused lately."""
        return tuple(
            RejectedFrames(*key, count, self._rejected_ms[key])
            for key, count in self._rejected_counts.items()
            if now_ms - self._rejected_ms[key] < REFUSED_MS
        )

    def close(self) -> None:
        """Gives the sockets back."""
        for line in self.channels:
            self._close(line)

    def _close(self, line: HeartbeatChannel) -> None:
        if line.socket is not None:
            self._loop.unwatch(line.socket.fileno())
            line.socket.close()
            line.socket = None

    def _read(self, line: HeartbeatChannel) -> None:
        opened = line.socket
        if opened is None:
            return
        for data in opened.frames():
            if line.socket is not opened:
                # What was heard led to other orders, and this channel is gone with the old ones.
                return
            decoded, at = decode_any(data, line.into, decode_datagram)
            if isinstance(decoded, Refused):
                self._handle_own_side(line, data, decoded)
                continue
            beat = decoded.beat
            match line.window.admit(beat.incarnation, beat.counter):
                case Admitted(window):
                    line.window, line.machine, line.peer_mac = window, beat.machine, opened.source
                    self.negotiator.learn(decoded)
                    self._keys.verified(at, beat.accepts)
                    line.heard += 1
                    self._heard(self.channels.index(line), beat)
                case Replayed():
                    self._count_rejected(line, "heard before: doubled, or somebody repeats what we say")
                case TooOld() if beat.machine not in (0, line.machine):
                    # Not the earlier life of one machine: the core compares what two of them say.
                    self._heard(self.channels.index(line), beat)
                case TooOld():
                    self._count_rejected(line, "from an earlier life of the peer")

    def _handle_own_side(self, line: HeartbeatChannel, data: bytes, refused: Refused) -> None:
        """A frame of our own side: the core knows whether this machine sent it, and a switch sent it back."""
        reflected = refused.why is Refusal.REFLECTED
        own = decode_any(data, line.own, decode_datagram)[0] if reflected else refused
        if isinstance(own, Refused):
            self._count_rejected(line, refused.why.value)
            return
        if own.beat.machine != self.machine:
            self._heard(self.channels.index(line), own.beat)
        else:
            self._count_rejected(line, refused.why.value)

    def _count_rejected(self, line: HeartbeatChannel, what: str) -> None:
        self._rejected_counts[line.name, what] += 1
        self._rejected_ms[line.name, what] = monotonic_ms()
