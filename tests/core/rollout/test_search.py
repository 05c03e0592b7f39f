"""Every state of a small world: two controllers take one revision while messages are lost, agents die and roles move.

The world is a model of what surrounds `next_step`: looks that see an old state of the peer, applies that take time and
may fail, watchdogs that move the pools. The search visits all interleavings within a few faults.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from reconciler.core.rollout.next_step import AWAY_LOOKS, LookCounts, StepKind, next_step
from reconciler.core.rollout.rollout_state import RolloutState, ServingRole

OLD, NEW = "old", "new"
ACTIVE, STANDBY = ServingRole.ACTIVE, ServingRole.STANDBY


@dataclass(frozen=True)
class Half:
    """One controller. `seen`: the peer's state of the last look; `fresh`: that look is not used yet.

    `alone`: the apply that runs was begun without an answer of the peer.
    """

    state: RolloutState
    alive: bool = True
    applying: bool = False
    alone: bool = False
    fresh: bool = False
    seen: RolloutState | None = None
    looks: LookCounts = field(default_factory=LookCounts)


@dataclass(frozen=True)
class World:
    """Both, what faults may still happen, and the switchovers that were asked for."""

    a: Half
    b: Half
    deaths: int = 0
    losses: int = 0
    failures: int = 0
    moves: int = 0
    switchovers: int = 0
    in_place: int = 0

    def half(self, side: str) -> Half:
        return self.a if side == "a" else self.b

    def put(self, side: str, half: Half, **more: int) -> World:
        return replace(self, **{side: half}, **more)  # type: ignore[arg-type]


def other(side: str) -> str:
    return "b" if side == "a" else "a"


def look(world: World, side: str, *, lost: bool = False) -> World:
    """Ask the peer: its state as it is now, or nothing."""
    half, peer = world.half(side), world.half(other(side))
    seen = peer.state if peer.alive and not lost else None
    looks = half.looks.after(half.state, seen)
    return world.put(side, replace(half, fresh=True, seen=seen, looks=looks), losses=world.losses - lost)


def act(world: World, side: str) -> World:
    """Decide from the last look, and do it."""
    half, peer = world.half(side), world.half(other(side))
    step = next_step(half.state, half.seen, half.looks)
    half, state = replace(half, fresh=False, seen=None), half.state
    if step.kind is StepKind.CLAIM:
        return world.put(side, replace(half, state=replace(state, begun=state.wanted)))
    if step.kind is StepKind.YIELD:
        return world.put(side, replace(half, state=replace(state, begun="")))
    if step.kind is StepKind.APPLY:
        noticed = state.role is ACTIVE and state.interrupts
        if noticed:
            # The peer's watchdog is heard as long as its controller lives, and it could have served.
            assert not state.hears, "clients are interrupted although the standby could serve them"
        if state.role is ACTIVE and half.looks.away < AWAY_LOOKS:
            assert peer.state.applied == NEW or not peer.alive, "the active controller goes before the standby"
            assert peer.state.able or not peer.state.was_able, "the active follows a standby that cannot take over"
        assert peer.state.refused != NEW or half.looks.away >= AWAY_LOOKS, "one applies what the other cannot"
        half = replace(half, applying=True, alone=half.looks.away >= AWAY_LOOKS)
        return world.put(side, half, in_place=world.in_place + noticed)
    if step.kind is StepKind.SWITCHOVER:
        mine = replace(half, state=replace(state, switched=state.wanted))
        world = world.put(side, mine, switchovers=world.switchovers + 1)
        accepted = state.role is ACTIVE and peer.state.role is STANDBY and peer.state.able
        return moved(world) if accepted else world
    return world.put(side, half)


def moved(world: World) -> World:
    """The pools move: the roles change places."""

    def changed(half: Half) -> Half:
        serves = half.state.role is not ACTIVE
        role = ACTIVE if serves else STANDBY
        return replace(half, state=replace(half.state, role=role, able=not serves, ready=serves))

    return replace(world, a=changed(world.a), b=changed(world.b))


def finish(world: World, side: str, *, well: bool) -> World:
    """The apply ends."""
    half = replace(world.half(side), applying=False, alone=False)
    done = replace(half.state, begun="", was_able=half.state.able)
    done = replace(done, applied=NEW, failed="") if well else replace(done, failed=NEW, failed_why="full disk")
    return world.put(side, replace(half, state=done), failures=world.failures - (not well))


def kill(world: World, side: str) -> World:
    """The agent dies. What it has written stays; an apply stops in the middle."""
    half = replace(world.half(side), alive=False, applying=False, alone=False, fresh=False, seen=None)
    return world.put(side, replace(half, looks=LookCounts()), deaths=world.deaths - 1)


def start(world: World, side: str) -> World:
    """The agent starts again, and takes back what it had begun."""
    half = world.half(side)
    return world.put(side, replace(half, alive=True, state=replace(half.state, begun="")))


def successors(world: World) -> Iterator[World]:
    for side in "ab":
        half = world.half(side)
        if not half.alive:
            yield start(world, side)
            continue
        if half.applying:
            yield finish(world, side, well=True)
            if world.failures:
                yield finish(world, side, well=False)
        elif half.fresh:
            yield act(world, side)
        else:
            yield look(world, side)
            if world.losses and world.half(other(side)).alive:
                yield look(world, side, lost=True)
        if world.deaths:
            yield kill(world, side)
    if world.moves:
        yield replace(moved(world), moves=world.moves - 1)


def settled(world: World) -> World:
    """The world after every fault has ended and everybody had its turns."""
    for side in "ab":
        if not world.half(side).alive:
            world = start(world, side)
    for _ in range(40):
        before = world
        for side in "ab":
            half = world.half(side)
            if half.applying:
                world = finish(world, side, well=True)
            world = act(look(world, side), side)
        if world == before:
            return world
    raise AssertionError(f"never comes to rest: {world}")


def state_of(side: str, role: ServingRole, **more: object) -> RolloutState:
    state = RolloutState(controller=side, wanted=NEW, applied=OLD, role=role, hears=True, interrupts=True)
    return replace(state, able=role is STANDBY, was_able=role is STANDBY, ready=role is ACTIVE, **more)  # type: ignore[arg-type]


@dataclass
class Search:
    """Visits every state once."""

    seen: set[World] = field(default_factory=set)

    def run(self, start_world: World) -> None:
        pending = deque([start_world])
        self.seen.add(start_world)
        while pending:
            world = pending.popleft()
            self.check(world)
            for following in successors(world):
                if following not in self.seen:
                    self.seen.add(following)
                    pending.append(following)

    def check(self, world: World) -> None:
        assert world.switchovers <= 1, "one switchover for each revision"
        both = world.a.applying and world.b.applying
        assert not both or world.a.alone or world.b.alone, "both apply at the same time"
        end = settled(world)
        states = (end.a.state, end.b.state)
        if all(state.applied == NEW for state in states):
            return
        for side in "ab":
            half = look(end, side).half(side)
            step = next_step(half.state, half.seen, half.looks)
            assert step.kind in (StepKind.DONE, StepKind.WAIT, StepKind.HOLD), step
            assert step.kind is StepKind.DONE or step.why
        told = [next_step(half.state, look(end, side).half(side).seen, LookCounts(steady=3)) for side, half in
                (("a", end.a), ("b", end.b))]  # fmt: skip
        assert any(step.kind is StepKind.HOLD for step in told), (end, told)
        assert any(state.failed or state.refused for state in states) or end.switchovers, end


@pytest.mark.parametrize("interrupts", [True, False], ids=["interrupts", "in-place"])
@pytest.mark.parametrize("active", ["a", "b"])
def test_every_interleaving(active: str, interrupts: bool) -> None:
    sides = {
        side: Half(replace(state_of(side, ACTIVE if side == active else STANDBY), interrupts=interrupts))
        for side in "ab"
    }
    for faults in ({"deaths": 1, "losses": 1}, {"failures": 1, "moves": 1}, {"deaths": 1, "moves": 1}):
        search = Search()
        search.run(World(sides["a"], sides["b"], **faults))
        assert len(search.seen) > 100


def test_a_revision_that_the_other_cannot_load_is_applied_by_neither() -> None:
    a = Half(state_of("a", ACTIVE))
    b = Half(state_of("b", STANDBY, refused=NEW, refused_why="disk.yaml:3:5: no such disk"))
    b = replace(b, state=replace(b.state, wanted=OLD))
    search = Search()
    search.run(World(a, b, deaths=1, losses=2))
    assert all(NEW not in (world.a.state.applied, world.b.state.applied) or world.deaths == 0 for world in search.seen)
    end = settled(World(a, b))
    step = next_step(end.a.state, end.b.state, LookCounts())
    assert (step.kind, "b cannot take this revision: disk.yaml:3:5" in step.why) == (StepKind.HOLD, True)
