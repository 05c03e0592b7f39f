"""The daemon: gives the core its events and performs its outputs, in one fixed order of effects.

The order is that of the searched model (`simulation/timed/controller`): remember, feed the deadman, reset, claim,
addresses, servers of shares, pools. Decides nothing itself. Knows its parts by the protocols of `ports`, and no file,
socket or disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.record_slots import Reading
from reconciler.core.failover.machine.decision_codes import Decision
from reconciler.core.failover.machine.events import (
    Asked,
    ClaimEnded,
    Conflict,
    DeadmanSeen,
    Event,
    Heard,
    LinksSeen,
    NewOrders,
    PoolsSeen,
    Presence,
    Request,
    ShelfSeen,
    Tick,
    UnitSeen,
)
from reconciler.core.failover.machine.finished_claim import feeds_ms
from reconciler.core.failover.machine.outputs import Outputs, outputs
from reconciler.core.failover.machine.phase import Phase, Thing
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Orders, layout
from reconciler.core.failover.reservations.key import Key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.system.deadman import Deadman
from reconciler.watchdog.durable_state import DurableState
from reconciler.watchdog.event_loop import EventLoop, Timer, monotonic_ms
from reconciler.watchdog.import_attempts import ImportAttempts
from reconciler.watchdog.ports import AddressPort, HeartbeatPort, SharePort, StoragePort

#: A reset waits at most this long until its reason is on the disk.
SENTINEL_S: Final = 0.5
#: In these phases this daemon does not move pools: it looks at them as often as at the disks.
STEADY: Final = frozenset({Phase.STANDBY, Phase.ACTIVE})
#: Interval of looks at pools that are being imported or exported here.
SELDOM_MS: Final = 1_000


class Daemon:
    """One controller. `core` and `outputs` are None until there are orders to follow.

    `changed` is called at every change of phase, with the states before and after, before the effects, one of which may
    end this process. `orders_refusal` says why the newest orders are not followed. `machine`: see `system/machine`.
    """

    def __init__(
        self,
        loop: EventLoop,
        durable: DurableState,
        deadman: Deadman,
        changed: Callable[[State | None, State], None],
        machine: int = 0,
    ) -> None:
        self.loop, self.durable, self.deadman = loop, durable, deadman
        self._phase_changed = changed
        self._machine = machine
        self._unit_problem: Decision | None = None
        self.core: State | None = None
        self.outputs: Outputs | None = None
        self.orders_refusal = ""
        self.pools = Presence.UNKNOWN
        self.pools_report = PoolsSeen(Presence.UNKNOWN)
        self._imports = ImportAttempts()
        self.disks_out: frozenset[int] = frozenset()
        self.links_up: frozenset[str] | None = None
        self.on_tick: Callable[[], None] = lambda: None
        self._move_ended_ms = self._pools_ms = 0
        self._applying = self._apply_again = self._reset_begun = False
        #: In a successor, before the hand-over: the orders that it prepared for, and what it has seen.
        self._prepared: Orders | None = None
        self._looked_at: set[str] = set()
        self._timers: dict[str, Timer] = {}

    def attach(self, voice: HeartbeatPort, work: StoragePort, place: AddressPort, shares: SharePort) -> None:
        """Set the parts, which need the daemon themselves."""
        self.heartbeats, self.storage, self.addresses, self.shares = voice, work, place, shares

    # Life ------------------------------------------------------------------------------------------------------------

    def start(self, orders: Orders) -> None:
        """Follow the first orders of this daemon."""
        assert self.core is None
        core = self.core = self.durable.first_state(orders, self._machine, self._unit_problem)
        self.outputs = outputs(core)
        self._put_in_force(core)
        self._phase_changed(None, core)
        self.shares.begin()
        self._tick()
        self._look_at_disks()
        self._write_record()

    def prepare(self, orders: Orders) -> None:
        """Prepare to follow these orders while another daemon acts. Decides, changes and sends nothing."""
        assert self.core is None
        self._prepared = orders
        self._configure(orders)

    def look_at_missing(self) -> str:
        """Look at everything that this daemon has not seen yet. Returns its names, or ""."""
        if "disks" not in self._looked_at:
            self.storage.look_at_disks()
        if "pools" not in self._looked_at:
            self.storage.look_at_pools()
        links = set() if self.links_up is None else {"links"}
        return ", ".join(thing for thing in ("disks", "pools", "links") if thing not in self._looked_at | links)

    def resume(self, state: State) -> None:
        """Continue from the state of the predecessor, which no longer decides. To the core this is a pause."""
        assert self.core is None
        self.core, self.outputs = state, outputs(state)
        # A look that began earlier may show the pools before the predecessor's last import or export ended.
        self.pools, self.disks_out, self._move_ended_ms = state.looks.pools, state.looks.out, monotonic_ms()
        if state.orders != self._prepared:
            self._put_in_force(state)
        self.shares.begin(served=state.looks.served)
        self._tick()
        if self._unit_problem != state.unit:
            self.handle_now(UnitSeen(self._unit_problem))
        if self.links_up is not None:
            self.handle(LinksSeen(self.links_up), act=True)
        self._look_at_disks()
        self._write_record()

    def activity(self) -> str:
        """The activity that a hand-over to another daemon must not interrupt; "" without one."""
        if self.core is None:
            return "there are no orders yet"
        if self.core.phase not in STEADY:
            return f"this controller is {self.core.phase.value}"
        return (
            self.storage.activity() or self.shares.activity() or ("effects are in progress" if self._applying else "")
        )

    def follow_orders(self, orders: Orders) -> None:
        """Follow orders that the agent published. The caller has checked the first ones (`first_refused`)."""
        if self.core is None:
            self.start(orders)
        elif orders != self.core.newest:
            self.handle_now(NewOrders(orders))
            refused = self.core.refused
            self.orders_refusal = str(refused) if self.core.newest != orders and refused is not None else ""
        else:
            self.orders_refusal = ""

    def _put_in_force(self, core: State) -> None:
        orders = core.orders
        self.durable.note_accepted(orders.pair, orders.generation)
        self.durable.keep_orders(orders)
        self._configure(orders, core.pending)

    def _configure(self, orders: Orders, pending: Orders | None = None) -> None:
        self.heartbeats.set_orders(orders)
        self.storage.set_orders(orders, pending)
        self.addresses.set_orders(orders)

    def _schedule(self, name: str, interval_ms: int, act: Callable[[], None]) -> None:
        """Call `act` once after the interval. Replaces the pending call of this name."""
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self.loop.after(max(1, interval_ms), act)

    # Loops -----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.core is None:
            return
        # Scheduled first, so that work does not stretch the interval.
        self._schedule("tick", self.core.orders.timers.beat_ms, self._tick)
        self.handle(Tick(), act=True)
        if self.outputs is not None:
            self.heartbeats.send(self.outputs.beat)
        if self.core.phase not in STEADY:
            self._look_at_pools()
        self._schedule_silence_check()
        self.on_tick()

    def _schedule_silence_check(self) -> None:
        """Judge silence at the moment when it becomes long enough, if that is before the next tick."""
        core = self.core
        if core is None or core.phase is not Phase.STANDBY:
            return
        timers, heard_ms = core.orders.timers, core.peer.heard_ms
        due_ms = max(
            max(heard_ms[:-1], default=0) + timers.silence_ms + timers.network_ms, heard_ms[-1] + timers.stale_ms
        )
        if 0 < due_ms - monotonic_ms() < timers.beat_ms:
            self._schedule("silence-check", due_ms - monotonic_ms(), self._check_silence)

    def _check_silence(self) -> None:
        self.handle(Tick(), act=True)
        # A record that arrived meanwhile has moved the moment.
        self._schedule_silence_check()

    def _look_at_disks(self) -> None:
        if self.core is not None:
            timers = self.core.orders.timers
            self._schedule("look", timers.look_ms, self._look_at_disks)
            self.storage.look_at_disks()
            # In other phases every tick looks at the pools.
            if self.core.phase in STEADY or timers.look_ms < timers.beat_ms:
                self._look_at_pools()

    def _look_at_pools(self) -> None:
        """Look at the pools, but rarely while a worker moves them: it reports its end, and needs the processor."""
        moving = self.storage.running_move and self.pools is Presence.SOME
        if not moving or monotonic_ms() - self._pools_ms >= SELDOM_MS:
            self.storage.look_at_pools()

    def _write_record(self) -> None:
        if self.core is None or self.outputs is None:
            return
        self._schedule("record", self.core.orders.timers.record_ms, self._write_record)
        if self.outputs.record:
            self.storage.write_record(replace(outputs(self.core).beat, counter=self.heartbeats.next_number()))

    # Events ----------------------------------------------------------------------------------------------------------

    def heartbeat_received(self, channel: int, beat: Beat) -> None:
        """A heartbeat of the peer arrived. The channel after the last one is the disk record."""
        self.handle(Heard(channel, beat))

    def disks_seen(self, begun_ms: int, views: tuple[DiskView, ...], records: Reading) -> None:
        """A look at the disks that began at `begun_ms`, and the peer's records."""
        if self.core is None:
            self._looked_at |= {"disks"} if any(view.answered for view in views) else set()
            return
        self.handle(ShelfSeen(views, self.disks_out, begun_ms))
        for event in records.events(len(self.core.orders.channels)):
            self.handle(event)

    def pools_seen(self, begun_ms: int, seen: PoolsSeen, out: frozenset[int]) -> None:
        """A look at the pools that began at `begun_ms`. After a failed import, missing pools count as refused."""
        if begun_ms < self._move_ended_ms:
            # The look may show the pools before the import or export ended.
            self.storage.look_at_pools()
            return
        pools = seen.pools
        if self.core is None:
            self._looked_at |= {"pools"} if pools is not Presence.UNKNOWN else set()
            return
        self._pools_ms, self.disks_out = begun_ms, out
        if self.storage.running_move == "import" and pools in (Presence.NONE, Presence.ALL):
            pools = Presence.SOME
        elif pools is Presence.NONE and self._imports.failed:
            pools = Presence.REFUSED
        if self.core.phase is not Phase.IMPORTING:
            self._imports.forget_durations()
        repetition = self._imports.is_repetition(begun_ms, running=self.storage.running_move == "import")
        progress = seen.progress if seen.progress and not repetition else self.pools_report.progress
        seen = replace(seen, pools=pools, progress=progress)
        if seen != self.pools_report:
            self.pools, self.pools_report = pools, seen
            self.handle(seen, act=True)

    def import_ended(self, *, good: bool) -> None:
        """The import has ended. The next look shows its result."""
        self._move_ended_ms = monotonic_ms()
        self._imports.finish(self._move_ended_ms, good=good)
        self.storage.look_at_pools()

    def export_ended(self) -> None:
        """The export has ended. The next look shows its result."""
        self._move_ended_ms = monotonic_ms()
        self.storage.look_at_pools()

    def record_refused(self) -> None:
        """The arbitration disks refused the record of this controller: a reservation conflict."""
        self.handle_now(Conflict())

    def claim_ended(self, key: Key, views: tuple[DiskView, ...]) -> None:
        """The claim with this key has ended; `views` is its last look at each disk."""
        self.handle_now(ClaimEnded(key.epoch, views))

    def links_seen(self, up: frozenset[str]) -> None:
        """The interfaces of the orders that are up and have carrier."""
        if up != self.links_up:
            self.links_up = up
            self.handle(LinksSeen(up), act=True)

    def unit_seen(self, unfit: Decision | None) -> None:
        """Why the serial number forbids this machine to claim; None if it may claim."""
        if unfit != self._unit_problem:
            self._unit_problem = unfit
            self.handle_now(UnitSeen(unfit))

    def requested(self, request: Request, duration_ms: int = 0) -> None:
        """Give the core an operator's request. `core.refused` then says why it does not follow the request."""
        self.handle_now(Asked(request, duration_ms))

    def handle_now(self, event: Event) -> None:
        """Give the core an event and perform its outputs immediately."""
        self.handle(event, act=True)

    # The core and its outputs ----------------------------------------------------------------------------------------

    def handle(self, event: Event, *, act: bool = False) -> None:
        """Run one step of the core. Perform its outputs if `act`, and always after a change of phase."""
        before = self.core
        if before is None:
            return
        core = self.core = step(before, event, monotonic_ms())
        moved = core.phase is not before.phase
        if moved and core.moves_ms is not before.moves_ms and core.moves_ms:
            self.durable.note_move()
        if core.orders is not before.orders or core.pending is not before.pending:
            if layout(core.orders) != layout(before.orders):
                # The disks have other indices now; the next look at the pools uses them.
                self.disks_out = core.looks.out
            self._put_in_force(core)
        if not (act or moved):
            return
        known = self.outputs
        self.outputs = outputs(core)
        if moved:
            self._phase_changed(before, core)
        if self._applying:
            # The event came from an effect: perform the outputs again after the effects in progress.
            self._apply_again = True
        else:
            self._apply_outputs()
        # Send a changed heartbeat now: the peer may be waiting for this change.
        if known is not None and self.outputs.beat != known.beat and not self.outputs.reset and not self._applying:
            self.heartbeats.send(self.outputs.beat)

    def _apply_outputs(self) -> None:
        """Perform the outputs, and again after effects that changed them."""
        self._applying = True
        try:
            for _ in range(10):
                self._apply_again = False
                assert self.outputs is not None
                self._apply(self.outputs)
                if not self._apply_again:
                    return
            raise AssertionError("effects cause effects without end")
        finally:
            self._applying = False

    def _apply(self, outs: Outputs) -> None:
        assert self.core is not None
        if outs.remember != self.durable.memory:
            self.durable.set_memory(outs.remember)
        if outs.feed:
            self.deadman.feed(feeds_ms(self.core))
            self.durable.note_deadman(self.deadman.armed)
            if self.core.armed is not (guards := self.deadman.armed and not self.deadman.problem):
                self.handle_now(DeadmanSeen(guards))
        if outs.reset:
            # If the reset fails and returns, the other effects follow as usual.
            self._reset(outs)
        if outs.claim != self.storage.running_claim:
            self.storage.run_claim(outs.claim)
        self._move_addresses_and_pools(outs)

    def _reset(self, outs: Outputs) -> None:
        """Send the last heartbeat, write the reason and reset. If the reset fails, the unfed deadman resets."""
        assert self.core is not None
        self.heartbeats.send(outs.beat)
        if not self._reset_begun:
            self._reset_begun = True
            self.durable.note_own_reset(str(self.core.why), SENTINEL_S)
        self.deadman.reset()

    def _move_addresses_and_pools(self, outs: Outputs) -> None:
        """Remove addresses before servers stop, and export pools after that; the core says when each comes up."""
        here, serve = self.pools is Presence.ALL, Thing.SHARES in outs.wanted
        kept = Thing.ADDRESSES in outs.kept or self.shares.holds_addresses
        self.addresses.set_wanted(wanted=Thing.ADDRESSES in outs.wanted and here, kept=kept)
        self.shares.set_wanted(wanted=serve and here, kept=serve or Thing.SHARES in outs.kept)
        if self.storage.running_move == "export" and Thing.POOLS in outs.wanted:
            self.storage.abandon_export()
            self.export_ended()
        if self.storage.running_move or self._pools_ms < self._move_ended_ms:
            return
        if Thing.POOLS in outs.wanted:
            now_ms = monotonic_ms()
            missing = self.pools in (Presence.NONE, Presence.REFUSED, Presence.SOME)
            if missing and self._imports.may_start(now_ms) and self.storage.import_pools(outs.excused, outs.word):
                self._imports.start(now_ms)
        elif Thing.POOLS not in outs.kept:
            if self.pools in (Presence.SOME, Presence.ALL):
                self.storage.export_pools()
            elif self.pools in (Presence.NONE, Presence.REFUSED):
                self._imports.forget_failure()
