"""States of the exhaustive world as small numbers: each part is numbered once, a state is four numbers in one integer.

Does not know how the world moves; `bounded` does.
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
#: What a core is fed with, by the name under which its step is remembered.
FED: Final = frozenset({"look", "tick", "late", "conflict", "died", "asked", "hear", "changed", "ended"})


class SideState(NamedTuple):
    """One controller: numbers of its core (or OFF, DEAD) and of its claim (-1 none), and what its kernel holds.

    `pools` indexes POOLS. `stale`: this import lost its reservation. `out`: disks its pools gave up, a bit each.
    `memory`: number of what a dead daemon left in /run, -1 none. `refused`: the last import was. In sticky scenes only:
    `completion`: number of the one that runs, -1 none. `gained`: disks where one may have registered us, which pools
    have not opened since. `replaced`: this import lost its reservation, and another has begun since.
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


class Between(NamedTuple):
    """What lies between the controllers.

    `flights`: beats under way from a and from b, `record` the disk record, `writer` whose it is, `unread` whether the
    other has not read it yet; all -1 and False in scenes without delay. `lost`: disks out of reach of a and of b.
    `down`: a bit for each controller whose failover group is down. `fresh`: disks that hold every acknowledged
    write. `left`: how many faults may still happen, -1 without limit. `cuts`: a bit for each
    controller that hears nothing (scenes without delay). `differ`: neither can decode what the other seals.
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
    """One move of one controller: what it is called and what changed. None: unchanged."""

    name: str
    node: SideState | None = None
    disks: int | None = None
    between: Between | None = None
    fault: bool = False
    broken: str = ""


class Numbering:
    """Every part of a world by number, and whole states packed into one integer."""

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
        """The number of a controller's state."""
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
        """The number of what lies between."""
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
        """Every step that was taken, as numbers of the cores before and after."""
        for key, after in self._steps.items():
            if len(key) > 1 and key[1] in FED:
                yield key[0], after

    def pack(self, a: int, b: int, shelf: int, between: int) -> int:
        """A state of the world as one number, its epochs made small."""
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
        """The four parts of a state."""
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
