"""Heartbeats on every network channel: seals, numbers, sends and receives them as Ethernet frames.

Decides which frames reach the core: those of the pair that are sealed for this channel and are new. Of the frames of
its own side only those that another machine sent. Counts the other frames by what is wrong with them, so that the
status can name a wrong secret or a foreign sender. Leaves the meaning of a heartbeat to the core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.heartbeats.replay_window import Admitted, Replayed, TooOld, Window
from reconciler.core.failover.heartbeats.wire import Direction, datagram_way, decode_datagram, encode_datagram
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.errors import ObservationError
from reconciler.system.frames import FrameSocket
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.version_negotiator import VersionNegotiator

#: The status names rejected frames for this long after the last one.
REJECTED_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class RejectedFrames:
    """Frames on one channel that were rejected for the same reason: their number, and when the last one came."""

    channel: str
    problem: str
    count: int
    last_ms: int


@dataclass(slots=True)
class HeartbeatChannel:
    """One channel, with its socket while its interface exists.

    `out`: the seal of outgoing heartbeats. `into`: that of incoming ones, under each accepted secret. `own`: that of
    outgoing ones, under each accepted secret, because a clone of this machine may use another secret than this machine.
    `machine`, `peer_mac`: the sender of the peer's newest heartbeat; 0 and "" before the first.
    """

    name: str
    out: Direction
    into: tuple[Direction, ...]
    own: tuple[Direction, ...]
    window: Window = field(default_factory=Window)
    socket: FrameSocket | None = None
    problem: str = "its interface is not known yet"
    machine: int = 0
    peer_mac: str = ""
    sent: int = 0
    heard: int = 0


class Heartbeats:
    """All channels of the orders.

    `heard` is called with the index of the channel and the heartbeat, in the order of arrival. `machine` is the number
    of this machine (`system/machine`).
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
        """Use the channels of these orders. A channel that stays keeps its replay window."""
        before = {channel.name: channel for channel in self.channels}
        self.channels, self._orders = [], orders
        for wanted in orders.channels:
            channel = HeartbeatChannel(wanted.name, *self._ways(orders, wanted.name))
            old = before.pop(wanted.name, None)
            if old is not None and (old.out, old.into) == (channel.out, channel.into):
                channel = old
            elif old is not None:
                self._close(old)
            self.channels.append(channel)
        for gone in before.values():
            self._close(gone)

    def _ways(self, orders: Orders, name: str) -> tuple[Direction, tuple[Direction, ...], tuple[Direction, ...]]:
        """The seals `out`, `into` and `own` of a channel."""
        ring = self._keys.ring
        into = (datagram_way(secret, orders.pair, name, orders.side.other) for secret in ring.accepted)
        own = (datagram_way(secret, orders.pair, name, orders.side) for secret in ring.accepted)
        return datagram_way(ring.current, orders.pair, name, orders.side), tuple(into), tuple(own)

    def _set_keys(self) -> None:
        """Use the secrets in force. Windows and sockets stay, so no heartbeat is missed or accepted twice."""
        for channel in self.channels if self._orders is not None else ():
            assert self._orders is not None
            channel.out, channel.into, channel.own = self._ways(self._orders, channel.name)

    def bind_interfaces(self, indices: Mapping[str, int]) -> None:
        """Bind each channel to the interface with this index. A channel that is not in `indices` has no interface."""
        for channel in self.channels:
            index = indices.get(channel.name)
            if channel.socket is not None and channel.socket.index != index:
                self._close(channel)
            if channel.socket is not None:
                continue
            if index is None:
                channel.problem = "its interface does not exist"
                continue
            try:
                channel.socket = FrameSocket(index)
            except ObservationError as error:
                channel.problem = error.what
            else:
                channel.problem = ""
                self._loop.watch(channel.socket.fileno(), lambda channel=channel: self._read(channel))  # type: ignore[misc]

    def send(self, beat: Beat) -> None:
        """Send a heartbeat with the next number on every channel."""
        self.counter += 1
        version = self.negotiator.version
        beat = replace(beat, counter=self.counter, accepts=self._keys.ring.announced)
        for channel in self.channels:
            if channel.socket is not None and channel.socket.send(encode_datagram(beat, channel.out, version)):
                channel.sent += 1

    def next_number(self) -> int:
        """Take the next number, for a heartbeat on the disks."""
        self.counter += 1
        return self.counter

    def rejected(self, now_ms: int) -> tuple[RejectedFrames, ...]:
        """The frames that were rejected lately."""
        return tuple(
            RejectedFrames(*key, count, self._rejected_ms[key])
            for key, count in self._rejected_counts.items()
            if now_ms - self._rejected_ms[key] < REJECTED_MS
        )

    def close(self) -> None:
        """Close the sockets."""
        for channel in self.channels:
            self._close(channel)

    def _close(self, channel: HeartbeatChannel) -> None:
        if channel.socket is not None:
            self._loop.unwatch(channel.socket.fileno())
            channel.socket.close()
            channel.socket = None

    def _read(self, channel: HeartbeatChannel) -> None:
        opened = channel.socket
        if opened is None:
            return
        for data in opened.frames():
            if channel.socket is not opened:
                # An earlier frame led to other orders, which have closed this channel.
                return
            decoded, at = decode_any(data, channel.into, decode_datagram)
            if isinstance(decoded, Refused):
                self._handle_own_side(channel, data, decoded)
                continue
            beat = decoded.beat
            match channel.window.admit(beat.incarnation, beat.counter):
                case Admitted(window):
                    channel.window, channel.machine, channel.peer_mac = window, beat.machine, opened.source
                    self.negotiator.learn(decoded)
                    self._keys.verified(at, beat.accepts)
                    channel.heard += 1
                    self._heard(self.channels.index(channel), beat)
                case Replayed():
                    self._count_rejected(channel, "received before: duplicated, or repeated by another machine")
                case TooOld() if beat.machine not in (0, channel.machine):
                    # Another machine than before, not an earlier daemon: the core compares the two.
                    self._heard(self.channels.index(channel), beat)
                case TooOld():
                    self._count_rejected(channel, "from an earlier daemon of the peer")

    def _handle_own_side(self, channel: HeartbeatChannel, data: bytes, refused: Refused) -> None:
        """Handle a frame of this controller's own side: from a clone of this machine, or reflected by a switch."""
        reflected = refused.why is Refusal.REFLECTED
        own = decode_any(data, channel.own, decode_datagram)[0] if reflected else refused
        if isinstance(own, Refused):
            self._count_rejected(channel, refused.why.value)
            return
        if own.beat.machine != self.machine:
            self._heard(self.channels.index(channel), own.beat)
        else:
            self._count_rejected(channel, refused.why.value)

    def _count_rejected(self, channel: HeartbeatChannel, problem: str) -> None:
        self._rejected_counts[channel.name, problem] += 1
        self._rejected_ms[channel.name, problem] = monotonic_ms()
