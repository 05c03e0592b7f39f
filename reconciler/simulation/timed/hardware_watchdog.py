"""A hardware watchdog of the timed world that is missing: the machine is not reset when its daemon stops."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.failover.machine.events import DeadmanSeen
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.world import World


def guards(*, guarded: bool) -> Callable[[World, tuple[str, ...]], None]:
    """The deed: from now on this machine has one, or has none, and its daemon knows."""

    def deed(world: World, words: tuple[str, ...]) -> None:
        one = world.controller(Side(words[0]))
        one.guarded = guarded
        one.told(DeadmanSeen(guarded))

    return deed
