"""A shelf and the pools of two kernels: the simulator's model, in real time.

Disks, pools, the client's writes and the invariants are those of `simulation`. Its daemons are left out, because the
daemons here are real processes. `demo/shelf_server` connects them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop
from typing import Any, Final

from reconciler.core.failover.heartbeats.disk_record import RECORD_BYTES
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import PoolsView
from reconciler.core.failover.reservations.claim import Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import epochs
from reconciler.simulation.timed.client import Client
from reconciler.simulation.timed.controller import Controller
from reconciler.simulation.timed.invariants import Checkers, fenced_for
from reconciler.simulation.timed.kernel import Kernel
from reconciler.simulation.timed.shelf import SIDES
from reconciler.simulation.timed.world import Chance, Note, Physics, World

#: Lines of history and claims that are kept, the newest.
NOTES_MAX: Final = 20_000
CLAIMS_MAX: Final = 1_000
#: A longer pause ends a run of disk heartbeats.
GAP_MS: Final = 150
Done = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class ObservedClaim:
    """A claim as the disks see it: its first command, and the peer's disk heartbeat that the claimer could read.

    `age_ms`: time since the last heartbeat on a majority of the arbitration disks; `kept_ms`: how long the heartbeat
    had run without a gap. Both None when there was none, or when no majority answers the claimer.
    """

    at_ms: int
    side: Side
    epoch: int
    age_ms: int | None
    kept_ms: int | None


class RealTimeKernel(Kernel):
    """Pools that an adapter imports and exports. `waiting`: callbacks that get the result of the running command."""

    def __init__(self, world: World, owner: Controller) -> None:
        self.waiting: list[Done] = []
        super().__init__(world, owner)

    def vanish(self) -> None:
        """Forget everything: the machine lost its memory, and the callers are gone."""
        super().vanish()
        self.waiting.clear()

    def view(self) -> PoolsView:
        """The state of the pools."""
        self.recover()
        pools = self.look()
        if pools is Presence.REFUSED:
            pools = Presence.NONE
        elif pools is Presence.ALL and self.busy:
            pools = Presence.SOME
        seen = self.seen()
        return PoolsView(pools, frozenset(self.out), seen.progress, seen.used, txgs=self.txgs())

    def ask_import(self, done: Done) -> None:
        """Begin an import, or wait for the one in progress."""
        self.abort_export()
        if self.pools is Presence.ALL and not self.busy:
            done(not self.suspended)
        elif self.busy == "export":
            done(False)
        else:
            self.waiting.append(done)
            if not self.busy:
                self._begin_import()

    def ask_export(self, done: Done) -> None:
        """Begin an export, or wait for the one in progress. Suspended pools cannot be exported."""
        if not self.imported:
            done(True)
        elif self.busy == "import" or (self.suspended and not self.busy):
            done(False)
        else:
            self.waiting.append(done)
            if not self.busy:
                self._begin("export", self.world.physics.export_ms, self.mood_export)

    def _end_import(self, mood: str) -> None:
        super()._end_import(mood)
        self._tell(self.pools is Presence.ALL)

    def _end_export(self, mood: str) -> None:
        super()._end_export(mood)
        self._tell(self.pools is Presence.NONE)

    def _tell(self, ok: bool) -> None:
        if self.busy:
            return
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(ok)


class AttachedController(Controller):
    """One controller as its shelf knows it: on or off. Its daemon is another process."""

    def __init__(self, world: World, orders: Orders) -> None:
        super().__init__(world, orders)
        self.real = RealTimeKernel(world, self)
        self.kernel = self.real

    def power_on(self, boot_ms: int | None = None) -> None:
        """Switch on."""
        self.on = True


class WriteWorkload(Client):
    """The workload: a periodic write through every controller that has pools imported."""

    def _write(self, _: Any) -> None:
        self.world.later(self.world.physics.write_ms, self._write)
        for one in self.world.controllers:
            one.kernel.recover()
            if one.kernel.pools is Presence.ALL:
                self.through(one)

    def through(self, one: Controller) -> bool:
        """One write through one controller; True when it was acknowledged."""
        pool = self.number % len(self.world.pools)
        self.number += 1
        if not one.kernel.write(self.number, pool):
            return False
        self.acknowledged[pool] = self.number
        self._served(one.side)
        return True


class ShelfCheckers(Checkers):
    """The invariants that the shelf alone can check."""

    def import_began(self, one: Controller) -> None:
        """Check, when an import begins, that its side has fenced the other on every vdev."""
        pools = range(len(self.world.pools))
        one.kernel.stale = frozenset(pool for pool in pools if not self.reaches(one.side, pool))
        views = [disk.view() for disk in self.world.shelf.disks]
        mine = max((key.epoch for view in views for key in view.registered if key.side is one.side), default=0)
        overtaken = max(epochs(views), default=0) > mine
        peer = self.world.controller(one.side.other).kernel
        for vdev in self.world.orders.vdevs:
            ours = sum(fenced_for(views[at], Key(one.side, mine)) for at in vdev.disks)
            left = len(vdev.disks) - ours
            if not overtaken and (ours < vdev.needed or (left >= vdev.needed and peer.imported)):
                self.fails("unfenced", f"{one.side} imports vdev {vdev.name}, {left} of its disks are not fenced")
        self.disks_changed()


class ShelfModel(World):
    """The simulator's world with a real clock. `sectors`: disk heartbeats by disk and writer. `claims`: the newest."""

    def __init__(self, orders: Orders, chance: Chance, physics: Physics) -> None:
        self.history: deque[Note] = deque(maxlen=NOTES_MAX)
        super().__init__(orders, chance, physics, power=False)
        # The simulator's client writes through the address; here `WriteWorkload` writes.
        self._queue.clear()
        self.sectors: dict[tuple[int, Side], bytes] = {}
        self.claims: deque[ObservedClaim] = deque(maxlen=CLAIMS_MAX)
        self._kept_ms: dict[tuple[int, Side], tuple[int, int]] = {}
        self.checkers = ShelfCheckers(self)
        self.attached_controllers = (AttachedController(self, orders), AttachedController(self, orders))
        for one, side in zip(self.attached_controllers, SIDES, strict=True):
            one.side = side
        self.controllers = self.attached_controllers
        self.writer = WriteWorkload(self)
        self.client = self.writer

    def attached(self, side: Side) -> AttachedController:
        """The controller of one side."""
        return self.attached_controllers[side is Side.B]

    def note(self, who: str, text: str) -> None:
        """Append a line to the history."""
        self.history.append(Note(self.now_ms, who, text))

    def run(self, until_ms: int) -> None:
        """Run all due events. Unlike the simulator, it goes on after a broken invariant."""
        self.now_ms = max(self.now_ms, until_ms)
        while self._queue and self._queue[0][0] <= self.now_ms:
            _, _, owner, life, act, argument = heappop(self._queue)
            if owner is None or owner.life == life:
                act(argument)

    def due_ms(self) -> int | None:
        """Time of the next event, None without one."""
        return self._queue[0][0] if self._queue else None

    def find(self, name: str) -> int | None:
        """The disk of this name; None when there is none."""
        return self.orders.disks.index(name) if name in self.orders.disks else None

    def commanded(self, side: Side, command: Command) -> None:
        """Record a command of a controller; the first with a new epoch begins a claim."""
        last = max((claim.epoch for claim in self.claims if claim.side is side), default=0)
        if command.verb is Verb.REGISTER and command.key.side is side and command.key.epoch > last:
            kept = sorted(
                self._kept_ms[at, side.other]
                for at in self.orders.arbitration
                if (at, side.other) in self._kept_ms and self.shelf.answers(side, at)
            )
            age_ms = kept_ms = None
            if len(kept) >= self.orders.majority:
                age_ms = self.now_ms - kept[-self.orders.majority][0]
                kept_ms = self.now_ms - max(since_ms for _, since_ms in kept[-self.orders.majority :])
            self.claims.append(ObservedClaim(self.now_ms, side, command.key.epoch, age_ms, kept_ms))

    # Sectors ---------------------------------------------------------------------------------------------------------

    def read_sector(self, reader: Side, of: Side, disk: int) -> bytes | None:
        """The sector that `of` wrote last; None when the disk is out of reach. A reservation does not block reads."""
        if not self.shelf.answers(reader, disk):
            return None
        return self.sectors.get((disk, of), bytes(RECORD_BYTES))

    def write_sector(self, side: Side, disk: int, data: bytes) -> str:
        """Write a sector; returns `good`, `conflict` or `silent`."""
        if not self.shelf.answers(side, disk):
            return "silent"
        if not self.shelf.disks[disk].lets_write(side):
            return "conflict"
        self.sectors[disk, side] = data
        last_ms, since_ms = self._kept_ms.get((disk, side), (0, 0))
        self._kept_ms[disk, side] = (self.now_ms, since_ms if self.now_ms - last_ms <= GAP_MS else self.now_ms)
        return "good"
