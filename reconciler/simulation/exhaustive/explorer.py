"""Exhaustive search: every state that a bounded world can reach, shortest trace first, and whether each can recover.

Searches breadth first over states coded as integers. Does not know what a state means; the world (`world`) does.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class ExplorableWorld(Protocol):
    """A world that `explore` can search. States are integers."""

    def start(self) -> int:
        """Return the first state."""
        ...

    def moves(self, state: int) -> Iterator[tuple[str, int, bool, str]]:
        """Yield every move: name, state after it, whether it is a fault, and the invariant that it breaks (or "")."""
        ...

    def served(self, state: int) -> bool:
        """Whether a controller serves clients in this state."""
        ...

    def show(self, state: int) -> str:
        """Return the state in words."""
        ...


@dataclass(frozen=True, slots=True)
class Explored:
    """Result of a search.

    `complete`: the search visited every reachable state. `broken` names the invariant that the last move of `trace`
    breaks. `stuck` counts states from which no sequence of moves without faults leads to service; `stuck_trace` leads
    to one of them.
    """

    states: int
    moves: int
    depth: int
    complete: bool
    broken: str = ""
    trace: tuple[str, ...] = ()
    stuck: int = 0
    stuck_trace: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the search was complete, found no violation, and found a way back to service from every state."""
        return self.complete and not self.broken and not self.stuck


def explore(world: ExplorableWorld, states_max: int, *, recover: bool = True) -> Explored:
    """Search until no new state is found, an invariant breaks, or `states_max` states are known."""
    first = world.start()
    index = {first: 0}
    order = [first]
    parents = array("l", [-1])
    sources, targets = array("L"), array("L")
    at = moves = depth = 0
    level_end = 1
    while at < len(order):
        if at == level_end:
            depth, level_end = depth + 1, len(order)
        for name, state, fault, broken in world.moves(order[at]):
            moves += 1
            if broken:
                trace = (*_trace(world, order, parents, at), f"{name}  => {broken}")
                return Explored(len(order), moves, depth + 1, False, broken, trace)
            known = index.get(state)
            if known is None:
                known = index[state] = len(order)
                order.append(state)
                parents.append(at)
            if recover and not fault:
                sources.append(at)
                targets.append(known)
        at += 1
        if len(order) > states_max:
            return Explored(len(order), moves, depth, False)
    if not recover:
        return Explored(len(order), moves, depth, True)
    stuck = _stuck(world, order, sources, targets)
    trace = tuple(_trace(world, order, parents, stuck[0])) if stuck else ()
    return Explored(len(order), moves, depth, True, stuck=len(stuck), stuck_trace=trace)


def _trace(world: ExplorableWorld, order: list[int], parents: array[int], at: int) -> list[str]:
    """Return the names of the moves that lead from the first state to this one, and the state in words."""
    path = [at]
    while parents[path[-1]] >= 0:
        path.append(parents[path[-1]])
    path.reverse()
    names = []
    for before, after in itertools.pairwise(path):
        names.append(next(name for name, state, *_ in world.moves(order[before]) if state == order[after]))
    return [*names, world.show(order[at])]


def _stuck(world: ExplorableWorld, order: list[int], sources: array[int], targets: array[int]) -> list[int]:
    """Return the states that cannot reach service, by going backwards from every state that serves."""
    count = len(order)
    starts = array("L", bytes(8 * (count + 1)))
    for target in targets:
        starts[target + 1] += 1
    for place in range(count):
        starts[place + 1] += starts[place]
    filled = array("L", starts)
    backwards = array("L", bytes(8 * len(targets)))
    for source, target in zip(sources, targets, strict=True):
        backwards[filled[target]] = source
        filled[target] += 1
    reached = bytearray(count)
    queue = [place for place in range(count) if world.served(order[place])]
    for place in queue:
        reached[place] = 1
    while queue:
        place = queue.pop()
        for source in backwards[starts[place] : starts[place + 1]]:
            if not reached[source]:
                reached[source] = 1
                queue.append(source)
    return [place for place in range(count) if not reached[place]]
