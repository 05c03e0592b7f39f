"""The looks of one controller of the timed world at the disks and at the peer's records, and their consequences.

A look that began under other orders does not describe the present disks, so it is dropped. Does not know what a look
means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.failover.machine.events import ShelfSeen
from reconciler.core.failover.reservations.fence_completion import completable, completing
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.simulation.timed.shelf import Sealed

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.world import World

#: One look: its daemon, when it began, how long it took, the names and views of the disks, and the peer's records.
Look = tuple[int, int, int, tuple[str, ...], tuple[DiskView, ...], tuple[Sealed | None, ...]]


class DiskMonitor:
    """Looks again and again while the daemon lives."""

    def __init__(self, world: World, owner: Controller) -> None:
        self._world, self._owner = world, owner

    def look(self, daemon: int) -> None:
        """Ask all disks."""
        one, world = self._owner, self._world
        if daemon != one.daemon:
            return
        if one.paused:
            one.held.append((self.look, daemon))
            return
        one.kernel.recover()
        names, every, records = one.read.disks, world.shelf.views(one.side), world.shelf.read_records(one.side)
        views = tuple(every[at] for at in world.places(names))
        took_ms = world.shelf.look_ms(one.side, one.orders.timers.look_ms)
        world.later(took_ms, self._looked, (daemon, one.clock(), took_ms, names, views, records), one)

    def _looked(self, look: Look) -> None:
        daemon, begun_ms, took_ms, names, views, records = look
        one = self._owner
        if daemon != one.daemon or one.core is None:
            return
        if one.paused:
            one.held.append((self._looked, look))
            return
        found = one.records.events(records, one.core.peer.incarnation, len(one.orders.channels))
        if names == one.read.disks:
            places = self._world.places(one.orders.disks)
            out = frozenset(at for at, place in enumerate(places) if place in one.kernel.out)
            one.feed(ShelfSeen(views, out, begun_ms))
        for event in found:
            one.feed(event)
        if names == one.read.disks:
            self._complete(names, views)
        one.again(one.orders.timers.look_ms - took_ms, self.look, daemon)

    def _complete(self, names: tuple[str, ...], views: tuple[DiskView, ...]) -> None:
        """Complete the claim of an active controller: take the disks that it does not hold alone, where it may."""
        one = self._owner
        mine = completing(one.core) if one.core is not None else None
        if mine is not None:
            one.completer.begin(mine, self._world.places(names[at] for at in completable(views, mine)))
