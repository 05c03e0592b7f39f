"""How faults change the world: each effect changes one thing, now. `faults` gives them their names.

Does not decide when a fault happens or which effects belong together.
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
#: A key that other software registers: a host id and a counter.
FOREIGN = Key(None, 0xABADCAFE_00000017)


def of(world: World, word: str) -> Controller:
    """Return the controller of this letter."""
    return world.controller(Side(word))


def channel_of(world: World, word: str) -> int:
    """Return the index of a channel."""
    return next(at for at, channel in enumerate(world.wires.channels) if channel.name == word)


def disk_of(world: World, word: str) -> int:
    """Return the index of a disk."""
    return world.orders.disks.index(word)


def way(**changes: float | bool | int) -> Effect:
    """Change a channel: one direction when the words name a side, both otherwise."""

    def effect(world: World, words: Words) -> None:
        ways = world.wires.ways[channel_of(world, words[0])]
        sides = [Side(word) for word in words[1:] if word in ("a", "b")] or list(Side)
        for side in sides:
            for name, value in changes.items():
                setattr(ways[side is Side.B], name, value)

    return effect


def heal_channel(world: World, words: Words) -> None:
    """Repair a channel."""
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

    def effect(world: World, words: Words) -> None:
        names = world.wires.interfaces if every else {words[-1]}
        for side in Side if both else (Side(words[0]),):
            kept = world.wires.down[side is Side.B]
            kept.difference_update(names) if up else kept.update(names)
        world.wires.changed()

    return effect


def on_shelf(effect: Effect) -> Effect:
    """Report the changed shelf to the checkers after this effect."""

    def whole(world: World, words: Words) -> None:
        effect(world, words)
        world.shelf.changed()

    return whole


def cycle(*, persists: bool) -> Effect:
    """The shelf loses power; its disks are gone until it is healed."""

    def effect(world: World, _: Words) -> None:
        shelf = world.shelf
        shelf.gone.update(range(len(shelf.disks)))
        shelf.cycle(persists=persists)

    return effect


def slow(world: World, words: Words) -> None:
    """Make a disk answer more slowly."""
    world.shelf.slow_ms[disk_of(world, words[0])] = int(words[1])


def secret(*, mistyped: bool) -> Effect:
    """Put another secret, or the pair's secret again, into one controller's file; its daemon starts again."""

    def effect(world: World, words: Words) -> None:
        one = of(world, words[0])
        one.records.secret = (1 if one.side is Side.A else 2) if mistyped else 0
        one.die()

    return effect


def garbles(*, garbled: bool) -> Effect:
    """One controller writes records that its peer cannot decode, or readable ones again."""

    def effect(world: World, words: Words) -> None:
        of(world, words[0]).records.garbled = garbled

    return effect


def panic(*, last_word: bool) -> Effect:
    """The kernel panics and reboots. `last_word`: its panic handler sends one last beat."""

    def effect(world: World, words: Words) -> None:
        one = of(world, words[0])
        outs = one.outs
        if last_word and one.on and not one.frozen and outs is not None and one.core is not None:
            one.last_word(outs.beat)
        if one.on:
            one.reset("the kernel panicked")

    return effect


def power_loss(world: World, words: Words) -> None:
    """Switch one controller or both off; the power controller, if there is one, reports it to the peer."""
    for one in [of(world, word) for word in words] or world.controllers:
        one.power_off()
        peer = world.controller(one.side.other)
        if world.physics.report_ms is not None:
            world.later(world.draw(world.physics.report_ms), peer.power_report, None, peer)


def power_on(world: World, words: Words) -> None:
    """Switch one controller or both on."""
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
    """Let the daemon die after a few effects."""
    one = of(world, words[0])
    one.fuse = int(world.chance.random() * 3)


def unfuse(world: World, words: Words) -> None:
    """Let the daemon live."""
    of(world, words[0]).fuse = None


def resettable(*, works: bool) -> Effect:
    """Whether a controller resets when its daemon asks for that."""

    def effect(world: World, words: Words) -> None:
        of(world, words[0]).reset_fails = not works

    return effect


def rate(local_ms: float) -> Effect:
    """Set a clock's rate: local milliseconds for each true one."""

    def effect(world: World, words: Words) -> None:
        of(world, words[0]).set_rate(local_ms)

    return effect


def jump(world: World, words: Words) -> None:
    """The monotonic clock leaps ahead."""
    of(world, words[0]).leap(int(words[1]))


def mood(command: str, mood: str) -> Effect:
    """Set how the next commands of this kind end (see `Kernel.mood`)."""

    def effect(world: World, words: Words) -> None:
        kernel = of(world, words[0]).kernel
        setattr(kernel, f"mood_{command}", mood)

    return effect


def unstick(world: World, words: Words) -> None:
    """Let hanging commands end again."""
    of(world, words[0]).kernel.unstick()


def stall(world: World, words: Words) -> None:
    """No disk answers these controllers until the stall ends; the controllers drop no disk meanwhile."""
    world.shelf.stalled.update(Side(word) for word in words or tuple(Side))
    world.shelf.changed()


def stall_ends(world: World, words: Words) -> None:
    """The disks answer everything, after the kernels' error handling has reset them."""
    world.shelf.stalled.difference_update(Side(word) for word in words or tuple(Side))
    world.shelf.cycle(persists=True)


def suspend(world: World, words: Words) -> None:
    """The pools stop answering."""
    of(world, words[0]).kernel.suspend()


def unsuspend(world: World, words: Words) -> None:
    """The pools answer again."""
    of(world, words[0]).kernel.suspended.clear()


def blind(*, blind: bool) -> Effect:
    """Whether the daemon can learn which pools are imported."""

    def effect(world: World, words: Words) -> None:
        of(world, words[0]).blind = blind

    return effect


def claim_hangs(world: World, words: Words) -> None:
    """The running claim stops making progress."""
    one = of(world, words[0])
    one.claim_runner.hangs = one.claim_runner.claim is not None


def claim_killed(world: World, words: Words) -> None:
    """Kill the running claim."""
    of(world, words[0]).claim_runner.claim = None


def asks(request: Request) -> Effect:
    """A person sends a request to one controller."""

    def effect(world: World, words: Words) -> None:
        duration_ms = int(words[1]) if len(words) > 1 else 0
        one = of(world, words[0])
        one.told(Asked(request, duration_ms))
        if one.core is not None and one.core.refused is not None:
            world.note(one.side, f"refuses {request.value}: {one.core.refused}")

    return effect


def switchover(world: World, _: Words) -> None:
    """Ask the active controller for a switchover, as `hagit switchover` does."""
    for one in world.controllers:
        if one.kernel.imported:
            asks(Request.SWITCHOVER)(world, (one.side.value,))
            return


def enable(*, enabled: bool) -> Effect:
    """Publish orders that enable or disable failover."""

    def effect(world: World, words: Words) -> None:
        sides = tuple(Side(word) for word in words) or tuple(Side)
        world.publish(sides, enabled=enabled)

    return effect


def contradict(world: World, _: Words) -> None:
    """Publish two orders of one generation that differ."""
    generation = world.generation + 1
    for side in Side:
        world.generation = generation - 1
        world.publish((side,), default=side)


def agree(world: World, _: Words) -> None:
    """Publish the same orders to both controllers again."""
    world.publish()


def lag(world: World, words: Words) -> None:
    """Publish newer orders to one side."""
    world.publish((Side(words[0]),))


def old_orders(world: World, words: Words) -> None:
    """Publish orders of an older generation with other contents."""
    one = of(world, words[0])
    bring(world, one, replace(one.orders, generation=max(0, one.orders.generation - 1), enabled=not one.orders.enabled))


def bring(world: World, one: Controller, orders: Orders) -> None:
    """Write the agent's file with orders; note what the daemon refuses."""
    one.publish(orders)
    if one.core is not None and one.core.refused is not None:
        world.note(one.side, f"refuses orders: {one.core.refused}")


def ask_relent(world: World, words: Words) -> None:
    """A person ends what a person asked for."""
    asks(Request.RELENT)(world, words[:1])


def add_to(name: str, word: int = 0) -> Effect:
    """Add a disk to one of the shelf's sets."""
    return on_shelf(lambda world, words: getattr(world.shelf, name).add(disk_of(world, words[word])))


def take_from(name: str, word: int = 0) -> Effect:
    """Remove a disk from one of the shelf's sets."""
    return on_shelf(lambda world, words: getattr(world.shelf, name).discard(disk_of(world, words[word])))


def paths(*, lost: bool, every: bool = False) -> Effect:
    """Break or restore one controller's paths to disks."""

    def effect(world: World, words: Words) -> None:
        kept = world.shelf.lost[words[0] == "b"]
        disks = set(range(len(world.shelf.disks))) if every else {disk_of(world, words[1])}
        kept.update(disks) if lost else kept.difference_update(disks)

    return on_shelf(effect)


def second_paths(*, lost: bool) -> Effect:
    """Break or restore one of a controller's two paths to a disk."""

    def effect(world: World, words: Words) -> None:
        kept, disk = world.shelf.half_lost[words[0] == "b"], disk_of(world, words[1])
        kept.add(disk) if lost else kept.discard(disk)

    return on_shelf(effect)


def foreign_keys(world: World, _: Words) -> None:
    """Reserve every disk with a key that hagit did not make, as other software would leave it."""
    shelf = world.shelf
    shelf.disks = [Disk((None, FOREIGN), Side.B, generation=disk.generation + 2) for disk in shelf.disks]
    shelf.changed()


def left_by_hand(world: World, words: Words) -> None:
    """Reserve every disk with a key of this controller, type 1 (Write Exclusive), as a person can with `sg_persist`."""
    side, shelf = Side(words[0]), world.shelf
    key = Key(side, 1)
    keys = (key, None) if side is Side.A else (None, key)
    shelf.disks = [Disk(keys, side, generation=disk.generation + 2, kind=1) for disk in shelf.disks]
    shelf.changed()


def last_epoch(world: World, words: Words) -> None:
    """Register this controller on every disk with the highest epoch that a key can hold."""
    side, shelf = Side(words[0]), world.shelf
    key = Key(side, epoch_of(COUNTER_MAX, world.orders.pair, machine=1))
    shelf.disks = [
        replace(disk, keys=(key, disk.keys[1]) if side is Side.A else (disk.keys[0], key)) for disk in shelf.disks
    ]
    shelf.changed()


def import_by_hand(world: World, words: Words) -> None:
    """A person imports the pools without asking the daemon."""
    of(world, words[0]).kernel.imported_by_hand()


def export_by_hand(world: World, words: Words) -> None:
    """A person exports the pools without asking the daemon."""
    of(world, words[0]).kernel.exported_by_hand()
