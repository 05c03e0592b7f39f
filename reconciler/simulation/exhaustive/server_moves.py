"""Servers of shares in the exhaustive world: they start, stop and die, and addresses come and go.

Only scenes with `SceneFaults.servers` have them. A start or stop is one move at any moment after the core wants it, so
one that never happens needs no move. The daemon tells the core before it (see `SharesSeen`), stops no server behind an
address that answers, and learns at its next look what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.failover.machine.events import SharesSeen
from reconciler.core.failover.machine.phase import Thing
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.machine.step import step
from reconciler.simulation.exhaustive.pool_moves import PoolMoves
from reconciler.simulation.exhaustive.state_numbers import ALL, SideState, Step

#: What the daemon reports before a start or stop, and as its first event.
CHANGING = SharesSeen(served=False, stopped=False)


class ServerMoves(PoolMoves):
    """Moves of servers and addresses, which need no step of the core but the report before them."""

    @property
    def _all_servers(self) -> int:
        return (1 << self.scene.faults.servers) - 1

    def _shares_seen(self, node: SideState) -> SharesSeen:
        """Return what a look of the daemon finds."""
        return SharesSeen(node.servers == self._all_servers and node.pools == ALL, not node.servers)

    def _tell(self, core: int) -> int:
        """Return the core after the daemon's report that servers start or stop."""
        return self._memo((core, "shares"), lambda: self._core(step(self.cores.values[core], CHANGING, 0)))

    def _core(self, state: State) -> int:
        raise NotImplementedError

    def _servers(self, node: SideState) -> Iterator[Step]:
        """Yield every start, stop and end of a server, and what happens to the addresses."""
        if self.scene.faults.crash:
            for at in range(self.scene.faults.servers):
                if node.servers >> at & 1:
                    yield Step(f"server{at} dies", node._replace(servers=node.servers & ~(1 << at)), fault=True)
        if node.core < 0:
            return
        outs = self.outputs_of(node.core)
        left = outs.wanted | outs.kept
        for at in range(self.scene.faults.servers):
            changed = node.servers ^ 1 << at
            if not node.servers >> at & 1:
                if Thing.SHARES in outs.wanted and node.pools == ALL:
                    yield Step(f"server{at} starts", node._replace(core=self._tell(node.core), servers=changed))
            elif Thing.SHARES not in left and not node.answers:
                yield Step(f"server{at} stops", node._replace(core=self._tell(node.core), servers=changed))
        if node.answers and Thing.ADDRESSES not in left:
            yield Step("stops answering clients", node._replace(answers=False))
        if not node.answers and Thing.ADDRESSES in outs.wanted and node.pools == ALL:
            state = self.state_of(node)
            # A server may have died since the look that found all of them serving.
            waited_ms = self.scene.orders.timers.patience_ms if state.looks.served else state.now_ms - state.since_ms
            first = node.servers != self._all_servers and waited_ms < self.scene.orders.timers.patience_ms
            broken = "an address answers before the servers" if first else ""
            yield Step("answers clients", node._replace(answers=True), broken=broken)
