"""The actions of machines that are neither of the two controllers: another pair on the same shelf, a cloned
controller, and a stranger who knows the secret.

Faults of the timed world (`faults`) use them. Such a machine has no daemon here, only the beats that it sends and the
keys that it leaves on disks. `twins` searches the claims of cloned machines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import digest, shelf_digest
from reconciler.core.failover.reservations.key import COUNTER_MAX, Key, Side, epoch_of
from reconciler.simulation.disk import Disk

if TYPE_CHECKING:
    from reconciler.simulation.timed.world import World

#: Keys of a controller `b` of a pair with another name, at its 500th claim, and at its first.
ANOTHER: Final = Key(Side.B, epoch_of(500, "another pair", machine=1))
YOUNGER: Final = Key(Side.B, epoch_of(1, "another pair", machine=1))
#: A key that hagit did not make.
FOREIGN: Final = Key(None, 0xABADCAFE_00000017)


def another_pair(world: World, _: Sequence[str]) -> None:
    """Reserve every disk by another pair of this software."""
    shelf = world.shelf
    shelf.disks = [Disk((None, ANOTHER), Side.B, generation=disk.generation + 2) for disk in shelf.disks]
    shelf.changed()


def another_registers(world: World, words: Sequence[str]) -> None:
    """Register another pair on a disk that one of our controllers holds."""
    shelf, at = world.shelf, world.orders.disks.index(words[0])
    disk = shelf.disks[at]
    keys = (disk.keys[0], YOUNGER) if disk.holder is not Side.B else (YOUNGER, disk.keys[1])
    shelf.disks[at] = replace(disk, keys=keys, generation=disk.generation + 1)
    shelf.changed()


#: The machine number of a twin, and the starts of its daemon: fewer than any controller has had, or more.
TWIN_MACHINE: Final = 0xC10ED
OLDER, NEWER = 0, 1_000_000


def twin(incarnation: int) -> Callable[[World, Sequence[str]], None]:
    """Return the effect: a clone of this controller, in standby, beats on every channel until it is powered off."""

    def effect(world: World, words: Sequence[str]) -> None:
        side = Side(words[0])
        if side not in world.twins:
            world.twins[side] = incarnation
            _beats(world, side)

    return effect


def twin_off(world: World, words: Sequence[str]) -> None:
    """Power the twin off."""
    world.twins.pop(Side(words[0]), None)


def _beats(world: World, side: Side) -> None:
    incarnation = world.twins.get(side)
    if incarnation is None:
        return
    orders, peer = world.orders, world.controller(side.other)
    highest = max((one.core.highest for one in world.controllers if one.core is not None), default=0)
    beat = Beat(
        side, incarnation, world.now_ms, peer.incarnation, Phase.STANDBY, epoch=highest, sees=True, able=True,
        generation=orders.generation, digest=digest(orders), shelf=shelf_digest(orders), machine=TWIN_MACHINE,
    )  # fmt: skip
    for channel in range(len(world.wires.channels)):
        for one in world.controllers:
            if not world.wires.ways[channel][side is Side.B].cut:
                world.later(1, one.arrives, (channel, beat, world.controller(side).records.seal), one)
    world.later(orders.timers.beat_ms, lambda _: _beats(world, side))


def forged_epoch(world: World, words: Sequence[str]) -> None:
    """A machine that knows the secret sends one beat in the name of this controller, with the highest epoch."""
    one = world.controller(Side(words[0]))
    if one.outs is None:
        return
    one.counter += 1
    epoch = epoch_of(COUNTER_MAX, world.orders.pair, machine=1)
    beat = replace(one.outs.beat, counter=one.counter, epoch=epoch)
    for channel in range(len(world.wires.channels)):
        world.wires.send(one.side, channel, beat, one.records.seal)


def foreign_key(world: World, words: Sequence[str]) -> None:
    """Reserve one disk with a key that hagit did not make, by an initiator that no longer exists."""
    (at,), shelf = world.places(words[:1]), world.shelf
    shelf.disks[at] = Disk((None, FOREIGN), Side.B, generation=shelf.disks[at].generation + 2)
    shelf.changed()


def foreign_key_gone(world: World, words: Sequence[str]) -> None:
    """Other software clears its key; the disk has no reservation."""
    (at,), shelf = world.places(words[:1]), world.shelf
    if FOREIGN in shelf.disks[at].keys:
        shelf.disks[at] = Disk(generation=shelf.disks[at].generation + 1)
        shelf.changed()
