"""Newer orders that move arbitration disks: what a commit can change while everything else fails.

Decides nothing; `pending_orders` of the core says when they come into force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.core.failover.reservations.key import Side

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World


def move_arbitration(world: World, words: Sequence[str]) -> None:
    """Newer orders with other arbitration disks, for one side or for both."""
    sides = tuple(Side(word) for word in words) or tuple(Side)
    last = len(world.orders.disks) - 1
    choices = ((0, 1, 2), (last, last - 1, last - 2), (last,))
    world.publish(sides, arbitration=choices[(world.generation + 1) % len(choices)])
