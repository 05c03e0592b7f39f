"""The kernels of the exhaustive world: imports, exports, writes, and the disks that pools have dropped.

In scenes where disks come back to stay, a pool does without a dropped disk until it opens the disk again. It can do so
at any moment when the disk takes its writes and no completion keeps it. In other scenes the pool opens the disk with
its next write, which shows the same with fewer states. This module also runs the child that completes a claim: no pool
can open a disk that the child keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.failover.machine.outputs import Outputs, outputs
from reconciler.core.failover.machine.phase import Thing
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.reservations.claim import Answer, Command, Reply
from reconciler.core.failover.reservations.fence_completion import (
    Completion,
    CompletionStage,
    Keep,
    after_keep,
    after_reply,
    completable,
    completing,
    next_request,
)
from reconciler.simulation.disk import answer
from reconciler.simulation.exhaustive.canonical import Disks, plain_disk
from reconciler.simulation.exhaustive.disk_invariants import DiskInvariants
from reconciler.simulation.exhaustive.state_numbers import ALL, HUNG, NONE, OFF, SIDES, SOME, Between, SideState, Step


class PoolMoves(DiskInvariants):
    """Moves that need no step of the core: pools that obey earlier outputs, and a completion that has begun."""

    def state_of(self, node: SideState) -> State:
        """Return the core's state of a living daemon."""
        state: State = self.cores.values[node.core]
        return state

    def outputs_of(self, core: int) -> Outputs:
        """Return the outputs of a core by its number."""
        known = self._outputs.get(core)
        if known is None:
            known = self._outputs[core] = outputs(self.cores.values[core])
        return known

    # Pools -----------------------------------------------------------------------------------------------------------

    def _usable(self, me: int, node: SideState, shelf: int, between: Between) -> int:
        """Return the disks that execute the writes of these pools, a bit each."""
        usable = self._writable(me, shelf) & ~between.lost[me]
        return usable & ~node.out if self.scene.faults.sticky else usable

    def _kernel(self, me: int, node: SideState, shelf: int, between: Between) -> Iterator[Step]:
        faults = self.scene.faults
        if node.core == OFF:
            return
        outs = self.outputs_of(node.core) if node.core >= 0 else None
        wanted = None if outs is None or Thing.POOLS in outs.kept else outs.wanted
        works = self._quorum(self._usable(me, node, shelf, between))
        if wanted is not None and Thing.POOLS in wanted and node.pools == NONE:
            begun = node._replace(pools=SOME, refused=False, stale=not self._writes(me, shelf), completion=-1, gained=0)
            if not faults.sticky or self._readable(node, between.lost[me]):
                yield Step("import begins", begun)
            if faults.refuse and not node.refused:
                yield Step("import is refused", node._replace(refused=True), fault=True)
        if wanted is not None and Thing.POOLS not in wanted and node.pools in (SOME, ALL) and works:
            exported = node._replace(pools=NONE, stale=False, replaced=False, out=0, completion=-1, gained=0)
            yield Step("export ends", exported, broken="an export under a server" if node.servers else "")
        if node.pools == SOME and works:
            yield self._imported(me, node, shelf, between)
        if faults.reach and node.pools == ALL and works:
            fresh = self._usable(me, node, shelf, between)
            if fresh != between.fresh or node.out != self.every & ~fresh:
                after = node._replace(out=self.every & ~fresh)
                yield Step("a client's write is acknowledged", after, between=between._replace(fresh=fresh))
        if faults.sticky and node.pools == ALL:
            yield from self._reopened(me, node, shelf, between)
        if faults.hang and node.pools == ALL:
            yield Step("pools hang", node._replace(pools=HUNG), fault=True)
        if node.pools == HUNG:
            yield Step("pools answer again", node._replace(pools=ALL))

    def _excused(self, node: SideState) -> int:
        """Return the disks whose silence does not stop an import, a bit each: the last owner had dropped them."""
        return sum(1 << at for at in self.state_of(node).excused) if node.core >= 0 else 0

    def _readable(self, node: SideState, lost: int) -> bool:
        """Whether the adapter begins an import.

        The silent disks must not be enough to hold newer writes by themselves. Enough of the disks that no owner had
        dropped must be readable.
        """
        excused = self._excused(node)
        missing = lost & ~excused
        carried_on = any(self._enough(vdev, missing) for vdev in range(len(self.scene.orders.vdevs)))
        return self._quorum(self.every & ~lost & ~excused) and not carried_on

    def _imported(self, me: int, node: SideState, shelf: int, between: Between) -> Step:
        seen = between.fresh & ~between.lost[me]
        sticky = self.scene.faults.sticky
        # A disk with the newest writes was readable when the import began.
        told = sticky and bool(between.fresh & ~self._excused(node))
        if (seen or told) and not self._quorum(seen):
            return Step("import is refused: newer writes are missing", node._replace(pools=NONE, refused=True))
        broken = "" if seen else "an acknowledged write is lost"
        if not sticky:
            return Step("import ends", node._replace(pools=ALL), broken=broken)
        opened = self._usable(me, node, shelf, between)
        after = node._replace(pools=ALL, out=self.every & ~opened)
        return Step("import ends", after, between=between._replace(fresh=between.fresh | opened), broken=broken)

    def _reopened(self, me: int, node: SideState, shelf: int, between: Between) -> Iterator[Step]:
        """A person, or ZFS itself, makes the pools open a disk again. ZFS resilvers it at once."""
        ready = node.out & self._writable(me, shelf) & ~between.lost[me] & ~self._kept(node)
        for at in range(len(self.scene.orders.disks)):
            if ready >> at & 1:
                bit = 1 << at
                fresh = between.fresh & ~bit if node.replaced else between.fresh | bit
                after = node._replace(out=node.out & ~bit, gained=node.gained & ~bit)
                if not node.replaced and self._writes(me, shelf, after.gained):
                    after = after._replace(stale=False)
                yield Step(f"disk{at} is opened again", after, between=between._replace(fresh=fresh))

    # Completing ------------------------------------------------------------------------------------------------------

    def _kept(self, node: SideState) -> int:
        """Return the disk that a completion has opened exclusively, a bit."""
        if node.completion < 0:
            return 0
        completion: Completion = self.completions.values[node.completion]
        return 1 << completion.disk if completion.kept else 0

    def _completes(self, me: int, node: SideState, shelf: int, between: Between) -> Iterator[Step]:
        """Yield one command of a completion, or the start of one with its first look if a look would start one."""
        disks: Disks = self.shelves.values[shelf]
        if node.completion >= 0:
            yield self._goes_on(me, node, self.completions.values[node.completion], shelf, between)
            return
        mine = completing(self.state_of(node))
        if mine is None or node.claim >= 0:
            return
        for at in completable(tuple(disk.view() for disk in disks), mine):
            if not between.lost[me] >> at & 1:
                yield self._goes_on(me, node, Completion(at, mine), shelf, between)

    def _goes_on(self, me: int, node: SideState, completion: Completion, shelf: int, between: Between) -> Step:
        question, at = next_request(completion), completion.disk
        disks: Disks = self.shelves.values[shelf]
        if isinstance(question, Keep):
            alone = node.pools == NONE or (node.pools == ALL and bool(node.out >> at & 1))
            completion = after_keep(completion, alone=alone)
            name = f"keeps disk{at}" if alone else f"cannot keep disk{at}"
        else:
            assert isinstance(question, Command)
            disk, reply = disks[at], Reply(Answer.SILENT)
            if not between.lost[me] >> at & 1:
                disk, reply = answer(disk, SIDES[me], question)
                disks = (*disks[:at], plain_disk(disk), *disks[at + 1 :])
            completion = after_reply(completion, reply)
            name = f"completes: {question.verb} disk{at}: {reply.answer}"
        gained, broken = node.gained | (1 << at if completion.kept else 0), ""
        if completion.stage is CompletionStage.DONE:
            found = disks[at]
            if found.key(SIDES[me]) is None:
                gained &= ~(1 << at)
            elif completion.kept and found.holder is SIDES[1 - me]:
                broken = "a completion leaves its key on a disk that another holds"
            after = node._replace(completion=-1, gained=gained)
        else:
            after = node._replace(completion=self.completions.number(completion), gained=gained)
        return Step(name, after, disks=self.shelves.number(disks), broken=broken)
