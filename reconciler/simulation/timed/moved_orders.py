"""Newer orders that move arbitration disks: a commit can do this while everything else fails.

Makes no decisions; `pending_orders` of the core says when they come into force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.core.failover.reservations.key import Side

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World


def move_arbitration(world: World, words: Sequence[str]) -> None:
    """Publish newer orders with other arbitration disks, to the sides in `words` or to both."""
    sides = tuple(Side(word) for word in words) or tuple(Side)
    last = len(world.orders.disks) - 1
    choices = ((0, 1, 2), (last, last - 1, last - 2), (last,))
    world.publish(sides, arbitration=choices[(world.generation + 1) % len(choices)])
