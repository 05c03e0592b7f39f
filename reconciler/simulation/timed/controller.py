"""One controller of the timed world: power, the hardware watchdog, and a watchdog daemon around the core.

The daemon is the smallest that obeys `outputs`: it ticks, looks, receives beats, saves its memory before it acts, and
runs commands as children. Its methods let things go wrong; `faults` decides which of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.agreed_limits import with_agreement
from reconciler.core.failover.machine.events import (
    ClaimEnded,
    Conflict,
    Event,
    Heard,
    LinksSeen,
    NewOrders,
    PeerDied,
    PoolsSeen,
    Presence,
    SharesSeen,
    Tick,
)
from reconciler.core.failover.machine.finished_claim import feeds_ms
from reconciler.core.failover.machine.outputs import Outputs, outputs
from reconciler.core.failover.machine.pending_orders import resumed, with_records
from reconciler.core.failover.machine.state import Memory, State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Orders, layout
from reconciler.core.failover.reservations.claim import Claim
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.claim_runner import ClaimRunner
from reconciler.simulation.timed.completion_runner import Completer
from reconciler.simulation.timed.controller_files import Files
from reconciler.simulation.timed.disk_monitor import DiskMonitor
from reconciler.simulation.timed.disk_records import Records
from reconciler.simulation.timed.kernel import Kernel

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World

#: Datagrams that the sockets of a paused daemon hold; further ones are lost.
HELD_MAX: Final = 200


class Controller:
    """One of the two controllers, from its power supply up to the core.

    `life` rises with every reset, `daemon` with every start of the daemon; the controller drops events of an earlier
    life or daemon. `paused`: the daemon does not run, the kernel does. `frozen`: only the hardware watchdog runs.
    `rate`: local milliseconds for each true one. `fuse`: the daemon dies after this many effects, None for never.
    `orders` are in force, `published` the newest orders in the agent's file. `files`: the shelf in force, resets and
    automatic moves. `published` and `files` survive every reset.
    """

    def __init__(self, world: World, orders: Orders) -> None:
        self.world = world
        self.side: Side = orders.side
        self.orders = self.published = orders
        self.on = False
        self.life = 0
        self.daemon = 0
        self.incarnation = 0
        self.counter = 0
        self.core: State | None = None
        self.outs: Outputs | None = None
        self.paused = self.frozen = False
        self.frozen_ms = 0
        self.deferred: list[tuple[Callable[[Any], None], Any]] = []
        self.held: list[tuple[Callable[[Any], None], Any]] = []
        self.rate = 1.0
        self.offset_ms = 0
        self.leapt_ms: int | None = None
        self.memory: Memory | None = None
        self.files = Files(world, self)
        self.fed_ms: int | None = None
        self.completer = Completer(world, self)
        self.monitor = DiskMonitor(world, self)
        self.kernel = Kernel(world, self)
        self.claim_runner = ClaimRunner(world, self, self._claim_ended)
        self.fuse: int | None = None
        self.blind = False
        self.reset_fails, self.guarded, self.timeout_ms = False, True, 0
        self.records = Records(world, self.side)
        self._told: tuple[PoolsSeen | None, frozenset[str] | None] = (None, None)
        self._told_shares: SharesSeen | None = None
        self.servers_seen_ms = 0

    # Power and the deadman -------------------------------------------------------------------------------------------

    def power_on(self, boot_ms: int | None = None) -> None:
        """Switch the power on and boot. `boot_ms`: duration; drawn from the physics if None."""
        if self.on:
            return
        self.on = True
        world = self.world
        world.later(world.draw(world.physics.boot_ms) if boot_ms is None else boot_ms, self.start, None, self)

    def power_off(self) -> None:
        """Switch the power off. Everything volatile is lost at once."""
        if not self.on:
            return
        self.on = False
        self.life += 1
        self.daemon += 1
        self.core = self.outs = self.memory = self.fed_ms = self.fuse = None
        self.paused = self.frozen = False
        self.claim_runner.drop()
        self.completer.drop()
        self.deferred.clear()
        self.held.clear()
        self.kernel.vanish()

    def reset(self, why: str) -> None:
        """Reset: power off, and boot. `why` goes into the timeline."""
        self.files.note_reset()
        self.world.note(self.side, f"resets: {why}")
        self.power_off()
        self.power_on()

    def _feed_deadman(self, core: State) -> None:
        self.timeout_ms = feeds_ms(core)
        if self.fed_ms is None and self.guarded:
            self.world.later(self.timeout_ms, self._deadman, self.life)
        self.fed_ms = self.world.now_ms if self.guarded else None

    def _deadman(self, life: int) -> None:
        """The hardware watchdog. It keeps counting when the machine freezes."""
        if life != self.life or self.fed_ms is None:
            return
        left_ms = self.fed_ms + self.timeout_ms - self.world.now_ms
        if left_ms > 0:
            self.world.later(left_ms, self._deadman, life)
        else:
            self.reset("the deadman was not fed")

    @property
    def read(self) -> Orders:
        """Return the orders with the disks to look at: these include all arbitration disks that may hold a record."""
        return with_records(self.orders, self.core.pending if self.core is not None else None)

    def clock(self) -> int:
        """Return the local monotonic clock in milliseconds."""
        return int(self.world.now_ms * self.rate) + self.offset_ms

    def set_rate(self, rate: float) -> None:
        """Let the clock drift at this rate from now on; it does not jump."""
        before_ms = self.clock()
        self.rate = rate
        self.offset_ms += before_ms - self.clock()

    def leap(self, by_ms: int) -> None:
        """Let the clock leap ahead."""
        self.offset_ms += by_ms
        self.leapt_ms = self.world.now_ms

    # The daemon's life -----------------------------------------------------------------------------------------------

    def start(self, _: Any = None) -> None:
        """Start the daemon, after a boot or after it died."""
        if not self.on or self.core is not None:
            return
        self.daemon += 1
        self.incarnation += 1
        self.counter = 0
        newest = self.published if self.published.generation >= self.orders.generation else self.orders
        self.orders, pending = resumed(newest, self.files.shelf)
        self.files.shelf = layout(self.orders)
        self.files.boots()
        machine, (resets, moves) = self.world.machine(self), self.files.recent(self.orders.limits)
        core = initial(self.orders, self.incarnation, self.clock(), self.memory, resets, moves, machine, pending)
        self.core = replace(with_agreement(core, self.files.agreement), armed=self.guarded)
        self.outs = outputs(self.core)
        self._told, self._told_shares = (None, None), None
        self.records.start()
        self.paused = False
        self.world.note(self.side, f"daemon starts{' again' if self.memory else ''}")
        if self.world.protocols:
            self._tell_shares(SharesSeen(served=False, stopped=False))
        for loop in (self._tick, self.monitor.look, self._record):
            loop(self.daemon)

    def die(self) -> None:
        """The daemon dies, and its claim child with it. The kernel continues, also with commands it has begun."""
        if self.core is None:
            return
        self.daemon += 1
        self.core = self.outs = self.fuse = None
        self.claim_runner.drop()
        self.completer.drop()
        self.paused = False
        self.held.clear()
        self.world.note(self.side, "daemon dies")
        self.world.later(self.world.draw(self.world.physics.restart_ms), self.start, None, self)

    def pause(self) -> None:
        """The daemon stops running."""
        self.paused = self.core is not None

    def resume(self) -> None:
        """The daemon runs again and handles all events that piled up, timers first or messages first."""
        if not self.paused:
            return
        self.paused = False
        held, self.held = self.held, []
        if self.world.chance.random() < 0.5:
            held.reverse()
        for act, argument in held:
            act(argument)

    def freeze(self) -> None:
        """The whole machine stops, except its hardware watchdog."""
        if self.on and not self.frozen:
            self.frozen, self.frozen_ms = True, self.world.now_ms
            self.world.checkers.answers_changed()

    def thaw(self, *, clock_stood: bool = False) -> None:
        """The machine runs again. `clock_stood`: its clock stood still, as a paused virtual machine's does."""
        if not self.frozen:
            return
        self.frozen = False
        if clock_stood:
            self.offset_ms -= int((self.world.now_ms - self.frozen_ms) * self.rate)
        deferred, self.deferred = self.deferred, []
        for act, argument in deferred:
            self.world.later(0, act, argument, self)
        self.world.checkers.answers_changed()

    # Loops -----------------------------------------------------------------------------------------------------------

    def again(self, interval_ms: int, loop: Callable[[int], None], daemon: int) -> None:
        """Call a loop of this daemon again after `interval_ms` of the local clock."""
        self.world.later(max(1, int(interval_ms / self.rate)), loop, daemon, self)

    def _tick(self, daemon: int) -> None:
        if daemon != self.daemon:
            return
        if self.paused:
            self.held.append((self._tick, daemon))
            return
        pools = PoolsSeen(Presence.UNKNOWN, self.kernel.progressed) if self.blind else self.kernel.seen()
        up = self.world.wires.up(self.side)
        if pools != self._told[0]:
            self._told = (pools, self._told[1])
            self.feed(pools)
        if up is not self._told[1] and self.core is not None:
            self._told = (self._told[0], up)
            self.feed(LinksSeen(up))
        if self.world.protocols:
            self.servers_seen_ms = self.world.now_ms
            self._tell_shares(self.kernel.servers.seen())
        if self.core is None:
            return
        self.files.ticks()
        self.feed(Tick(), act=True)
        if daemon == self.daemon and self.outs is not None:
            self._send(self.outs.beat)
            self.again(self.orders.timers.beat_ms, self._tick, daemon)

    def _tell_shares(self, seen: SharesSeen) -> None:
        if seen != self._told_shares:
            self._told_shares = seen
            self.feed(seen)

    def _send(self, beat: Beat) -> None:
        self.counter += 1
        beat = replace(beat, counter=self.counter)
        for channel in range(len(self.world.wires.channels)):
            self.world.wires.send(self.side, channel, beat, self.records.seal)

    def last_word(self, beat: Beat) -> None:
        """Send what a panic handler sends: the daemon's last beat, marked as dying."""
        self._send(replace(beat, dying=True))

    def _record(self, daemon: int) -> None:
        if daemon != self.daemon or self.core is None or self.outs is None:
            return
        if self.paused:
            self.held.append((self._record, daemon))
            return
        if self.outs.record:
            self.counter += 1
            self.records.write(replace(outputs(self.core).beat, counter=self.counter), self)
        self.again(self.orders.timers.record_ms, self._record, daemon)

    def arrives(self, message: tuple[int, Beat, int]) -> None:
        """Receive a datagram. The daemon drops one that is sealed with another secret."""
        if self.core is None:
            return
        if self.paused:
            if len(self.held) < HELD_MAX:
                self.held.append((self.arrives, message))
            return
        channel, beat, seal = message
        if seal == self.records.seal:
            self.feed(Heard(channel, beat))

    def told(self, event: Event) -> None:
        """Receive any other event from outside: from a person, the agent, the power controller, the kernel."""
        if self.core is None:
            return
        if self.frozen or self.paused:
            (self.deferred if self.frozen else self.held).append((self.told, event))
            return
        self.feed(event, act=True)

    def conflict(self, _: Any = None) -> None:
        """The arbitration disks refused our record because of their reservation."""
        self.told(Conflict())

    def publish(self, orders: Orders) -> None:
        """The agent writes its file with orders; the daemon follows the orders that it accepts."""
        if orders.generation > self.published.generation:
            self.published = orders
        self.told(NewOrders(orders))

    def power_report(self, _: Any = None) -> None:
        """The power controller reports that the peer is off, if the peer is still off now."""
        if not self.world.controller(self.side.other).on:
            self.told(PeerDied("power controller"))

    # The core and what it asks for -----------------------------------------------------------------------------------

    def feed(self, event: Event, *, act: bool = False) -> None:
        """Run one step of the core."""
        before = self.core
        if before is None:
            return
        self.world.steps += 1
        core = self.core = step(before, event, self.clock())
        if core.moves_ms is not before.moves_ms and len(core.moves_ms) and core.phase is not before.phase:
            self.files.note_move()
        if core.orders is not self.orders:
            if layout(core.orders) != self.files.shelf:
                self.world.note(self.side, f"adopts the shelf of generation {core.orders.generation}")
            self.orders, self.files.shelf = core.orders, layout(core.orders)
        if core.missing and core.missing != before.missing:
            self.world.note(self.side, f"newer orders wait: {'; '.join(core.missing)}")
        if core.phase is not before.phase:
            self.world.note(self.side, f"{before.phase.name} -> {core.phase.name}: {core.why}")
            self.world.checkers.phase_changed(self, before, core)
            act = True
        if act:
            self.outs = outputs(core)
            self._act(self.outs)

    def _burns(self) -> bool:
        """Count one effect that the daemon is about to make. True: the daemon dies before it."""
        if self.fuse is None:
            return False
        self.fuse -= 1
        if self.fuse >= 0:
            return False
        self.die()
        return True

    def _act(self, outs: Outputs) -> None:
        """Carry out the outputs, one effect after the other."""
        if outs.remember != self.memory:
            if self._burns():
                return
            self.memory = outs.remember
        if outs.feed and self.core is not None:
            self._feed_deadman(self.core)
        if outs.reset and not self.reset_fails:
            if self._burns():
                return
            self._send(outs.beat)
            why = str(self.core.why) if self.core is not None else ""
            self.reset(why)
            return
        if outs.claim != self.claim_runner.key:
            if self._burns():
                return
            self.claim_runner.drop()
            self.completer.drop()
            if outs.claim is not None:
                self.claim_runner.begin(self.orders, outs.claim)
        if self.kernel.wants(outs.wanted, outs.kept):
            if self._burns():
                return
            self.kernel.obey(outs.wanted, outs.kept)
        if self.kernel.servers.wants(outs.wanted, outs.kept) and not self._burns():
            self._tell_shares(SharesSeen(served=False, stopped=False))
            if self.outs is outs:
                self.kernel.servers.obey(outs.wanted, outs.kept)

    def _claim_ended(self, claim: Claim) -> None:
        if self.paused:
            self.held.append((self._claim_ended, claim))
            return
        if claim is self.claim_runner.claim:
            self.claim_runner.drop()
            self.feed(ClaimEnded(claim.key.epoch, claim.result), act=True)
