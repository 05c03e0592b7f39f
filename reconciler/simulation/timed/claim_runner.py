"""The child that runs a claim in the timed world: commands to several disks at once, each answered in its time.

Does not know why the core claims.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import Claim, Reply, advance, begin, commands
from reconciler.core.failover.reservations.key import Key

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World


class ClaimRunner:
    """Runs one claim. `claim`: the running one. `hangs`: it makes no progress. `ended` receives a finished claim."""

    def __init__(self, world: World, owner: Controller, ended: Callable[[Claim], Any]) -> None:
        self._world, self._owner, self._ended = world, owner, ended
        self.claim: Claim | None = None
        self.hangs = False
        self._number = 0
        self._asked: set[int] = set()

    @property
    def key(self) -> Key | None:
        """Return the key of the running claim."""
        return self.claim.key if self.claim is not None else None

    def begin(self, orders: Orders, key: Key) -> None:
        """Run this claim."""
        self.claim = begin(orders, key)
        self._number += 1
        self._asked.clear()
        self._world.note(self._owner.side, f"claims with key {key}")
        self._world.later(0, self._on, (self._number, None), self._owner)

    def drop(self) -> None:
        """Stop the claim. Commands that are on their way to disks are still executed."""
        self.claim, self.hangs = None, False

    def _on(self, heard: tuple[int, tuple[int, Reply] | None]) -> None:
        """After a disk's answer: send every disk its next command, or end the claim."""
        number, answer = heard
        if number != self._number or self.claim is None or self.hangs:
            return
        if answer is not None:
            self._asked.discard(answer[0])
            self.claim = advance(self.claim, *answer)
        orders, names = commands(self.claim), self.claim.orders.disks
        if not orders:
            self._ended(self.claim)
        for order in orders:
            if order.disk not in self._asked:
                self._asked.add(order.disk)
                (place,) = self._world.places((names[order.disk],))
                reply, took_ms = self._world.shelf.perform(self._owner.side, replace(order, disk=place))
                self._world.later(took_ms, self._on, (number, (order.disk, reply)), self._owner)
