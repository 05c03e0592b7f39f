"""The exhaustive world: two controllers, their disks, the state between them, and every move they can make.

It runs the same `step`, `outputs` and claim as the watchdog. It simplifies these things: all network channels are one
channel (the core only asks whether all are silent); a look reads all disks, pools and links at one moment; each message
channel and the disk record hold one beat that may be late, lost or doubled; one tick is one bound of the core. The two
clocks are independent, so every timer may expire at any moment. Faults may happen any number of times. `pool_moves` has
the kernels and the child that completes a claim.

Assumptions: ZFS refuses an import if a disk in reach holds newer writes than the others can complete. A hardware
watchdog that is not fed resets its controller before the peer's `wait_ms` is over. Only a claim that waits for a disk
that it could not reach relies on this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from reconciler.core.failover.machine.events import (
    Asked,
    ClaimEnded,
    Conflict,
    Event,
    Heard,
    LinksSeen,
    PeerDied,
    PoolsSeen,
    Presence,
    RecordChanged,
    ShelfSeen,
    Tick,
)
from reconciler.core.failover.machine.outputs import Outputs
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.reservations.claim import Claim, Command, begin, commands
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, Fence
from reconciler.simulation.disk import Disk
from reconciler.simulation.exhaustive.canonical import Disks, plain_state
from reconciler.simulation.exhaustive.disk_visits import visited
from reconciler.simulation.exhaustive.order_moves import OrderMoves
from reconciler.simulation.exhaustive.scenes import BOTH, LATE_MS
from reconciler.simulation.exhaustive.state_numbers import (
    ALL,
    DEAD,
    NONE,
    OFF,
    POOLS,
    SIDES,
    SOME,
    Between,
    SideState,
    Step,
)

#: At most this many exchanges of beats until both cores learn nothing new. More means that the core does not settle.
PROMPT_MAX: Final = 16

Feed = Callable[[State], State]


class BoundedWorld(OrderMoves):
    """A scene that can be explored (see `explorer.ExplorableWorld`)."""

    def start(self) -> int:
        """Both controllers off and the disks blank, or the state after the moves by which the scene begins."""
        off = self.node_number(SideState(OFF))
        shelf = self.shelves.number((Disk(),) * len(self.scene.orders.disks))
        most, begins = self.scene.faults.most, self.scene.begins
        left = -1 if begins else most
        between = Between((-1, -1), -1, -1, False, (0, 0), 0, self.every, left, 0, self.scene.faults.secrets)
        state = self.pack(off, off, shelf, self.between_number(between))
        for wanted in begins:
            found = [after for name, after, *_ in self.moves(state) if name.startswith(wanted)]
            assert len(found) == 1, f"scene {self.scene.name}: {len(found)} moves are {wanted}; {self.show(state)}"
            state = found[0]
        a, b, shelf, there = self.unpack(state)
        return self.pack(a, b, shelf, self.between_number(self.betweens[there]._replace(left=most)))

    def moves(self, state: int) -> Iterator[tuple[str, int, bool, str]]:
        """Yield every move of both controllers and of the state between them."""
        numbers = self.unpack(state)
        left = self.betweens[numbers[3]].left
        for me in (0, 1):
            mine, others = numbers[me], numbers[1 - me]
            for move in self._own_moves(me, mine, others, numbers[2], numbers[3]):
                if not move.fault or left:
                    yield self._finish(move, me, numbers)
        for name, between, fault in self._surroundings(self.betweens[numbers[3]]):
            if not fault or left:
                after = between._replace(left=left - (fault and left > 0))
                yield name, self._prompt([*numbers[:3], self.between_number(after)]), fault, ""

    def _own_moves(self, me: int, mine: int, others: int, shelf: int, between: int) -> list[Step]:
        """Return the moves of one controller, remembered by the parts of the state that they depend on."""
        node, other = self.nodes[mine], self.nodes[others]
        key = (me, mine, shelf, between, other.core == OFF, other.pools != NONE)
        known = self._moves.get(key)
        if known is None:
            made = self._controller(me, node, other, shelf, self.betweens[between])
            known = self._moves[key] = [_named(me, move) for move in made]
        return known

    def _finish(self, move: Step, me: int, old: tuple[int, int, int, int]) -> tuple[str, int, bool, str]:
        """Return the whole world after a controller's move. Tells the other controller about changed disks."""
        parts = list(old)
        if move.node is not None:
            parts[me] = self.node_number(move.node)
        if move.between is not None or move.fault:
            between = move.between or self.betweens[old[3]]
            parts[3] = self.between_number(between._replace(left=between.left - (move.fault and between.left > 0)))
        broken = move.broken
        if self.scene.faults.sticky and move.node is not None and move.node.pools == SOME:
            other = self.nodes[parts[1 - me]]
            parts[1 - me] = self.node_number(other._replace(replaced=other.stale and other.pools != NONE))
        if move.disks is not None:
            parts[2] = move.disks
            for side in (0, 1):
                node = self.nodes[parts[side]]
                if node.pools != NONE and not node.stale and not self._writes(side, parts[2], node.gained):
                    parts[side] = self.node_number(node._replace(stale=True))
        broken = broken or self._violation(parts[0], parts[1], parts[2])
        return move.name, self._prompt(parts), move.fault, broken

    def _prompt(self, parts: list[int]) -> int:
        """In scenes without delay beats arrive at once: exchange them until neither controller learns anything new."""
        between = self.betweens[parts[3]]
        if self.scene.faults.delay:
            return self.pack(*parts)
        for _ in range(PROMPT_MAX):
            before = (parts[0], parts[1])
            for me in (0, 1):
                key = (parts[me], parts[1 - me], parts[2], parts[3])
                known = self._heard.get(key)
                if known is None:
                    node, other = self.nodes[parts[me]], self.nodes[parts[1 - me]]
                    known = self._heard[key] = self.node_number(self._told(me, node, other, parts[2], between))
                parts[me] = known
            if before == (parts[0], parts[1]):
                return self.pack(*parts)
        raise AssertionError("two controllers that talk for ever")

    def _told(self, me: int, node: SideState, other: SideState, shelf: int, between: Between) -> SideState:
        """Return the controller after it has received everything that it can receive."""
        if node.core < 0 or other.core < 0:
            return node
        beat = self._beat(other.core, self.outputs_of(other.core))
        if not between.cuts >> me & 1 and not between.differ:
            node = self._hear(node, 0, beat, 1)
        reads = self._majority(~between.lost[me])
        if reads and self.outputs_of(other.core).record and self._may_record(1 - me, shelf, between):
            if between.differ:
                return self._fed(node, ("changed",), partial(_stepped, event=RecordChanged()))
            node = self._hear(node, 1, beat, 1)
        return node

    # One controller --------------------------------------------------------------------------------------------------

    def _controller(self, me: int, node: SideState, other: SideState, shelf: int, between: Between) -> Iterator[Step]:
        yield from self._kernel(me, node, shelf, between)
        yield from self._life(me, node)
        yield from self._servers(node)
        yield from self._arrives(me, node)
        if node.core < 0:
            return
        yield from self._time(me, node, other, shelf, between)
        if self.scene.faults.delay:
            yield from self._messages(me, node, shelf, between)
        if node.claim >= 0:
            yield from self._claim(me, node, shelf, between)
        if self.scene.faults.sticky:
            yield from self._completes(me, node, shelf, between)
        if node.pools in (SOME, ALL) and not self._writes(me, shelf, node.gained):
            yield Step("a write is refused", self._fed(node, ("conflict",), lambda s: step(s, Conflict(), 0)))
        if self.scene.faults.proof and other.core == OFF and not self.state_of(node).peer.dead:
            event = PeerDied("power controller")
            yield Step("peer proven dead", self._fed(node, ("died",), lambda s: step(s, event, 0)), fault=True)
        for request in self.scene.asked:
            asked = Asked(request)
            after = self._fed(node, ("asked", request), partial(_stepped, event=asked))
            person_needed = not self.scene.orders.enabled
            yield Step(f"a person asks: {request}", after, fault=not person_needed)

    def _life(self, me: int, node: SideState) -> Iterator[Step]:
        """Yield moves of power, of the daemon's life, and of the hardware watchdog."""
        faults = self.scene.faults
        if node.core == OFF:
            yield Step("boots", self._settled(SideState(self._core(self._initial(node, me)), shelf=node.shelf)))
            return
        if faults.power:
            yield Step("loses power", self._off(node), fault=True)
        if node.core == DEAD:
            memory = self.memories.values[node.memory] if node.memory >= 0 else None
            core = self._core(self._initial(node, me, memory))
            yield Step("daemon restarts", self._settled(node._replace(core=core, memory=-1)))
            yield Step("deadman resets it", self._off(node))
            return
        outs = self.outputs_of(node.core)
        if faults.crash:
            memory_no = -1 if outs.remember is None else self.memories.number(outs.remember)
            yield Step("daemon dies", node._replace(core=DEAD, claim=-1, completion=-1, memory=memory_no), fault=True)
        if not outs.feed:
            yield Step("resets", self._off(node))

    def _time(self, me: int, node: SideState, other: SideState, shelf: int, between: Between) -> Iterator[Step]:
        """Yield a look, a tick with a look just before it, and a late wake without a look."""
        state = self.state_of(node)
        seen = self._look(me, node, shelf, between)
        yield Step("looks", seen)
        # Only here the world trusts the hardware watchdog of the peer: see the docstring of the module.
        waits = state.phase is Phase.CLAIMING and state.fence is Fence.WAIT
        if waits and other.pools != NONE and not self.scene.faults.unarmed:
            return
        # A command that outlives its bound is a fault. Every other timer may expire at any moment.
        slow = node.claim >= 0 or (state.phase, node.pools != NONE) == (Phase.RELEASING, True)
        slow = slow or (state.phase, node.pools != ALL) == (Phase.IMPORTING, True)
        after = self._fed(seen, ("tick",), lambda s: step(s, Tick(), 1))
        if self.scene.faults.slow or not slow:
            yield Step("a bound runs out" if slow else "time passes", after, fault=slow)
        if self.scene.faults.slow and slow and node.claim < 0:
            yield from self._goes_slowly(node, state)
        if self.scene.faults.late:
            yield Step("wakes late", self._fed(node, ("late",), lambda s: step(s, Tick(), LATE_MS)), fault=True)

    def _goes_slowly(self, node: SideState, state: State) -> Iterator[Step]:
        """A slow import or export makes progress; or an export stops because a process uses a mounted file system."""
        seen = PoolsSeen(state.looks.pools, 1 - state.looks.progress)
        yield Step("it goes on", self._fed(node, ("goes on",), lambda s: step(s, seen, 0)))
        if state.phase is Phase.RELEASING and node.pools == ALL:
            used = replace(seen, progress=state.looks.progress, used=True)
            yield Step("what is mounted is in use", self._fed(node, ("used",), lambda s: step(s, used, 0)))

    def _look(self, me: int, node: SideState, shelf: int, between: Between) -> SideState:
        lost, down = between.lost[me], between.down >> me & 1
        key = ("look", shelf, lost, node.pools, node.refused, node.out, down, node.servers)

        def feed(state: State) -> State:
            disks: Disks = self.shelves.values[shelf]
            views = tuple(UNANSWERED if lost >> at & 1 else disk.view() for at, disk in enumerate(disks))
            pools = Presence.REFUSED if node.refused and node.pools == NONE else POOLS[node.pools]
            out = frozenset(at for at in range(len(disks)) if node.out >> at & 1)
            events: tuple[Event, ...] = (
                PoolsSeen(pools, state.looks.progress, state.looks.used),
                LinksSeen(frozenset() if down else frozenset({"net"})),
                ShelfSeen(views, out),
            )
            shares = (self._shares_seen(node),) if self.scene.faults.servers else ()
            for event in (*shares, *events):
                state = step(state, event, 0)
            return state

        return self._fed(node, key, feed)

    def _messages(self, me: int, node: SideState, shelf: int, between: Between) -> Iterator[Step]:
        """Beats arrive late and unchanged. A beat that never arrives needs no move and is no fault."""
        outs = self.outputs_of(node.core)
        mine, flights = self._beat(node.core, outs), between.flights
        if flights[me] != mine:
            sent = (mine, flights[1]) if me == 0 else (flights[0], mine)
            yield Step("sends a beat", between=between._replace(flights=sent))
        if flights[1 - me] >= 0:
            left = (flights[0], -1) if me == 0 else (-1, flights[1])
            yield from self._hears(node, 0, flights[1 - me], between._replace(flights=left), "hears a beat")
        if outs.record and self._may_record(me, shelf, between):
            written = between._replace(record=mine, writer=me, unread=True)
            if written != between:
                yield Step("writes its record", between=written)
        if between.writer == 1 - me and between.unread and self._majority(~between.lost[me]):
            read = between._replace(unread=False)
            yield from self._hears(node, 1, between.record, read, "reads the record")

    def _may_record(self, me: int, shelf: int, between: Between) -> bool:
        return self._majority(self._writable(me, shelf) & ~between.lost[me])

    def _hears(self, node: SideState, channel: int, beat: int, between: Between, name: str) -> Iterator[Step]:
        """Deliver the beat once, and then a second time: a doubled beat must change nothing."""
        once = self._hear(node, channel, beat, 1)
        yield Step(name, once, between=between)
        twice = self._hear(once, channel, beat, 0)
        if twice != once:
            yield Step(f"{name} twice", twice, between=between)

    def _hear(self, node: SideState, channel: int, beat: int, counter: int) -> SideState:
        def feed(state: State) -> State:
            return step(state, Heard(channel, replace(self.beats.values[beat], counter=counter)), 0)

        return self._fed(node, ("hear", channel, beat, counter), feed)

    def _claim(self, me: int, node: SideState, shelf: int, between: Between) -> Iterator[Step]:
        """Yield the end of a claim, or its next command to a disk (the whole visit unless the scene is `fine`)."""
        claim: Claim = self.claims.values[node.claim]
        asked = commands(claim)
        if not asked:
            bare = node._replace(claim=-1)
            event = ClaimEnded(claim.key.epoch, claim.result)
            after = self._fed(bare, ("ended", node.claim), lambda s: step(s, event, 0))
            unfenced = self.state_of(after).phase is Phase.IMPORTING and not self._proves(claim)
            yield Step("the claim ends", after, broken="import without a verified fence" if unfenced else "")
        for order in asked if self.scene.faults.wide else asked[:1]:
            yield self._visit(me, node, order, shelf, between)

    def _visit(self, me: int, node: SideState, order: Command, shelf: int, between: Between) -> Step:
        lost = bool(between.lost[me] >> order.disk & 1)
        claim, disks, name = visited(
            self.claims.values[node.claim], order, SIDES[me], self.shelves.values[shelf],
            lost=lost, fine=self.scene.faults.fine,
        )  # fmt: skip
        return Step(name, node._replace(claim=self.claims.number(claim)), disks=self.shelves.number(disks))

    # Between ---------------------------------------------------------------------------------------------------------

    def _surroundings(self, between: Between) -> Iterator[tuple[str, Between, bool]]:
        """Yield disks and groups that fail, which are faults, and that come back, which are none."""
        faults = self.scene.faults
        for side in (0, 1) if faults.cuts and not faults.delay else ():
            gone = between.cuts >> side & 1
            name = f"{SIDES[side]} hears {'the peer again' if gone else 'nothing more'}"
            yield name, between._replace(cuts=between.cuts ^ 1 << side), not gone
        if between.differ:
            yield "the secrets agree", between._replace(differ=False), False
        for side, mask in faults.reach:
            gone = any(between.lost[at] & mask for at in (0, 1) if side in (at, BOTH))
            lost = tuple(held ^ mask if side in (at, BOTH) else held for at, held in enumerate(between.lost))
            name = f"disks {mask:#05b} {'back' if gone else 'out of reach'} for {'ab'[side] if side < BOTH else 'both'}"
            if gone or not faults.stays or between.left < 0:
                yield name, between._replace(lost=(lost[0], lost[1])), not gone
        for side in faults.links:
            gone = between.down >> side & 1
            word = "up" if gone else "down"
            yield f"group of {SIDES[side]} {word}", between._replace(down=between.down ^ 1 << side), not gone

    # Cores -----------------------------------------------------------------------------------------------------------

    def _core(self, state: State) -> int:
        return self.cores.number(plain_state(state, state.orders.timers))

    def _fed(self, node: SideState, key: tuple[Any, ...], feed: Feed) -> SideState:
        """Return the controller after its core was fed. Steps each (state, event) once and remembers the result."""
        core = self._memo((node.core, *key), lambda: self._core(feed(self.cores.values[node.core])))
        return self._settled(node._replace(core=core)) if core != node.core else node

    def _settled(self, node: SideState) -> SideState:
        """Do what the daemon does at once: begin the claim that the core asks for."""
        node, key = self._with_shelf(node), self.outputs_of(node.core).claim
        if key is None or node.claim >= 0:
            return node
        claim = self._memo(("begin", node.core), lambda: self.claims.number(begin(self.state_of(node).orders, key)))
        return node._replace(claim=claim, completion=-1)

    def _beat(self, core: int, outs: Outputs) -> int:
        return self._memo(("beat", core), lambda: self.beats.number(outs.beat))

    # For people ------------------------------------------------------------------------------------------------------

    def served(self, state: int) -> bool:
        """Whether one controller serves: active, pools imported, every vdev writable and in reach."""
        numbers = self.unpack(state)
        between = self.betweens[numbers[3]]
        for me in (0, 1):
            node = self.nodes[numbers[me]]
            up = node.servers == self._all_servers and (node.answers or not node.servers)
            if node.core >= 0 and node.pools == ALL and up and self.state_of(node).phase is Phase.ACTIVE:
                return self._quorum(self._writable(me, numbers[2]) & ~between.lost[me])
        return False

    def show(self, state: int) -> str:
        """Return the state in words."""
        numbers = self.unpack(state)
        words = []
        for me in (0, 1):
            node = self.nodes[numbers[me]]
            phase = "off" if node.core == OFF else "dead" if node.core == DEAD else self.state_of(node).phase
            words.append(f"{SIDES[me]} {phase}, pools {POOLS[node.pools]}{', stale' if node.stale else ''}")
        keys = [str(disk.view().holder or "free") for disk in self.shelves.values[numbers[2]]]
        return "; ".join([*words, "disks " + " ".join(keys)])


def _stepped(state: State, event: Event) -> State:
    return step(state, event, 0)


def _named(me: int, move: Step) -> Step:
    return move._replace(name=f"{SIDES[me]}: {move.name}")
