"""The timed world: two controllers, their shelf, the cables between them and a client, every millisecond of it.

Events happen in order of time; events of one moment happen in the order in which they were scheduled. So the same
orders, the same chance and the same faults repeat a run exactly. Does not know faults by name (`faults`) or what must
not happen (`invariants`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple, Protocol

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.current_copies import pool_name, pools_of
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.cables import Wires
from reconciler.simulation.timed.client import Client
from reconciler.simulation.timed.controller import Controller
from reconciler.simulation.timed.invariants import Checkers
from reconciler.simulation.timed.shelf import TimedShelf

Act = Callable[[Any], None]
SIDES: Final = (Side.A, Side.B)


class Chance(Protocol):
    """The source of randomness of a run: `random.Random(seed)`, or `Steady`."""

    def random(self) -> float:
        """Return a number from 0 up to, not including, 1."""
        ...


class Steady:
    """No randomness: numbers spread evenly, the same ones each time (multiples of the golden ratio)."""

    def __init__(self) -> None:
        self._number = 0.5

    def random(self) -> float:
        """Return the next number."""
        self._number = (self._number + 0.618_034) % 1.0
        return self._number


Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Physics:
    """How long things really take, each as (shortest, longest) in milliseconds.

    `report` is the power controller's, None without one. `write` is the client's time between two writes. `start` and
    `stop` are those of a server of shares. Every other field is named after the action that it times.
    """

    wire_ms: Range = (0, 2)
    command_ms: Range = (1, 6)
    import_ms: Range = (400, 1_600)
    export_ms: Range = (80, 320)
    restart_ms: Range = (200, 800)
    handover_ms: Range = (5, 60)
    boot_ms: Range = (20_000, 40_000)
    report_ms: Range | None = None
    start_ms: Range = (200, 1_200)
    stop_ms: Range = (50, 600)
    write_ms: int = 250


class Note(NamedTuple):
    """One line of a timeline: when, who (a, b, client, or a fault of the world), and what."""

    at_ms: int
    who: str
    text: str


class World:
    """The whole world. `broken` is the first invariant that did not hold; the run stops there."""

    def __init__(
        self,
        orders: Orders,
        chance: Chance,
        physics: Physics | None = None,
        *,
        notes: bool = False,
        power: bool = True,
        machines: bool = False,
        protocols: tuple[str, ...] = (),
    ) -> None:
        """Build a world. `machines`: controllers have machine numbers, another one after each boot.

        `protocols`: those that clients speak, each with a server on both controllers; the client uses them in turn.
        Without `machines`, the epochs of keys count up by one.
        """
        self.machines = machines
        self.protocols = protocols
        #: Sides in whose name another machine beats, too, with the number of its daemon's starts.
        self.twins: dict[Side, int] = {}
        self.now_ms = 0
        self.chance = chance
        self.physics = physics or Physics()
        self.orders = orders
        self.generation = orders.generation
        #: Disks that the pools have; other disks of the shelf are spare.
        self.members = frozenset(at for vdev in orders.vdevs for at in vdev.disks)
        self.pools = pools_of(orders)
        self.vdevs_of = tuple(tuple(vdev for vdev in orders.vdevs if pool_name(vdev) == name) for name in self.pools)
        self.members_of = tuple(tuple(at for vdev in vdevs for at in vdev.disks) for vdevs in self.vdevs_of)
        self._places = {name: at for at, name in enumerate(orders.disks)}
        self.notes: list[Note] | None = [] if notes else None
        self.steps = 0
        self._queue: list[tuple[int, int, Controller | None, int, Act, Any]] = []
        self._number = 0
        self.shelf = TimedShelf(self, len(orders.disks))
        self.wires = Wires(self, orders)
        self.checkers = Checkers(self)
        self.controllers = tuple(Controller(self, replace(orders, side=side)) for side in SIDES)
        self.client = Client(self)
        if power:
            for controller in self.controllers:
                controller.power_on(0)

    @property
    def broken(self) -> str:
        """Return the invariant that broke first, or an empty string."""
        return self.checkers.broken

    def controller(self, side: Side) -> Controller:
        """Return the controller of this side."""
        return self.controllers[side is Side.B]

    def machine(self, one: Controller) -> int:
        """Return the number of a controller's machine in this boot; 0 in worlds without machine numbers."""
        return 2 * one.life + (one.side is Side.B) + 1 if self.machines else 0

    def places(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of these disks in this world; orders may number them differently."""
        return tuple(self._places[name] for name in names)

    def later(self, delay_ms: int, act: Act, argument: Any = None, owner: Controller | None = None) -> None:
        """Schedule `act` after `delay_ms`. A reset of `owner` cancels it; while `owner` is frozen, it waits."""
        self._number += 1
        life = 0 if owner is None else owner.life
        heappush(self._queue, (self.now_ms + max(0, delay_ms), self._number, owner, life, act, argument))

    def run(self, until_ms: int) -> None:
        """Let time pass until a moment, or until an invariant breaks."""
        queue, checkers = self._queue, self.checkers
        while queue and queue[0][0] <= until_ms and not checkers.broken:
            at_ms, _, owner, life, act, argument = heappop(queue)
            self.now_ms = at_ms
            if owner is not None:
                if owner.life != life:
                    continue
                if owner.frozen:
                    owner.deferred.append((act, argument))
                    continue
            act(argument)
        if not checkers.broken:
            self.now_ms = until_ms

    def draw(self, span_ms: Range) -> int:
        """Draw a duration, in milliseconds, from a range."""
        low, high = span_ms
        return low + int((high - low) * self.chance.random())

    def note(self, who: str, text: str) -> None:
        """Write a line of the timeline, if the world keeps one."""
        if self.notes is not None:
            self.notes.append(Note(self.now_ms, who, text))

    def publish(self, sides: tuple[Side, ...] = SIDES, **changes: Any) -> None:
        """Publish new orders from the agents: the world's orders with some fields changed and the next generation."""
        self.generation += 1
        self.orders = replace(self.orders, generation=self.generation, **changes)
        for side in sides:
            self.controller(side).publish(replace(self.orders, side=side))
