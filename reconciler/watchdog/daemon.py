"""The daemon: feeds the core what happens and performs what it puts out, in one fixed order of effects.

The order is that of the model which was searched (`simulation/daemon`): what must be remembered is written first, then
the deadman is fed, then a reset, then the claim, then addresses and pools. Decides nothing itself. Knows its parts by
the protocols of `interfaces`, and no file, socket or disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from reconciler.core.failover.claiming import feeds_ms
from reconciler.core.failover.events import (
    Asked,
    ClaimEnded,
    Conflict,
    DeadmanSeen,
    Event,
    Heard,
    LinksSeen,
    NewOrders,
    Pools,
    PoolsSeen,
    Request,
    ShelfSeen,
    Tick,
    UnitSeen,
)
from reconciler.core.failover.heartbeat import Beat
from reconciler.core.failover.hold import DiskView
from reconciler.core.failover.key import Key
from reconciler.core.failover.orders import Orders, layout
from reconciler.core.failover.outputs import Outputs, outputs
from reconciler.core.failover.phase import Phase, Thing
from reconciler.core.failover.slots import Reading
from reconciler.core.failover.state import State
from reconciler.core.failover.step import step
from reconciler.core.failover.why import Decision
from reconciler.system.deadman import Deadman
from reconciler.watchdog.durable_state import Ledger
from reconciler.watchdog.event_loop import Loop, Timer, monotonic_ms
from reconciler.watchdog.first_state import first_state
from reconciler.watchdog.import_retries import ImportRetries
from reconciler.watchdog.ports import Place, Voice, Work

#: How long a reset waits until the disk has its reason; then it comes all the same.
SENTINEL_S: Final = 0.5
#: How long after a refused import the next one is tried.
AGAIN_MS: Final = 500
#: Where pools do not change by what this daemon does, they are looked at as often as the disks.
STEADY: Final = frozenset({Phase.STANDBY, Phase.ACTIVE})
#: Between two looks at pools that are being imported or exported here.
SELDOM_MS: Final = 1_000


class Daemon:
    """One controller. `core` and `outs` are None until there are orders to follow.

    `changed` is called with the states before and after at every change of phase, before anything is acted upon: what
    ends this process must not end the account of it. `refused` says why the newest orders are not followed. `machine`
    is the number of this machine (`system/machine`).
    """

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        deadman: Deadman,
        changed: Callable[[State | None, State], None],
        machine: int = 0,
    ) -> None:
        self.loop, self.ledger, self.deadman = loop, ledger, deadman
        self._changed = changed
        self._machine = machine
        self._unit: Decision | None = None
        self.core: State | None = None
        self.outs: Outputs | None = None
        self.refused = ""
        self.pools = Pools.UNKNOWN
        self.seen = PoolsSeen(Pools.UNKNOWN)
        self._retries = ImportRetries()
        self.out: frozenset[int] = frozenset()
        self.up: frozenset[str] | None = None
        self.ticked: Callable[[], None] = lambda: None
        self._refused_ms: int | None = None
        self._ended_ms = self._pools_ms = 0
        self._acting = self._act_again = self._doomed = False
        #: For a daemon that is to take over from one that runs: the orders it has got ready for, and what it has seen.
        self._prepared: Orders | None = None
        self._seen: set[str] = set()
        self._timers: dict[str, Timer] = {}

    def join(self, voice: Voice, work: Work, place: Place) -> None:
        """The parts, which need the daemon themselves."""
        self.voice, self.work, self.place = voice, work, place

    # Life ------------------------------------------------------------------------------------------------------------

    def begin(self, orders: Orders) -> None:
        """The first orders of this daemon's life."""
        assert self.core is None
        core = self.core = first_state(orders, self.ledger, self._machine, self._unit)
        self.outs = outputs(core)
        self._follow(core)
        self._changed(None, core)
        self._tick()
        self._look()
        self._record()

    def prepare(self, orders: Orders) -> None:
        """Get ready to follow these orders while another daemon acts: nothing is decided, changed or sent here."""
        assert self.core is None
        self._prepared = orders
        self._open(orders)

    def look_ahead(self) -> str:
        """Look at what has not been seen yet, and say what that is; "" when everything has been."""
        if "disks" not in self._seen:
            self.work.look()
        if "pools" not in self._seen:
            self.work.look_at_pools()
        links = set() if self.up is None else {"links"}
        return ", ".join(thing for thing in ("disks", "pools", "links") if thing not in self._seen | links)

    def go_on(self, state: State) -> None:
        """Go on from the state of the daemon before, which decides nothing any more. For the core this is a pause."""
        assert self.core is None
        self.core, self.outs = state, outputs(state)
        # A look that began before may have seen what was before the last import or export ended.
        self.pools, self.out, self._ended_ms = state.looks.pools, state.looks.out, monotonic_ms()
        if state.orders != self._prepared:
            self._follow(state)
        self._tick()
        if self._unit != state.unit:
            self.told(UnitSeen(self._unit))
        if self.up is not None:
            self.feed(LinksSeen(self.up), act=True)
        self._look()
        self._record()

    def at_rest(self) -> str:
        """What must not be torn apart by a hand-over to another daemon; "" when nothing is in progress."""
        if self.core is None:
            return "there are no orders yet"
        if self.core.phase not in STEADY:
            return f"this controller is {self.core.phase.value}"
        return self.work.at_work() or ("effects are in progress" if self._acting else "")

    def publish(self, orders: Orders) -> None:
        """Orders that the agent published; the first ones must have been looked at before."""
        if self.core is None:
            self.begin(orders)
        elif orders != self.core.newest:
            self.told(NewOrders(orders))
            refused = self.core.refused
            self.refused = str(refused) if self.core.newest != orders and refused is not None else ""
        else:
            self.refused = ""

    def _follow(self, core: State) -> None:
        orders = core.orders
        self.ledger.accepted(orders.pair, orders.generation)
        self.ledger.keep(orders)
        self._open(orders, core.pending)

    def _open(self, orders: Orders, pending: Orders | None = None) -> None:
        self.voice.follow(orders)
        self.work.follow(orders, pending)
        self.place.follow(orders)

    def _again(self, name: str, interval_ms: int, act: Callable[[], None]) -> None:
        """Call `act` in so long; whatever was to be called under this name before is not."""
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self.loop.after(max(1, interval_ms), act)

    # Loops -----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.core is None:
            return
        # Counted from here, so that work does not stretch the interval.
        self._again("tick", self.core.orders.timers.beat_ms, self._tick)
        self.feed(Tick(), act=True)
        if self.outs is not None:
            self.voice.send(self.outs.beat)
        if self.core.phase not in STEADY:
            self._look_at_pools()
        self._keep_vigil()
        self.ticked()

    def _keep_vigil(self) -> None:
        """Silence that becomes long enough before the next tick is judged then, and not at the tick."""
        core = self.core
        if core is None or core.phase is not Phase.STANDBY:
            return
        timers, heard_ms = core.orders.timers, core.peer.heard_ms
        due_ms = max(
            max(heard_ms[:-1], default=0) + timers.silence_ms + timers.network_ms, heard_ms[-1] + timers.stale_ms
        )
        if 0 < due_ms - monotonic_ms() < timers.beat_ms:
            self._again("vigil", due_ms - monotonic_ms(), self._judge_silence)

    def _judge_silence(self) -> None:
        self.feed(Tick(), act=True)
        # A record that was read meanwhile has moved the moment on.
        self._keep_vigil()

    def _look(self) -> None:
        if self.core is not None:
            timers = self.core.orders.timers
            self._again("look", timers.look_ms, self._look)
            self.work.look()
            # At other times every tick looks at them.
            if self.core.phase in STEADY or timers.look_ms < timers.beat_ms:
                self._look_at_pools()

    def _look_at_pools(self) -> None:
        """Seldom while a child moves them: it says when it is done, and has better use for the processor."""
        if not self.work.moving or self.pools is not Pools.SOME or monotonic_ms() - self._pools_ms >= SELDOM_MS:
            self.work.look_at_pools()

    def _record(self) -> None:
        if self.core is None or self.outs is None:
            return
        self._again("record", self.core.orders.timers.record_ms, self._record)
        if self.outs.record:
            self.work.write_record(replace(outputs(self.core).beat, counter=self.voice.number()))

    # What is told to it ----------------------------------------------------------------------------------------------

    def heard(self, channel: int, beat: Beat) -> None:
        """A beat of the peer; the channel after the last is the disk record."""
        self.feed(Heard(channel, beat))

    def looked(self, begun_ms: int, views: tuple[DiskView, ...], records: Reading) -> None:
        """A look at the disks that began at `begun_ms`, and what the peer's records say."""
        if self.core is None:
            self._seen |= {"disks"} if any(view.answered for view in views) else set()
            return
        self.feed(ShelfSeen(views, self.out, begun_ms))
        for event in records.events(len(self.core.orders.channels)):
            self.feed(event)

    def saw_pools(self, begun_ms: int, seen: PoolsSeen, out: frozenset[int]) -> None:
        """A look at the pools that began at `begun_ms`. A refused import shows as such until the next one begins."""
        if begun_ms < self._ended_ms:
            # It may have seen what was before an import or export ended.
            self.work.look_at_pools()
            return
        pools = seen.pools
        if self.core is None:
            self._seen |= {"pools"} if pools is not Pools.UNKNOWN else set()
            return
        self._pools_ms, self.out = begun_ms, out
        if self.work.moving == "import" and pools in (Pools.NONE, Pools.ALL):
            pools = Pools.SOME
        elif pools is Pools.NONE and self._refused_ms is not None:
            pools = Pools.REFUSED
        if self.core.phase is not Phase.IMPORTING:
            self._retries.forget()
        told = bool(seen.progress) and not self._retries.repeats(begun_ms, runs=self.work.moving == "import")
        seen = replace(seen, pools=pools, progress=seen.progress if told else self.seen.progress)
        if seen != self.seen:
            self.pools, self.seen = pools, seen
            self.feed(seen, act=True)

    def import_ended(self, *, good: bool) -> None:
        """The import's child has ended; the next look says what it came to."""
        self._ended_ms = monotonic_ms()
        self._refused_ms = None if good else self._ended_ms
        self._retries.ends(self._ended_ms, good=good)
        self.work.look_at_pools()

    def export_ended(self) -> None:
        """The export's child has ended; the next look says what it came to."""
        self._ended_ms = monotonic_ms()
        self.work.look_at_pools()

    def conflict(self) -> None:
        """The arbitration disks refused our record because of their reservation."""
        self.told(Conflict())

    def claim_ended(self, key: Key, views: tuple[DiskView, ...]) -> None:
        """The claim ran to its end."""
        self.told(ClaimEnded(key.epoch, views))

    def links(self, up: frozenset[str]) -> None:
        """Which interfaces of the orders have carrier and are up."""
        if up != self.up:
            self.up = up
            self.feed(LinksSeen(up), act=True)

    def unit_seen(self, unfit: Decision | None) -> None:
        """Why this machine may not claim by its serial number; None when it may."""
        if unfit != self._unit:
            self._unit = unfit
            self.told(UnitSeen(unfit))

    def asked(self, request: Request, duration_ms: int = 0) -> None:
        """A person asks; the core's `refused` says what came of it."""
        self.told(Asked(request, duration_ms))

    def told(self, event: Event) -> None:
        """Anything that is acted upon at once."""
        self.feed(event, act=True)

    # The core and what it asks for -----------------------------------------------------------------------------------

    def feed(self, event: Event, *, act: bool = False) -> None:
        """One step of the core."""
        before = self.core
        if before is None:
            return
        core = self.core = step(before, event, monotonic_ms())
        moved = core.phase is not before.phase
        if moved and core.moves_ms is not before.moves_ms and core.moves_ms:
            self.ledger.moved()
        if core.orders is not before.orders or core.pending is not before.pending:
            if layout(core.orders) != layout(before.orders):
                # Renumbered; the next look at the pools numbers by these orders.
                self.out = core.looks.out
            self._follow(core)
        if not (act or moved):
            return
        known = self.outs
        self.outs = outputs(core)
        if moved:
            self._changed(before, core)
        if self._acting:
            # An effect told us something: the round of effects that is in progress is followed by another one.
            self._act_again = True
        else:
            self._act()
        # The peer may wait for just this (pools handed over, a phase): it hears it now and not with the next beat.
        if known is not None and self.outs.beat != known.beat and not self.outs.reset and not self._acting:
            self.voice.send(self.outs.beat)

    def _act(self) -> None:
        """Make things as they should be, one effect after the other."""
        self._acting = True
        try:
            for _ in range(10):
                self._act_again = False
                assert self.outs is not None
                self._perform(self.outs)
                if not self._act_again:
                    return
            raise AssertionError("effects that cause effects do not come to rest")
        finally:
            self._acting = False

    def _perform(self, outs: Outputs) -> None:
        assert self.core is not None
        if outs.remember != self.ledger.remembered:
            self.ledger.remember(outs.remember)
        if outs.feed:
            self.deadman.feed(feeds_ms(self.core))
            self.ledger.note_fed(self.deadman.armed)
            if self.core.armed is not (guards := self.deadman.armed and not self.deadman.problem):
                self.told(DeadmanSeen(guards))
        if outs.reset:
            # If it comes back, everything else is as if it had not been tried.
            self._reset(outs)
        if outs.claim != self.work.claiming:
            self.work.claim(outs.claim)
        self._place(outs)

    def _reset(self, outs: Outputs) -> None:
        """The last word, the reason on disk, and the end. If that end does not come, the unfed deadman does."""
        assert self.core is not None
        self.voice.send(outs.beat)
        if not self._doomed:
            self._doomed = True
            self.ledger.resets_itself(str(self.core.why), SENTINEL_S)
        self.deadman.reset()

    def _place(self, outs: Outputs) -> None:
        """Addresses go before pools and come after them."""
        here = self.pools is Pools.ALL
        self.place.settle(wanted=Thing.ADDRESSES in outs.wanted and here, kept=Thing.ADDRESSES in outs.kept)
        if self.work.moving == "export" and Thing.POOLS in outs.wanted:
            self.work.give_up_export()
            self.export_ended()
        if self.work.moving or self._pools_ms < self._ended_ms:
            return
        if Thing.POOLS in outs.wanted:
            rested = self._refused_ms is None or monotonic_ms() - self._refused_ms >= AGAIN_MS
            if self.pools in (Pools.NONE, Pools.REFUSED, Pools.SOME) and rested:
                self._refused_ms = None
                self._retries.begins(monotonic_ms())
                self.work.import_(outs.excused, outs.word)
        elif Thing.POOLS not in outs.kept:
            if self.pools in (Pools.SOME, Pools.ALL):
                self.work.export()
            elif self.pools in (Pools.NONE, Pools.REFUSED):
                self._refused_ms = None
