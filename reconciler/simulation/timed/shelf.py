"""The shelf in time: disks that answer, refuse, hang or are gone, their contents, and the disk records.

`disk` computes how a disk treats reservations. Does not know who asks, or why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.current_copies import Copy, pool_name
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.simulation.disk import Disk, answer, power_cycle

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World

SIDES: Final = (Side.A, Side.B)
#: A disk heartbeat with the number of the secret that seals it.
Sealed = tuple[int, Beat]
#: Longest wait for one disk's answer, as in the adapter; a look waits no longer than its own interval.
DEADLINE_MS: Final = 2_000


def committed(write: int) -> int:
    """Return the transaction group of a write: every second one, because two successive ones may count as equal."""
    return 2 * write + 2


@dataclass(frozen=True, slots=True)
class Tree:
    """What the label of a disk says of other disks: the dropped ones, and the spare in use for each of them."""

    given_up: frozenset[int] = frozenset()
    in_use: frozenset[tuple[int, int]] = frozenset()


class TimedShelf:
    """All disks of the pair. Sets of numbers are indices into the orders' disks.

    `gone`: for both controllers. `lost`: out of reach of one controller. `hanging`: accepts commands, answers none.
    `refusing`: answers reads and refuses every reservation command. `mute`: executes reservation commands, but the
    answer is lost. `unreadable`: answers every reservation command and fails every read and write. `slow_ms`: extra
    time of a disk. `stalled`: controllers that no disk answers for a while; the writes of their pools wait.
    `half_lost`: disks to which the second path of one controller is down.

    `content`: the newest write that each disk holds; `trees`: what its label says of the others. `records`: for each
    disk the disk heartbeats of both sides, each with the number of the secret that seals it. `wrote_ms`: for each side
    and disk, when the disk took the last record and since when it took them without a gap. Only records that a majority
    of the writer's arbitration disks took count.
    """

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.disks: list[Disk] = [Disk()] * count
        self.content = [0] * count
        self.trees: list[Tree] = [Tree()] * count
        self.records: list[list[Sealed | None]] = [[None, None] for _ in range(count)]
        self.wrote_ms: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]] = ({}, {})
        self.gone: set[int] = set()
        self.lost: tuple[set[int], set[int]] = (set(), set())
        self.half_lost: tuple[set[int], set[int]] = (set(), set())
        self.hanging: set[int] = set()
        self.refusing: set[int] = set()
        self.mute: set[int] = set()
        self.unreadable: set[int] = set()
        self.slow_ms: dict[int, int] = {}
        self.stalled: set[Side] = set()
        self._views: list[tuple[DiskView, ...] | None] = [None, None]
        self._good: list[frozenset[int] | None] = [None, None]

    def answers(self, side: Side, disk: int) -> bool:
        """Whether a command of this controller is answered in time."""
        return side not in self.stalled and self.works(side, disk)

    def works(self, side: Side, disk: int) -> bool:
        """Whether a command of this controller is answered, perhaps after a stall."""
        return disk not in self.gone and disk not in self.lost[side is Side.B] and disk not in self.hanging

    def has_two(self, side: Side, disk: int) -> bool:
        """Whether the second path of this controller works."""
        return disk not in self.half_lost[side is Side.B]

    def reads(self, side: Side, disk: int) -> bool:
        """Whether this controller can read the disk's content."""
        return disk not in self.unreadable and self.answers(side, disk)

    def copies(self, side: Side, orders: Orders, pool: str) -> dict[int, Copy | None]:
        """Return what the labels say that this controller can read, by disk: see `current_copies`."""
        vdevs = [(top, vdev) for top, vdev in enumerate(orders.vdevs) if pool_name(vdev) == pool]
        return {at: self._copy(vdevs, at) for at in range(len(orders.disks)) if self.reads(side, at)}

    def _copy(self, vdevs: list[tuple[int, Vdev]], at: int) -> Copy | None:
        tree = self.trees[at]
        for top, vdev in vdevs:
            in_use = {lost: spare for lost, spare in tree.in_use if lost in vdev.disks}
            if at in vdev.disks or at in in_use.values():
                places = tuple((one, in_use[one]) if one in in_use else (one,) for one in vdev.disks)
                return Copy(at, top, committed(self.content[at]), 1, places, tuple(tree.given_up))
        return None

    def in_use(self, pool: int, disk: int) -> dict[int, int]:
        """Return the spares of a pool by the disks that they stand in for, as the label of a disk says."""
        members = self.world.members_of[pool]
        return {lost: spare for lost, spare in self.trees[disk].in_use if lost in members}

    def labelled(self, pool: int) -> list[int]:
        """Return the disks with labels of this pool: its members, and spares whose labels say that they stand in."""
        members = self.world.members_of[pool]
        return [at for at in range(len(self.disks)) if at in members or at in self.in_use(pool, at).values()]

    def good(self, side: Side) -> frozenset[int]:
        """Return the disks that execute a write of this controller now."""
        known = self._good[side is Side.B]
        if known is None:
            disks = enumerate(self.disks)
            known = frozenset(
                at for at, disk in disks if self.works(side, at) and at not in self.unreadable and disk.lets_write(side)
            )
            self._good[side is Side.B] = known
        return known

    def views(self, side: Side) -> tuple[DiskView, ...]:
        """Return what a look of this controller reads now."""
        known = self._views[side is Side.B]
        if known is None:
            disks = enumerate(self.disks)
            known = tuple(
                disk.view(side if self.has_two(side, at) else None) if self.answers(side, at) else UNANSWERED
                for at, disk in disks
            )
            self._views[side is Side.B] = known
        return known

    def look_ms(self, side: Side, limit_ms: int) -> int:
        """Return how long a look takes: as long as its slowest disk, at most `limit_ms`."""
        slowest = self.world.draw(self.world.physics.command_ms)
        if side in self.stalled:
            return limit_ms
        if self.slow_ms:
            slowest += max(self.slow_ms.values())
        if any(at not in self.gone and at not in self.lost[side is Side.B] for at in self.hanging):
            return limit_ms
        return min(slowest, limit_ms)

    def perform(self, side: Side, order: Command) -> tuple[Reply, int]:
        """Execute one command. Returns its reply and how many milliseconds it took."""
        at = order.disk
        took_ms = self.world.draw(self.world.physics.command_ms) + self.slow_ms.get(at, 0)
        if not self.answers(side, at):
            silent = at in self.hanging or side in self.stalled
            silent = silent and at not in self.gone and at not in self.lost[side is Side.B]
            return Reply(Answer.SILENT), DEADLINE_MS if silent else took_ms
        if at in self.refusing and order.verb is not Verb.LOOK:
            return Reply(Answer.SILENT), took_ms
        disk = self.disks[at]
        if side in disk.attention:
            # The first command after a power cycle or a preemption is answered CHECK CONDITION; the adapter retries.
            took_ms *= 2
            disk = replace(disk, attention=disk.attention - {side})
        changed, reply = answer(disk, side, order, two=self.has_two(side, at))
        if changed is not self.disks[at]:
            self.disks[at] = changed
            self.changed()
        if at in self.mute and order.verb is not Verb.LOOK:
            return Reply(Answer.SILENT), took_ms
        return reply, took_ms

    def changed(self) -> None:
        """Drop cached results after disks or paths to them changed, and call the checkers."""
        self._views = [None, None]
        self._good = [None, None]
        self.world.checkers.disks_changed()

    def cycle(self, *, persists: bool) -> None:
        """Power every disk off and on."""
        self.disks = [power_cycle(disk, persists=persists) for disk in self.disks]
        self.changed()

    def write_record(self, side: Side, beat: Beat, seal: int = 0) -> bool:
        """Write a disk heartbeat to the arbitration disks that execute this controller's writes.

        False: so many disks refuse it because of their reservation that this controller cannot have a majority.
        """
        good = self.good(side) if side not in self.stalled else frozenset[int]()
        orders = self.world.controller(side).orders
        votes = self.world.places(orders.voters)
        written = [at for at in votes if at in good]
        for at in written:
            self.records[at][side is Side.B] = (seal, beat)
        if len(written) >= orders.majority:
            now_ms, wrote_ms = self.world.now_ms, self.wrote_ms[side is Side.B]
            for at in written:
                last_ms, since_ms = wrote_ms.get(at, (now_ms, now_ms))
                wrote_ms[at] = (now_ms, now_ms if now_ms - last_ms > 2 * orders.timers.record_ms else since_ms)
        refused = sum(self.answers(side, at) and not self.disks[at].lets_write(side) for at in votes)
        return len(votes) - refused >= orders.majority

    def read_records(self, side: Side) -> tuple[Sealed | None, ...]:
        """Return the peer's disk heartbeat on each arbitration disk.

        None: blank or unreadable. All are None if this controller does not reach a majority.
        """
        one = self.world.controller(side)
        places = self.world.places(one.read.voters)
        reached = [at for at in places if self.reads(side, at)]
        if len(frozenset(reached).intersection(self.world.places(one.orders.voters))) < one.orders.majority:
            return (None,) * len(places)
        return tuple(self.records[at][side is Side.A] if at in reached else None for at in places)
