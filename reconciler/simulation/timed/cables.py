"""Cables and datagrams between the controllers: lost, late, held back, doubled, reordered, one way, flapping, replayed.

Does not know what a beat means.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.orders.orders import ChannelKind, Orders
from reconciler.core.failover.reservations.key import Side

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World

#: Datagrams that an attacker has recorded and may replay: the newest ones.
HEARD_MAX: Final = 40
#: Datagrams that an attacker holds back on one channel: the newest ones.
HELD_MAX: Final = 1_000


@dataclass(slots=True)
class CableDirection:
    """One channel in one direction.

    `loss`, `twice` and `shuffle` are probabilities (0 to 1); every datagram arrives `late_ms` later.
    """

    cut: bool = False
    loss: float = 0.0
    twice: float = 0.0
    shuffle: float = 0.0
    late_ms: int = 0


class Wires:
    """All channels, and the interfaces of both controllers.

    A CARP channel runs over the interface it is named for, so the channel fails with its interface.
    """

    def __init__(self, world: World, orders: Orders) -> None:
        self.world = world
        self.channels = orders.channels
        self.ways = tuple((CableDirection(), CableDirection()) for _ in orders.channels)
        self.down: tuple[set[str], set[str]] = (set(), set())
        interfaces = {name for group in orders.groups for name in group.interfaces}
        carp = {channel.name for channel in orders.channels if channel.kind is ChannelKind.CARP}
        self.interfaces = frozenset(interfaces | carp)
        self.flapping: dict[int, int] = {}
        self.heard: deque[tuple[Side, int, Beat, int]] = deque(maxlen=HEARD_MAX)
        self.held: dict[int, tuple[int, deque[tuple[Side, Beat, int]]]] = {}
        self._up: list[frozenset[str] | None] = [None, None]

    def up(self, side: Side) -> frozenset[str]:
        """Return the interfaces with carrier."""
        known = self._up[side is Side.B]
        if known is None:
            known = self._up[side is Side.B] = self.interfaces - self.down[side is Side.B]
        return known

    def changed(self) -> None:
        """Drop cached carrier states after an interface came or went."""
        self._up = [None, None]

    def send(self, side: Side, channel: int, beat: Beat, seal: int = 0) -> None:
        """Send one datagram to the other side. `seal`: the number of the secret that seals it."""
        way = self.ways[channel][side is Side.B]
        if way.cut:
            return
        name = self.channels[channel].name
        if name in self.down[0] or name in self.down[1]:
            return
        if channel in self.held:
            self.held[channel][1].append((side, beat, seal))
            return
        world = self.world
        chance = world.chance
        if way.loss and chance.random() < way.loss:
            return
        self.heard.append((side, channel, beat, seal))
        late_ms = way.late_ms + world.draw(world.physics.wire_ms)
        if way.shuffle and chance.random() < way.shuffle:
            late_ms += 3 * world.orders.timers.beat_ms
        peer = world.controller(side.other)
        world.later(late_ms, peer.arrives, (channel, beat, seal), peer)
        if way.twice and chance.random() < way.twice:
            world.later(late_ms + world.draw((1, 2_000)), peer.arrives, (channel, beat, seal), peer)

    def replay(self) -> None:
        """An attacker sends all recorded datagrams again."""
        for side, channel, beat, seal in tuple(self.heard):
            peer = self.world.controller(side.other)
            self.world.later(1, peer.arrives, (channel, beat, seal), peer)

    def hold_back(self, channel: int, every_ms: int) -> None:
        """Hold back the datagrams of a channel. After it is healed, they arrive one by one, `every_ms` apart."""
        self.held.setdefault(channel, (every_ms, deque(maxlen=HELD_MAX)))

    def _deliver_held(self, channel: int) -> None:
        every_ms, held = self.held.pop(channel, (0, deque()))
        for at, (side, beat, seal) in enumerate(held):
            peer = self.world.controller(side.other)
            self.world.later(1 + at // 2 * every_ms, peer.arrives, (channel, beat, seal), peer)

    def flap(self, channel: int, period_ms: int) -> None:
        """Cut and join a channel every `period_ms` until it is healed."""
        if channel not in self.flapping:
            self.flapping[channel] = period_ms
            self._flap(channel)

    def _flap(self, channel: int) -> None:
        period_ms = self.flapping.get(channel)
        cut = period_ms is not None and not self.ways[channel][0].cut
        for way in self.ways[channel]:
            way.cut = cut
        if period_ms is not None:
            self.world.later(period_ms, self._flap, channel)

    def heal(self, channel: int) -> None:
        """Remove every fault of a channel."""
        self.flapping.pop(channel, None)
        self._deliver_held(channel)
        for at in (0, 1):
            way = self.ways[channel][at]
            way.cut, way.loss, way.twice, way.shuffle, way.late_ms = False, 0.0, 0.0, 0.0, 0

    def clients_reach(self, side: Side) -> bool:
        """Whether clients reach this controller: at least one interface of every failover group has carrier."""
        up = self.up(side)
        return all(any(name in up for name in group.interfaces) for group in self.world.orders.groups)
