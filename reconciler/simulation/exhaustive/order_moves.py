"""Newer orders of the exhaustive world: they move arbitration disks, and reach each controller at any moment.

Only scenes with `SceneFaults.moved` have them. A controller keeps the shelf in force over every reset, as its file
does. The disks stay the same, so no controller has to take one before the newer shelf comes into force.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.failover.machine.events import Tick
from reconciler.core.failover.machine.pending_orders import on_shelf
from reconciler.core.failover.machine.state import Memory, State, initial
from reconciler.core.failover.machine.step import step
from reconciler.core.failover.orders.orders import Orders, layout
from reconciler.simulation.exhaustive.server_moves import CHANGING, ServerMoves
from reconciler.simulation.exhaustive.state_numbers import OFF, SideState, Step

#: `SideState.shelf`: no newer orders, newer orders whose shelf is pending, and that shelf in force.
OLD, PENDING, NEWER = range(3)


class OrderMoves(ServerMoves):
    """Moves by which orders come, and the state with which a controller starts under them."""

    def _newer(self, me: int) -> Orders:
        return replace(self.orders[me], generation=2, arbitration=self.scene.faults.moved)

    def _initial(self, node: SideState, me: int, memory: Memory | None = None) -> State:
        """Return the state of a daemon that starts. `node`: what the one before left."""
        orders, pending = self.orders[me], None
        if node.shelf != OLD:
            orders = self._newer(me)
        if node.shelf == PENDING:
            orders, pending = on_shelf(orders, layout(self.orders[me])), orders
        state = replace(initial(orders, 0, 0, memory, pending=pending), armed=not self.scene.faults.unarmed)
        return step(state, CHANGING, 0) if self.scene.faults.servers else state

    def _off(self, node: SideState) -> SideState:
        """Return a controller without power. Its files stay."""
        return SideState(OFF, shelf=node.shelf)

    def _with_shelf(self, node: SideState) -> SideState:
        """Note which shelf the core has in force."""
        if not self.scene.faults.moved or node.core < 0:
            return node
        state = self.state_of(node)
        in_force = NEWER if state.orders.arbitration == self.scene.faults.moved else OLD
        return node._replace(shelf=PENDING if state.pending is not None else in_force)

    def _arrives(self, me: int, node: SideState) -> Iterator[Step]:
        """Yield the arrival of newer orders."""
        if not self.scene.faults.moved or node.core < 0 or node.shelf != OLD:
            return

        def accepted(state: State) -> State:
            newer = self._newer(me)
            orders = on_shelf(newer, layout(state.orders))
            # `accept` would refuse orders with timers of one tick.
            return step(replace(state, orders=orders, pending=newer, pending_ms=state.now_ms), Tick(), 0)

        core = self._memo((node.core, "newer"), lambda: self._core(accepted(self.cores.values[node.core])))
        yield Step("newer orders arrive", self._settled(node._replace(core=core)))

    def _settled(self, node: SideState) -> SideState:
        raise NotImplementedError
