"""States of the exhaustive world as small numbers: each part has a number, a state is four numbers in one integer.

Does not know how the world moves; `world` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.outputs import Outputs
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.exhaustive.canonical import Numbers, smaller
from reconciler.simulation.exhaustive.scenes import Scene

OFF: Final = -1
DEAD: Final = -2
SIDES: Final = (Side.A, Side.B)
POOLS: Final = (Presence.NONE, Presence.SOME, Presence.ALL, Presence.HUNG)
NONE, SOME, ALL, HUNG = range(4)
#: Names of the events that the world feeds to a core. The world remembers a step by this name.
FED: Final = frozenset(
    {"look", "tick", "late", "conflict", "died", "asked", "hear", "changed", "ended", "shares", "newer"}
)


class SideState(NamedTuple):
    """One controller: numbers of its core (or OFF, DEAD) and of its claim (-1 none), and the state of its kernel.

    `pools` indexes POOLS. `stale`: this import lost its reservation. `out`: disks that its pools dropped, a bit each.
    `memory`: number of what a dead daemon left in /run, -1 none. `refused`: ZFS refused the last import. In sticky
    scenes only: `completion`: number of the one that runs, -1 none. `gained`: disks that a completion may have
    registered and that pools have not opened since. `replaced`: this import lost its reservation, and another import
    has begun since. In scenes with servers only: `servers` that run, a bit each; `answers`: at the virtual addresses.
    `shelf`: of which orders (`order_moves`).
    """

    core: int
    claim: int = -1
    pools: int = NONE
    stale: bool = False
    out: int = 0
    memory: int = -1
    refused: bool = False
    completion: int = -1
    gained: int = 0
    replaced: bool = False
    servers: int = 0
    answers: bool = False
    shelf: int = 0


class Between(NamedTuple):
    """The part of the state that lies between the controllers.

    `flights`: beats under way from a and from b, `record` the disk record, `writer` the controller that wrote it,
    `unread` whether the other has not read it yet; all -1 and False in scenes without delay. `lost`: disks out of reach
    of a and of b. `down`: a bit for each controller whose failover group is down. `fresh`: disks that hold every
    acknowledged write. `left`: how many more faults may happen, -1 without limit. `cuts`: a bit for each controller
    that hears nothing (scenes without delay). `differ`: neither can decode what the other seals.
    """

    flights: tuple[int, int]
    record: int
    writer: int
    unread: bool
    lost: tuple[int, int]
    down: int
    fresh: int
    left: int
    cuts: int
    differ: bool = False


class Step(NamedTuple):
    """One move of one controller: its name and what it changed. None: unchanged."""

    name: str
    node: SideState | None = None
    disks: int | None = None
    between: Between | None = None
    fault: bool = False
    broken: str = ""


class Numbering:
    """Numbers for every part of a world; packs whole states into one integer."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.orders = (scene.orders, replace(scene.orders, side=Side.B))
        self.every = (1 << len(scene.orders.disks)) - 1
        self.cores, self.claims, self.beats = Numbers(), Numbers(), Numbers()
        self.memories, self.shelves, self.completions = Numbers(), Numbers(), Numbers()
        self.nodes: list[SideState] = []
        self.betweens: list[Between] = []
        self._node_numbers: dict[SideState, int] = {}
        self._between_numbers: dict[Between, int] = {}
        self._node_masks: list[int] = []
        self._between_masks: list[int] = []
        self._steps: dict[Any, int] = {}
        self._outputs: dict[int, Outputs] = {}
        self._beats: dict[int, int] = {}
        self._moves: dict[tuple[Any, ...], list[Step]] = {}
        self._heard: dict[tuple[int, ...], int] = {}
        self._identity: dict[int, bool] = {}
        self._broken: dict[tuple[Any, ...], str] = {}

    # Numbers ---------------------------------------------------------------------------------------------------------

    def node_number(self, node: SideState) -> int:
        """Return the number of a controller's state."""
        number = self._node_numbers.get(node)
        if number is None:
            number = self._node_numbers[node] = len(self.nodes)
            self.nodes.append(node)
            mask = self.cores.masks[node.core] if node.core >= 0 else 0
            mask |= self.claims.masks[node.claim] if node.claim >= 0 else 0
            mask |= self.completions.masks[node.completion] if node.completion >= 0 else 0
            self._node_masks.append(mask | (self.memories.masks[node.memory] if node.memory >= 0 else 0))
        return number

    def between_number(self, between: Between) -> int:
        """Return the number of the state between the controllers."""
        number = self._between_numbers.get(between)
        if number is None:
            number = self._between_numbers[between] = len(self.betweens)
            self.betweens.append(between)
            beats = [beat for beat in (*between.flights, between.record) if beat >= 0]
            mask = 0
            for beat in beats:
                mask |= self.beats.masks[beat]
            self._between_masks.append(mask)
        return number

    def core_steps(self) -> Iterator[tuple[int, int]]:
        """Yield every step that the search took, as numbers of the cores before and after."""
        for key, after in self._steps.items():
            if len(key) > 1 and key[1] in FED:
                yield key[0], after

    def pack(self, a: int, b: int, shelf: int, between: int) -> int:
        """Return a state of the world as one number, with its epochs made small."""
        mask = self._node_masks[a] | self._node_masks[b] | self.shelves.masks[shelf] | self._between_masks[between]
        same = self._identity.get(mask)
        if same is None:
            names = smaller(mask)
            same = self._identity[mask] = all(old == new for old, new in names.items())
        if not same:
            a, b = self._renamed_node(a, mask), self._renamed_node(b, mask)
            shelf = self.shelves.renamed(shelf, mask)
            between = self._renamed_between(between, mask)
        return a | b << 24 | shelf << 48 | between << 72

    def unpack(self, state: int) -> tuple[int, int, int, int]:
        """Return the four parts of a state: both controllers, the shelf, and what lies between."""
        low = (1 << 24) - 1
        return state & low, state >> 24 & low, state >> 48 & low, state >> 72

    def _renamed_node(self, number: int, mask: int) -> int:
        node = self.nodes[number]
        return self.node_number(
            node._replace(
                core=self.cores.renamed(node.core, mask) if node.core >= 0 else node.core,
                claim=self.claims.renamed(node.claim, mask) if node.claim >= 0 else -1,
                completion=self.completions.renamed(node.completion, mask) if node.completion >= 0 else -1,
                memory=self.memories.renamed(node.memory, mask) if node.memory >= 0 else -1,
            )
        )

    def _renamed_between(self, number: int, mask: int) -> int:
        between = self.betweens[number]

        def new(beat: int) -> int:
            return self.beats.renamed(beat, mask) if beat >= 0 else beat

        flights = (new(between.flights[0]), new(between.flights[1]))
        return self.between_number(between._replace(flights=flights, record=new(between.record)))
