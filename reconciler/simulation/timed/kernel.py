"""A controller's kernel: its pools, servers and addresses, whether or not a daemon is alive to ask for changes.

If a disk does not take a write, the pool drops the disk when its vdev can do without it, and suspends otherwise. Does
not know which controller should own the pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.failover.machine.events import PoolsSeen, Presence
from reconciler.core.failover.machine.phase import Thing
from reconciler.core.failover.reservations.current_copies import outdated, pools_of, uncovered
from reconciler.core.failover.reservations.reservation_state import spares
from reconciler.core.failover.reservations.transaction_groups import NOTHING, mark
from reconciler.simulation.timed.servers import Servers
from reconciler.simulation.timed.shelf import Tree, committed

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World

Things = frozenset[Thing]

#: Milliseconds between a refused import and the next try, and between two tries of a stuck export.
AGAIN_MS = 500


class Kernel:
    """Pools, addresses and the newest writes of one controller.

    `pools` as in `Presence`, without REFUSED and UNKNOWN. `out`: disks that the imported pools dropped. Lists by pool,
    in the world's numbering: `newest`, the last write that the pool holds; `opened`, the newest write that an import
    found when it began. Sets of pools: `stale`, whose import lost its reservation once; `replaced`, and another import
    has begun since; `suspended`.

    `kept`: disks that a completion has opened exclusively. `paths_kept`: disks whose second path a completion has
    opened exclusively, so that no pool writes over it. `in_use`: the spare that stands in for a disk. `gained`: disks
    where a completion may have registered this controller; no pool can write there before it has opened them again.

    `mood`: how the next command ends: "", "hangs", "refused", or "used" (a process uses a mounted file system, so an
    export cannot continue). `refusal`: why labels made the last import impossible.
    """

    def __init__(self, world: World, owner: Controller) -> None:
        self.world = world
        self.owner = owner
        self.mood_import = ""
        self.mood_export = ""
        self.servers = Servers(world, owner, self)
        self.vanish()

    def vanish(self) -> None:
        """The machine lost its memory."""
        self.pools = Presence.NONE
        self.addresses = False
        self.servers.vanish()
        self.out: set[int] = set()
        self.in_use: dict[int, int] = {}
        self.kept: set[int] = set()
        self.paths_kept: set[int] = set()
        self.gained: set[int] = set()
        self.newest = [0] * len(self.world.pools)
        self.opened = [0] * len(self.world.pools)
        self.stale: frozenset[int] = frozenset()
        self.replaced: frozenset[int] = frozenset()
        self.suspended: set[int] = set()
        self.refused_ms: int | None = None
        self.refusal: tuple[str, ...] = ()
        self.busy = ""
        self.hangs = self.used = False
        self.progressed = 0
        self.world.checkers.answers_changed()

    @property
    def imported(self) -> bool:
        """Whether at least one pool is imported."""
        return self.pools is not Presence.NONE

    @property
    def answering(self) -> bool:
        """Whether this controller answers clients at the virtual addresses."""
        return self.addresses and not self.owner.frozen

    def look(self) -> Presence:
        """Return what the daemon sees of the pools."""
        if self.suspended:
            return Presence.HUNG
        if self.pools is Presence.NONE and self.refused_ms is not None:
            return Presence.REFUSED
        return self.pools

    def seen(self) -> PoolsSeen:
        """Return what the daemon sees of the pools and of the progress of an import or export."""
        waits = self.hangs or self.used or bool(self.suspended) or self._stalled
        waits = waits or not self._all_enough(self.world.shelf.good(self.owner.side))
        if self.busy and not waits:
            self.progressed = self.world.now_ms
        return PoolsSeen(self.look(), self.progressed, self.used, txgs=self.txgs())

    # What the daemon asks for ----------------------------------------------------------------------------------------

    def wants(self, wanted: Things, kept: Things) -> bool:
        """Whether the present state differs from the wanted one and can be changed now."""
        if self.addresses != self._addresses(wanted, kept):
            return True
        if self.used and Thing.POOLS in wanted:
            return True
        if self.busy or (Thing.POOLS in kept and Thing.POOLS not in wanted):
            return False
        if Thing.POOLS in wanted:
            ready = self.refused_ms is None or self.world.now_ms - self.refused_ms >= AGAIN_MS
            return self.pools is Presence.NONE and ready
        if not self.imported:
            self.refused_ms = None
        return self.imported and not self.suspended

    def _addresses(self, wanted: Things, kept: Things) -> bool:
        if Thing.ADDRESSES in wanted:
            return self.pools is Presence.ALL
        return self.addresses and Thing.ADDRESSES in kept

    def obey(self, wanted: Things, kept: Things) -> None:
        """Begin the wanted changes. Addresses go before pools leave and come after pools arrive."""
        addresses = self._addresses(wanted, kept)
        if addresses != self.addresses:
            self.addresses = addresses
            without = f" without {', '.join(self.servers.unserved())}" if self.servers.unserved() else ""
            self.world.note(self.owner.side, f"answers clients{without}" if addresses else "stops answering clients")
            self.world.checkers.answers_changed()
            if addresses:
                self.world.checkers.address_comes(self.owner)
        if Thing.POOLS in wanted:
            self.abort_export()
        if self.busy:
            return
        if Thing.POOLS in wanted:
            if self.pools is Presence.NONE:
                self._begin_import()
        elif Thing.POOLS not in kept and self.imported and not self.suspended:
            self.world.checkers.export_begins(self.owner)
            self._begin("export", self.world.physics.export_ms, self.mood_export)

    def abort_export(self) -> None:
        """Abort an export that a process prevents: no pool was exported, and everything is mounted again."""
        if self.used:
            self.busy, self.used = "", False
            self.world.note(self.owner.side, "export is given up, everything is mounted again")

    def _begin(self, what: str, span_ms: tuple[int, int], mood: str) -> None:
        self.busy = what
        self.owner.completer.drop()
        self.world.note(self.owner.side, f"{what} begins")
        self.hangs, self.used = mood == "hangs", mood == "used"
        if mood in ("hangs", "used"):
            return
        act = self._end_import if what == "import" else self._end_export
        self.world.later(self.world.draw(span_ms), act, mood, self.owner)

    def _begin_import(self) -> None:
        self.pools = Presence.SOME
        self.gained.clear()
        self.paths_kept.clear()
        self.stale = self.replaced = frozenset()
        self.refused_ms = None
        shelf, side = self.world.shelf, self.owner.side
        self.in_use = {}
        for pool in range(len(self.world.pools)):
            readable = [at for at in shelf.labelled(pool) if shelf.reads(side, at)]
            self.opened[pool] = max((shelf.content[at] for at in readable), default=0)
            newest = max(readable, key=lambda at: shelf.content[at], default=None)
            if newest is not None:
                self.in_use |= shelf.in_use(pool, newest)
        self.world.checkers.import_began(self.owner)
        lines = self._uncovered()
        for line in lines if lines != self.refusal else ():
            self.world.note(side, line)
        self.refusal = lines
        self._begin("import", self.world.physics.import_ms, "refused" if lines else self.mood_import)

    def _uncovered(self) -> tuple[str, ...]:
        """Return what the adapter says about the labels that it reads: see `current_copies`."""
        orders, outs = self.owner.orders, self.owner.outs
        out = outs.excused if outs is not None else frozenset()
        shelf, side = self.world.shelf, self.owner.side
        words = dict(zip(pools_of(orders), outs.word if outs is not None else (), strict=False))
        lines: list[str] = []
        for at, pool in enumerate(pools_of(orders)):
            copies = shelf.copies(side, orders, pool)
            lines += uncovered(orders, pool, copies, out)
            late = outdated(orders, pool, at + 1, copies, out, words.get(pool, NOTHING))
            lines += [late] if late else []
        return tuple(lines)

    def txgs(self) -> tuple[int, ...]:
        """Return the transaction groups of the pools: here every write is a commit."""
        if self.pools is not Presence.ALL:
            return ()
        numbers = (self.world.pools.index(name) for name in pools_of(self.owner.orders))
        return tuple(mark(at + 1, committed(self.newest[pool])) for at, pool in enumerate(numbers))

    def _end_import(self, mood: str) -> None:
        if self.busy != "import" or self.hangs:
            return
        if self._stalled:
            self.world.later(AGAIN_MS, self._end_import, mood, self.owner)
            return
        self.busy = ""
        good = self.world.shelf.good(self.owner.side)
        # ZFS opens the newest transaction group that any disk of a pool reports. It refuses the import if a vdev cannot
        # read that group.
        content, pools = self.world.shelf.content, range(len(self.world.pools))
        newest = [max((content[at] for at in self._disks(one) & good), default=0) for one in pools]
        newest = [max(found, self.opened[pool]) for pool, found in enumerate(newest)]
        if mood == "refused" or not all(
            self._enough(pool, {at for at in good if content[at] >= newest[pool]}) for pool in pools
        ):
            self.pools = Presence.NONE
            self.refused_ms = self.world.now_ms
            self.world.note(self.owner.side, "import is refused")
            return
        self.newest = newest
        self.world.checkers.import_ended(self.owner)
        self.out = set(range(len(self.world.shelf.disks))) - good
        for pool in pools:
            for at in self._disks(pool) & good:
                content[at] = newest[pool]
            self._label(pool)
        self.pools = Presence.ALL
        self.world.note(self.owner.side, "import ends")

    def _end_export(self, mood: str) -> None:
        if self.busy != "export" or self.hangs:
            return
        if self.suspended or self._stalled or not self._all_enough(self.world.shelf.good(self.owner.side)):
            self.world.later(AGAIN_MS, self._end_export, mood, self.owner)
            return
        self.busy = ""
        self.pools = Presence.NONE
        self.out = set()
        self.in_use = {}
        self.stale = self.replaced = frozenset()
        self.world.note(self.owner.side, "export ends")

    def unstick(self) -> None:
        """Let hanging commands continue."""
        self.mood_import = self.mood_export = ""
        self.hangs = self.used = False
        act = {"import": self._end_import, "export": self._end_export}.get(self.busy)
        if act is not None:
            self.world.later(0, act, "", self.owner)

    def stand_still(self) -> None:
        """Stop the running command from making progress."""
        self.hangs = bool(self.busy)

    def imported_by_hand(self) -> None:
        """Pools appear that no daemon asked for."""
        if self.owner.on and not self.busy and self.pools is Presence.NONE:
            self.pools = Presence.ALL
            self.world.checkers.disks_changed()

    def exported_by_hand(self) -> None:
        """Pools vanish that a daemon wants."""
        if not self.busy and self.pools is Presence.ALL and not self.suspended:
            self._begin("export", self.world.physics.export_ms, "")

    # Disks and writes ------------------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether everything that needs the pools waits: their disks or they themselves do not answer."""
        return bool(self.suspended) or self._stalled

    @property
    def _stalled(self) -> bool:
        """Whether the commands of this kernel wait for the end of a stall."""
        return self.owner.side in self.world.shelf.stalled

    def _disks(self, pool: int) -> set[int]:
        """Return the disks that a pool uses: its members, and spares that stand in for some."""
        members = self.world.members_of[pool]
        return {*members, *(spare for lost, spare in self.in_use.items() if lost in members)}

    def _enough(self, pool: int, good: frozenset[int] | set[int]) -> bool:
        return all(
            sum(at in good or self.in_use.get(at) in good for at in vdev.disks) >= vdev.needed
            for vdev in self.world.vdevs_of[pool]
        )

    def _all_enough(self, good: frozenset[int]) -> bool:
        return all(self._enough(pool, good) for pool in range(len(self.world.pools)))

    def _label(self, pool: int) -> None:
        """Replace dropped disks by spares, and write both to the label of every disk in use."""
        shelf, members = self.world.shelf, self.world.members_of[pool]
        self.in_use = {at: spare for at, spare in self.in_use.items() if at in self.out}
        free = [at for at in spares(self.world.orders) if at not in self.out and at not in self.in_use.values()]
        for at in members:
            if at in self.out and self.in_use.get(at, at) in self.out and free:
                self.in_use[at] = spare = free.pop(0)
                # Resilvering takes no time here.
                shelf.content[spare] = self.newest[pool]
        tree = Tree(frozenset(self.out), frozenset(self.in_use.items()))
        for at in self._disks(pool) - self.out:
            shelf.trees[at] = tree

    def suspend(self) -> None:
        """The pools stop answering."""
        if self.pools is Presence.ALL:
            self.suspended.update(range(len(self.world.pools)))

    def recover(self) -> None:
        """Resilver disks that are back, and resume pools that had too few disks. The daemon calls this at its looks."""
        if self.pools is not Presence.ALL or not (self.out or self.suspended):
            return
        shelf = self.world.shelf
        good = shelf.good(self.owner.side)
        if self.suspended:
            self.suspended = {pool for pool in self.suspended if not self._enough(pool, good - self.out)}
            return
        back = (self.out & good) - self.kept
        self.out -= back
        for pool in range(len(self.world.pools)):
            for at in back & self._disks(pool):
                shelf.content[at] = self.newest[pool]
            self._label(pool)
        if back & self.gained:
            self.gained -= back
            reached = {pool for pool in self.stale if self.world.checkers.reaches(self.owner.side, pool)}
            self.stale -= reached - self.replaced
            self.world.checkers.disks_changed()

    def keep(self, disk: int) -> bool:
        """Open a disk exclusively. False: a pool uses it."""
        spare = disk not in self.world.members and disk not in self.in_use.values()
        alone = spare or self.pools is Presence.NONE or (self.pools is Presence.ALL and disk in self.out)
        if alone:
            self.kept.add(disk)
            self.gained.add(disk)
        return alone

    def keep_paths(self, disk: int) -> bool:
        """Open an unregistered second path exclusively. Always succeeds: pools write over the first path only."""
        self.paths_kept.add(disk)
        return True

    def writes_over(self, disk: int) -> bool:
        """Whether the disk executes the pools' writes, over the first path or over the second."""
        found, side = self.world.shelf.disks[disk], self.owner.side
        second = found.second(side) is not None and disk not in self.paths_kept
        return found.lets_write(side) or second

    def release_disk(self, disk: int) -> None:
        """Let pools open the disk again. Its registration counts from then on, unless the completion removed it."""
        self.kept.discard(disk)
        found, side = self.world.shelf.disks[disk], self.owner.side
        # A child that was killed in between leaves its path registered, but no pool opens a path by itself. `completed`
        # of the checkers reads what a completion leaves at its end.
        left = found.second(side) is not None and found.holder is side.other
        if disk in self.paths_kept and not left:
            self.paths_kept.discard(disk)
            self.world.checkers.disks_changed()
        if self.world.shelf.disks[disk].key(self.owner.side) is None:
            self.gained.discard(disk)

    def write(self, number: int, pool: int) -> bool:
        """Execute a client's synchronous write to a pool. True: it is on disks and acknowledged."""
        if self.pools is not Presence.ALL or pool in self.suspended or self.busy == "export" or self._stalled:
            return False
        shelf = self.world.shelf
        good = shelf.good(self.owner.side)
        others = set[int]().union(*(self._disks(one) for one in range(len(self.world.pools)) if one != pool))
        used = self._disks(pool) & good - self.out
        if not self._enough(pool, used):
            self.suspended.add(pool)
            self.world.note(self.owner.side, "pools suspend: too few disks take writes")
            return False
        # A pool learns the state of the disks that it writes to, and of free spares.
        out = self.out | (set(range(len(shelf.disks))) - good - others)
        if out != self.out:
            self.out = out
            self._label(pool)
        for at in self._disks(pool) & good - self.out:
            shelf.content[at] = number
        self.newest[pool] = number
        self.world.checkers.acknowledged(self.owner, pool)
        return True
