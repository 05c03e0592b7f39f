"""How faults reach the world: each deed changes one thing, now. `faults` gives them their names.

Decides nothing about when; does not know which deeds belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.core.failover.machine.events import Asked, Request
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import COUNTER_MAX, Key, Side, epoch_of
from reconciler.simulation.disk import Disk
from reconciler.simulation.timed.controller import Controller
from reconciler.simulation.timed.world import World

Words = tuple[str, ...]
Effect = Callable[[World, Words], None]
#: What other software writes: a host id and a counter.
FOREIGN = Key(None, 0xABADCAFE_00000017)


def of(world: World, word: str) -> Controller:
    """The controller of this letter."""
    return world.controller(Side(word))


def channel_of(world: World, word: str) -> int:
    """The index of a channel."""
    return next(at for at, channel in enumerate(world.wires.channels) if channel.name == word)


def disk_of(world: World, word: str) -> int:
    """The index of a disk."""
    return world.orders.disks.index(word)


def way(**changes: float | bool | int) -> Effect:
    """Change a channel: one direction when a side is named, both otherwise."""

    def deed(world: World, words: Words) -> None:
        ways = world.wires.ways[channel_of(world, words[0])]
        sides = [Side(word) for word in words[1:] if word in ("a", "b")] or list(Side)
        for side in sides:
            for name, value in changes.items():
                setattr(ways[side is Side.B], name, value)

    return deed


def heal_channel(world: World, words: Words) -> None:
    """A channel works again."""
    world.wires.heal(channel_of(world, words[0]))


def all_cables(world: World, _: Words) -> None:
    """Cut every channel."""
    for ways in world.wires.ways:
        for way in ways:
            way.cut = True


def heal_cables(world: World, _: Words) -> None:
    """Join every channel."""
    for at in range(len(world.wires.channels)):
        world.wires.heal(at)


def carrier(*, up: bool, both: bool = False, every: bool = False) -> Effect:
    """Interfaces lose or regain their carrier."""

    def deed(world: World, words: Words) -> None:
        names = world.wires.interfaces if every else {words[-1]}
        for side in Side if both else (Side(words[0]),):
            kept = world.wires.down[side is Side.B]
            kept.difference_update(names) if up else kept.update(names)
        world.wires.changed()

    return deed


def on_shelf(deed: Effect) -> Effect:
    """A deed after which the shelf is looked at anew."""

    def whole(world: World, words: Words) -> None:
        deed(world, words)
        world.shelf.changed()

    return whole


def cycle(*, persists: bool) -> Effect:
    """The shelf loses power; its disks are gone until it is healed."""

    def deed(world: World, _: Words) -> None:
        shelf = world.shelf
        shelf.gone.update(range(len(shelf.disks)))
        shelf.cycle(persists=persists)

    return deed


def slow(world: World, words: Words) -> None:
    """A disk takes longer."""
    world.shelf.slow_ms[disk_of(world, words[0])] = int(words[1])


def secret(*, mistyped: bool) -> Effect:
    """The secret in the file of one controller is another one, or that of the pair again; the daemon starts again."""

    def deed(world: World, words: Words) -> None:
        one = of(world, words[0])
        one.records.secret = (1 if one.side is Side.A else 2) if mistyped else 0
        one.die()

    return deed


def garbles(*, garbled: bool) -> Effect:
    """One controller writes records that its peer cannot decode."""

    def deed(world: World, words: Words) -> None:
        of(world, words[0]).records.garbled = garbled

    return deed


def panic(*, last_word: bool) -> Effect:
    """The kernel stops; the panic handler may send one last beat, and reboots."""

    def deed(world: World, words: Words) -> None:
        one = of(world, words[0])
        outs = one.outs
        if last_word and one.on and not one.frozen and outs is not None and one.core is not None:
            one.last_word(outs.beat)
        if one.on:
            one.reset("the kernel panicked")

    return deed


def power_loss(world: World, words: Words) -> None:
    """Off, one or both; the power controller, if there is one, tells the peer."""
    for one in [of(world, word) for word in words] or world.controllers:
        one.power_off()
        peer = world.controller(one.side.other)
        if world.physics.report_ms is not None:
            world.later(world.draw(world.physics.report_ms), peer.power_report, None, peer)


def power_on(world: World, words: Words) -> None:
    """Power again, one or both."""
    for one in [of(world, word) for word in words] or world.controllers:
        one.power_on()


def amnesia(world: World, words: Words) -> None:
    """The daemon dies and its memory is lost."""
    one = of(world, words[0])
    one.die()
    one.memory = None


def pause(world: World, words: Words) -> None:
    """The daemon stops running."""
    one = of(world, words[0])
    one.pause()


def fuse(world: World, words: Words) -> None:
    """The daemon will die after a few effects."""
    one = of(world, words[0])
    one.fuse = int(world.chance.random() * 3)


def unfuse(world: World, words: Words) -> None:
    """It will not."""
    of(world, words[0]).fuse = None


def resettable(*, works: bool) -> Effect:
    """Whether a controller resets when its daemon asks for that."""

    def deed(world: World, words: Words) -> None:
        of(world, words[0]).reset_fails = not works

    return deed


def rate(local_ms: float) -> Effect:
    """Local milliseconds for each true one."""

    def deed(world: World, words: Words) -> None:
        of(world, words[0]).set_rate(local_ms)

    return deed


def jump(world: World, words: Words) -> None:
    """The monotonic clock leaps ahead."""
    of(world, words[0]).leap(int(words[1]))


def mood(command: str, mood: str) -> Effect:
    """How the next commands of this kind end."""

    def deed(world: World, words: Words) -> None:
        kernel = of(world, words[0]).kernel
        setattr(kernel, f"mood_{command}", mood)

    return deed


def unstick(world: World, words: Words) -> None:
    """Commands end again."""
    of(world, words[0]).kernel.unstick()


def stall(world: World, words: Words) -> None:
    """No disk answers these controllers until it is over; nothing is given up meanwhile."""
    world.shelf.stalled.update(Side(word) for word in words or tuple(Side))
    world.shelf.changed()


def stall_ends(world: World, words: Words) -> None:
    """Everything is answered again, after the kernels' error handling has reset the disks."""
    world.shelf.stalled.difference_update(Side(word) for word in words or tuple(Side))
    world.shelf.cycle(persists=True)


def suspend(world: World, words: Words) -> None:
    """The pools stop answering."""
    of(world, words[0]).kernel.suspend()


def unsuspend(world: World, words: Words) -> None:
    """They answer again."""
    of(world, words[0]).kernel.suspended.clear()


def blind(*, blind: bool) -> Effect:
    """Whether the daemon can learn what is imported."""

    def deed(world: World, words: Words) -> None:
        of(world, words[0]).blind = blind

    return deed


def claim_hangs(world: World, words: Words) -> None:
    """The running claim goes no further."""
    one = of(world, words[0])
    one.claim_runner.hangs = one.claim_runner.claim is not None


def claim_killed(world: World, words: Words) -> None:
    """The running claim is gone."""
    of(world, words[0]).claim_runner.claim = None


def asks(request: Request) -> Effect:
    """A person asks one controller."""

    def deed(world: World, words: Words) -> None:
        duration_ms = int(words[1]) if len(words) > 1 else 0
        one = of(world, words[0])
        one.told(Asked(request, duration_ms))
        if one.core is not None and one.core.refused is not None:
            world.note(one.side, f"refuses {request.value}: {one.core.refused}")

    return deed


def switchover(world: World, _: Words) -> None:
    """Whoever is active is asked, as `hagit switchover` does."""
    for one in world.controllers:
        if one.kernel.imported:
            asks(Request.SWITCHOVER)(world, (one.side.value,))
            return


def enable(*, enabled: bool) -> Effect:
    """Orders that enable or disable failover."""

    def deed(world: World, words: Words) -> None:
        sides = tuple(Side(word) for word in words) or tuple(Side)
        world.publish(sides, enabled=enabled)

    return deed


def contradict(world: World, _: Words) -> None:
    """One generation, two texts."""
    generation = world.generation + 1
    for side in Side:
        world.generation = generation - 1
        world.publish((side,), default=side)


def agree(world: World, _: Words) -> None:
    """Both have the same orders again."""
    world.publish()


def lag(world: World, words: Words) -> None:
    """Newer orders for one side."""
    world.publish((Side(words[0]),))


def old_orders(world: World, words: Words) -> None:
    """Orders of an older generation, which say otherwise."""
    one = of(world, words[0])
    bring(world, one, replace(one.orders, generation=max(0, one.orders.generation - 1), enabled=not one.orders.enabled))


def bring(world: World, one: Controller, orders: Orders) -> None:
    """The agent's file with orders is there; the daemon says what it refuses."""
    one.publish(orders)
    if one.core is not None and one.core.refused is not None:
        world.note(one.side, f"refuses orders: {one.core.refused}")


def ask_relent(world: World, words: Words) -> None:
    """A person ends what a person asked for."""
    asks(Request.RELENT)(world, words[:1])


def add_to(name: str, word: int = 0) -> Effect:
    """Put a disk into one of the shelf's sets."""
    return on_shelf(lambda world, words: getattr(world.shelf, name).add(disk_of(world, words[word])))


def take_from(name: str, word: int = 0) -> Effect:
    """Take a disk out of one of the shelf's sets."""
    return on_shelf(lambda world, words: getattr(world.shelf, name).discard(disk_of(world, words[word])))


def paths(*, lost: bool, every: bool = False) -> Effect:
    """One controller's ways to disks."""

    def deed(world: World, words: Words) -> None:
        kept = world.shelf.lost[words[0] == "b"]
        disks = set(range(len(world.shelf.disks))) if every else {disk_of(world, words[1])}
        kept.update(disks) if lost else kept.difference_update(disks)

    return on_shelf(deed)


def second_paths(*, lost: bool) -> Effect:
    """One of the two ways of one controller to a disk."""

    def deed(world: World, words: Words) -> None:
        kept, disk = world.shelf.half_lost[words[0] == "b"], disk_of(world, words[1])
        kept.add(disk) if lost else kept.discard(disk)

    return on_shelf(deed)


def foreign_keys(world: World, _: Words) -> None:
    """Every disk is reserved with a key that hagit did not make, as other software left it."""
    shelf = world.shelf
    shelf.disks = [Disk((None, FOREIGN), Side.B, generation=disk.generation + 2) for disk in shelf.disks]
    shelf.changed()


def left_by_hand(world: World, words: Words) -> None:
    """Every disk is reserved with a key of this controller, of type 1 (Write Exclusive), as `sg_persist` can do."""
    side, shelf = Side(words[0]), world.shelf
    key = Key(side, 1)
    keys = (key, None) if side is Side.A else (None, key)
    shelf.disks = [Disk(keys, side, generation=disk.generation + 2, kind=1) for disk in shelf.disks]
    shelf.changed()


def last_epoch(world: World, words: Words) -> None:
    """Every disk has a registration of this controller with the highest epoch that a key can hold."""
    side, shelf = Side(words[0]), world.shelf
    key = Key(side, epoch_of(COUNTER_MAX, world.orders.pair, machine=1))
    shelf.disks = [
        replace(disk, keys=(key, disk.keys[1]) if side is Side.A else (disk.keys[0], key)) for disk in shelf.disks
    ]
    shelf.changed()


def import_by_hand(world: World, words: Words) -> None:
    """A person imports the pools without asking anybody."""
    of(world, words[0]).kernel.imported_by_hand()


def export_by_hand(world: World, words: Words) -> None:
    """A person exports the pools without asking anybody."""
    of(world, words[0]).kernel.exported_by_hand()
