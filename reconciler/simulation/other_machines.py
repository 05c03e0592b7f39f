"""What machines do that are neither of the two controllers: another pair on the same shelf.

Faults of the timed world (`faults`). Such a machine has no daemon here; only what it leaves on disks is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.core.failover.key import Key, Side, epoch_of
from reconciler.simulation.disk import Disk

if TYPE_CHECKING:
    from reconciler.simulation.timed import World

#: A controller `b` of a pair of another name, at its 500th claim, and at its first.
ANOTHER: Final = Key(Side.B, epoch_of(500, "another pair", machine=1))
YOUNGER: Final = Key(Side.B, epoch_of(1, "another pair", machine=1))


def another_pair(world: World, _: Sequence[str]) -> None:
    """Every disk is reserved by another pair of this software."""
    shelf = world.shelf
    shelf.disks = [Disk((None, ANOTHER), Side.B, generation=disk.generation + 2) for disk in shelf.disks]
    shelf.changed()


def another_registers(world: World, words: Sequence[str]) -> None:
    """Another pair registers on a disk that one of our controllers holds."""
    shelf, at = world.shelf, world.orders.disks.index(words[0])
    disk = shelf.disks[at]
    keys = (disk.keys[0], YOUNGER) if disk.holder is not Side.B else (YOUNGER, disk.keys[1])
    shelf.disks[at] = replace(disk, keys=keys, generation=disk.generation + 1)
    shelf.changed()
