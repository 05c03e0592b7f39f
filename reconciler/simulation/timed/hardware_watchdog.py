"""The fault of a missing hardware watchdog in the timed world: no reset follows when the machine's daemon stops."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.failover.machine.events import DeadmanSeen
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.world import World


def guards(*, guarded: bool) -> Callable[[World, tuple[str, ...]], None]:
    """Give this machine a hardware watchdog, or take it from it; its daemon learns of the change."""

    def effect(world: World, words: tuple[str, ...]) -> None:
        one = world.controller(Side(words[0]))
        one.guarded = guarded
        one.told(DeadmanSeen(guarded))

    return effect
