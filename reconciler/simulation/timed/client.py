"""A client that writes and reads through the virtual addresses and remembers every acknowledgement.

Where the pair has servers of shares, it uses one protocol after the other.

Does not know which controller should answer; it uses the one that answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconciler.core.failover.reservations.key import Side

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World

#: Waits of at least this length get a line in the timeline.
NOTEWORTHY_MS: Final = 1_000


class Client:
    """`acknowledged`: by pool, the number of the last acknowledged write. Writes go to the pools in turn.

    `first_ms`, `last_ms`: when. `from_`: by which controller. `streak`: acknowledgements in a row. `waits_ms`: every
    noteworthy wait. `stale`: reads that returned less than what a controller had acknowledged before.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = 0
        self.acknowledged = [0] * len(world.pools)
        self.first_ms: int | None = None
        self.last_ms = 0
        self.from_: Side | None = None
        self.streak = 0
        self.waits_ms: list[int] = []
        self.stale = 0
        world.later(world.physics.write_ms, self._write)

    def _write(self, _: Any) -> None:
        world = self.world
        world.later(world.physics.write_ms, self._write)
        wires = world.wires
        answering = [one for one in world.controllers if one.kernel.answering and wires.clients_reach(one.side)]
        if not answering:
            self.streak = 0
            return
        chosen = answering[0] if len(answering) == 1 or world.chance.random() < 0.5 else answering[1]
        pool = self.number % len(world.pools)
        protocols = world.protocols
        turn = world.now_ms // world.physics.write_ms
        if protocols and not chosen.kernel.servers.serves(protocols[turn % len(protocols)]):
            self.streak = 0
            return
        if chosen.kernel.newest[pool] < self.acknowledged[pool]:
            self.stale += 1
            world.checkers.stale_read(chosen, pool)
        self.number += 1
        if not chosen.kernel.write(self.number, pool):
            self.streak = 0
            return
        self.acknowledged[pool] = self.number
        self._served(chosen.side)

    def _served(self, side: Side) -> None:
        world = self.world
        waited_ms = world.now_ms - self.last_ms
        if self.first_ms is None:
            self.first_ms = world.now_ms
            world.note("client", f"is served by {side}")
        elif waited_ms >= NOTEWORTHY_MS:
            self.waits_ms.append(waited_ms)
            world.note("client", f"is served by {side}, after waiting {waited_ms / 1000:.1f} s")
        elif side is not self.from_:
            world.note("client", f"is served by {side}")
        self.streak += 1
        self.from_ = side
        self.last_ms = world.now_ms
