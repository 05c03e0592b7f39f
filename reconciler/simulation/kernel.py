"""What a controller's kernel does with pools and addresses, whether or not a daemon is alive to ask for it.

A disk that does not take a write is given up if its vdev can do without; if not, the pool suspends. Does not know who
should own the pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.failover.coverage import outdated, pools_of, uncovered
from reconciler.core.failover.events import Pools, PoolsSeen
from reconciler.core.failover.hold import spares
from reconciler.core.failover.phase import Thing
from reconciler.core.failover.progress import NOTHING, mark
from reconciler.simulation.shelf import Tree, committed

if TYPE_CHECKING:
    from reconciler.simulation.daemon import Controller
    from reconciler.simulation.timed import World

Things = frozenset[Thing]

#: How long after a refused import the next one is tried, and how often a stuck export is.
AGAIN_MS = 500


class Kernel:
    """Pools, addresses and the newest write of one controller.

    `pools` as in `Pools`, REFUSED and UNKNOWN aside. `out`: disks that the imported pools gave up. `newest`: the last
    write that the imported pools hold; `opened`: the newest that an import found when it began. `stale`: this import
    lost its reservation once; `replaced`: and another has begun since. `kept`: disks that a completion has for itself
    alone. `paths_kept`: disks whose second path it has for itself alone, so that no pool writes over it. `in_use`: the
    spare that stands in for a disk. `gained`: disks where a completion may have registered us; no pool can write there
    before it has opened them again. `mood`: how the next command ends: "", "hangs", "refused", or "used": an export
    that somebody keeps from going on. `refusal`: why labels made the last import impossible.
    """

    def __init__(self, world: World, owner: Controller) -> None:
        self.world = world
        self.owner = owner
        self.mood_import = ""
        self.mood_export = ""
        self.vanish()

    def vanish(self) -> None:
        """The machine lost its memory."""
        self.pools = Pools.NONE
        self.addresses = False
        self.out: set[int] = set()
        self.in_use: dict[int, int] = {}
        self.kept: set[int] = set()
        self.paths_kept: set[int] = set()
        self.gained: set[int] = set()
        self.newest = 0
        self.opened = 0
        self.stale = self.replaced = False
        self.refused_ms: int | None = None
        self.refusal: tuple[str, ...] = ()
        self.suspended = False
        self.busy = ""
        self.hangs = self.used = False
        self.progressed = 0
        self.world.checkers.answers_changed()

    @property
    def imported(self) -> bool:
        """Whether anything of the pools is here."""
        return self.pools is not Pools.NONE

    @property
    def answering(self) -> bool:
        """Whether clients who ask for the virtual addresses are answered from here."""
        return self.addresses and not self.owner.frozen

    def look(self) -> Pools:
        """What the daemon sees."""
        if self.suspended:
            return Pools.HUNG
        if self.pools is Pools.NONE and self.refused_ms is not None:
            return Pools.REFUSED
        return self.pools

    def seen(self) -> PoolsSeen:
        """The same with how an import or export goes on."""
        waits = self.hangs or self.used or self.suspended or self._stalled
        waits = waits or not self._enough(self.world.shelf.good(self.owner.side))
        if self.busy and not waits:
            self.progressed = self.world.now_ms
        return PoolsSeen(self.look(), self.progressed, self.used, txgs=self.txgs())

    # What the daemon asks for ----------------------------------------------------------------------------------------

    def wants(self, wanted: Things, kept: Things) -> bool:
        """Whether something differs from what is wanted and can be changed now."""
        if self.addresses != self._addresses(wanted, kept):
            return True
        if self.used and Thing.POOLS in wanted:
            return True
        if self.busy or (Thing.POOLS in kept and Thing.POOLS not in wanted):
            return False
        if Thing.POOLS in wanted:
            ready = self.refused_ms is None or self.world.now_ms - self.refused_ms >= AGAIN_MS
            return self.pools is Pools.NONE and ready
        if not self.imported:
            self.refused_ms = None
        return self.imported and not self.suspended

    def _addresses(self, wanted: Things, kept: Things) -> bool:
        if Thing.ADDRESSES in wanted:
            return self.pools is Pools.ALL
        return self.addresses and Thing.ADDRESSES in kept

    def obey(self, wanted: Things, kept: Things) -> None:
        """Begin what is wanted; addresses go before pools and come after them."""
        addresses = self._addresses(wanted, kept)
        if addresses != self.addresses:
            self.addresses = addresses
            self.world.note(self.owner.side, "answers clients" if addresses else "stops answering clients")
            self.world.checkers.answers_changed()
        if Thing.POOLS in wanted:
            self.give_up_export()
        if self.busy:
            return
        if Thing.POOLS in wanted:
            if self.pools is Pools.NONE:
                self._begin_import()
        elif Thing.POOLS not in kept and self.imported and not self.suspended:
            self._begin("export", self.world.physics.export_ms, self.mood_export)

    def give_up_export(self) -> None:
        """Where somebody uses what is mounted, nothing was exported, and whoever unmounted the rest mounts it again."""
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
        self.pools = Pools.SOME
        self.gained.clear()
        self.paths_kept.clear()
        self.stale = self.replaced = False
        self.refused_ms = None
        shelf, side = self.world.shelf, self.owner.side
        readable = [at for at in range(len(shelf.disks)) if shelf.reads(side, at)]
        self.opened = max((shelf.content[at] for at in readable), default=0)
        newest = max(readable, key=lambda at: shelf.content[at], default=None)
        self.in_use = {} if newest is None else dict(shelf.trees[newest].in_use)
        self.world.checkers.import_began(self.owner)
        lines = self._uncovered()
        for line in lines if lines != self.refusal else ():
            self.world.note(side, line)
        self.refusal = lines
        self._begin("import", self.world.physics.import_ms, "refused" if lines else self.mood_import)

    def _uncovered(self) -> tuple[str, ...]:
        """What the adapter says to the labels that it reads: see `coverage`."""
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
        """How far the pools have come: here every write is a commit, and all pools take every write."""
        if self.pools is not Pools.ALL:
            return ()
        return tuple(mark(at + 1, committed(self.newest)) for at in range(len(pools_of(self.owner.orders))))

    def _end_import(self, mood: str) -> None:
        if self.busy != "import" or self.hangs:
            return
        if self._stalled:
            self.world.later(AGAIN_MS, self._end_import, mood, self.owner)
            return
        self.busy = ""
        good = self.world.shelf.good(self.owner.side)
        # ZFS opens the newest transaction group that any disk tells of, and refuses if a vdev cannot read it any more.
        content = self.world.shelf.content
        newest = max(self.opened, *(content[at] for at in good), 0)
        if mood == "refused" or not self._enough({at for at in good if content[at] >= newest}):
            self.pools = Pools.NONE
            self.refused_ms = self.world.now_ms
            self.world.note(self.owner.side, "import is refused")
            return
        self.newest = newest
        self.world.checkers.import_ended(self.owner)
        for at in good:
            content[at] = newest
        self.out = set(range(len(self.world.shelf.disks))) - good
        self._label()
        self.pools = Pools.ALL
        self.world.note(self.owner.side, "import ends")

    def _end_export(self, mood: str) -> None:
        if self.busy != "export" or self.hangs:
            return
        if self.suspended or self._stalled or not self._enough(self.world.shelf.good(self.owner.side)):
            self.world.later(AGAIN_MS, self._end_export, mood, self.owner)
            return
        self.busy = ""
        self.pools = Pools.NONE
        self.out = set()
        self.in_use = {}
        self.stale = self.replaced = False
        self.world.note(self.owner.side, "export ends")

    def unstick(self) -> None:
        """Commands that hang go on."""
        self.mood_import = self.mood_export = ""
        self.hangs = self.used = False
        act = {"import": self._end_import, "export": self._end_export}.get(self.busy)
        if act is not None:
            self.world.later(0, act, "", self.owner)

    def stand_still(self) -> None:
        """The command that runs does not go on."""
        self.hangs = bool(self.busy)

    def imported_by_hand(self) -> None:
        """Pools appear that no daemon asked for."""
        if self.owner.on and not self.busy and self.pools is Pools.NONE:
            self.pools = Pools.ALL
            self.world.checkers.disks_changed()

    def exported_by_hand(self) -> None:
        """Pools vanish that a daemon wants."""
        if not self.busy and self.pools is Pools.ALL and not self.suspended:
            self._begin("export", self.world.physics.export_ms, "")

    # Disks and writes ------------------------------------------------------------------------------------------------

    @property
    def _stalled(self) -> bool:
        """Whether what this kernel asks of disks waits until a stall is over."""
        return self.owner.side in self.world.shelf.stalled

    def _enough(self, good: frozenset[int] | set[int]) -> bool:
        return all(
            sum(at in good or self.in_use.get(at) in good for at in vdev.disks) >= vdev.needed
            for vdev in self.world.orders.vdevs
        )

    def _label(self) -> None:
        """Spares take the places of disks that are given up, and every disk in use is told which those are."""
        shelf, orders = self.world.shelf, self.world.orders
        members = [at for vdev in orders.vdevs for at in vdev.disks]
        self.in_use = {at: spare for at, spare in self.in_use.items() if at in self.out}
        free = [at for at in spares(orders) if at not in self.out and at not in self.in_use.values()]
        for at in members:
            if at in self.out and self.in_use.get(at, at) in self.out and free:
                self.in_use[at] = free.pop(0)
        tree = Tree(frozenset(self.out), frozenset(self.in_use.items()))
        for at in range(len(shelf.disks)):
            if at not in self.out:
                shelf.trees[at] = tree

    def suspend(self) -> None:
        """The pools stop answering."""
        if self.pools is Pools.ALL:
            self.suspended = True

    def mend(self) -> None:
        """Disks that are back are brought up to date; pools that had too few go on. The daemon asks, at its looks."""
        if self.pools is not Pools.ALL or not (self.out or self.suspended):
            return
        shelf = self.world.shelf
        good = shelf.good(self.owner.side)
        if self.suspended:
            if self._enough(good - self.out):
                self.suspended = False
            return
        back = (self.out & good) - self.kept
        for at in back:
            shelf.content[at] = self.newest
        self.out -= back
        self._label()
        if back & self.gained:
            self.gained -= back
            if not self.replaced and self.world.checkers.reaches(self.owner.side):
                self.stale = False
            self.world.checkers.disks_changed()

    def keep(self, disk: int) -> bool:
        """An exclusive open: refused while a pool has the disk."""
        spare = disk not in self.world.members and disk not in self.in_use.values()
        alone = spare or self.pools is Pools.NONE or (self.pools is Pools.ALL and disk in self.out)
        if alone:
            self.kept.add(disk)
            self.gained.add(disk)
        return alone

    def keep_paths(self, disk: int) -> bool:
        """An exclusive open of a second path that is not registered: pools write over the first one only."""
        self.paths_kept.add(disk)
        return True

    def writes_over(self, disk: int) -> bool:
        """Whether the disk takes what the pools write, over the first path or over the second."""
        found, side = self.world.shelf.disks[disk], self.owner.side
        second = found.second(side) is not None and disk not in self.paths_kept
        return found.lets_write(side) or second

    def let_go(self, disk: int) -> None:
        """Pools may open it again. What it gained counts when they do, unless the registration was given up."""
        self.kept.discard(disk)
        found, side = self.world.shelf.disks[disk], self.owner.side
        # A child that was killed in between leaves its path registered, but no pool opens a path by itself. What a
        # completion leaves at its end is checked there.
        left = found.second(side) is not None and found.holder is side.other
        if disk in self.paths_kept and not left:
            self.paths_kept.discard(disk)
            self.world.checkers.disks_changed()
        if self.world.shelf.disks[disk].key(self.owner.side) is None:
            self.gained.discard(disk)

    def write(self, number: int) -> bool:
        """A client's synchronous write; True when it is on disks and acknowledged."""
        if self.pools is not Pools.ALL or self.suspended or self.busy == "export" or self._stalled:
            return False
        shelf = self.world.shelf
        good = shelf.good(self.owner.side)
        used = good - self.out
        if not self._enough(used):
            self.suspended = True
            self.world.note(self.owner.side, "pools suspend: too few disks take writes")
            return False
        out = set(range(len(shelf.disks))) - used
        if out != self.out:
            self.out = out
            self._label()
        for at in used:
            shelf.content[at] = number
        self.newest = number
        self.world.checkers.acknowledged(self.owner)
        return True
