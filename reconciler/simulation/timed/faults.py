"""Every kind of fault in one table: its name, what it models, how to inject it and how it heals.

Stories and `hagit rehearse` understand the names, so they are an operator's words. Does not know when a fault happens:
`swarm` draws the moment, or a person writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reconciler.core.failover.machine.events import Request
from reconciler.core.failover.reservations.key import Side
from reconciler.errors import UsageError
from reconciler.simulation.timed import fault_effects as effects
from reconciler.simulation.timed import other_machines, server_effects
from reconciler.simulation.timed.controller_files import YEARS, set_right, set_wall_clock
from reconciler.simulation.timed.fault_effects import Effect, Words
from reconciler.simulation.timed.hardware_watchdog import guards
from reconciler.simulation.timed.moved_orders import move_arbitration
from reconciler.simulation.timed.successor import replaced
from reconciler.simulation.timed.world import World


class FaultError(UsageError):
    """The words name no fault of this pair; the message lists words that do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. `takes`: the meaning of each word after the name: channel, interface, side, disk, protocol, or ms.

    `assumed` False: the fault breaks an assumption about the hardware, so the invariants need not hold. The swarm
    leaves it out; stories show what happens. `drawn` False: the swarm leaves it out, too, and only stories use it.
    """

    name: str
    takes: Words
    models: str
    inject: Effect
    heal: Effect | None = None
    assumed: bool = True
    drawn: bool = True


def choices(world: World, kind: str) -> Words:
    """Return the words that may stand for `kind` in this world; empty if any number may."""
    match kind:
        case "side":
            return ("a", "b")
        case "channel":
            return tuple(channel.name for channel in world.orders.channels)
        case "interface":
            return tuple(sorted(world.wires.interfaces))
        case "disk":
            return world.orders.disks
        case "year":
            return YEARS
        case "protocol":
            return world.protocols
        case _:
            return ()


def inject(world: World, name: str, words: Words) -> None:
    """Inject a fault now. Raises FaultError if the words do not fit."""
    fault = find(world, name, words)
    world.note("event", " ".join((name, *words)))
    fault.inject(world, words)


def heal(world: World, name: str, words: Words) -> None:
    """Undo a fault. A fault that cannot be undone (a reset, a request) is over by itself."""
    fault = find(world, name, words)
    if fault.heal is not None:
        world.note("event", " ".join(("heal", name, *words)))
        fault.heal(world, words)


def find(world: World, name: str, words: Words) -> Fault:
    """Return the row for these words, checked against this world. Raises FaultError."""
    fault = FAULTS.get(name)
    if fault is None:
        raise FaultError(f"{name} is not a fault; these are: {', '.join(sorted(FAULTS))}")
    if len(words) != len(fault.takes):
        asked = " ".join(f"<{kind}>" for kind in fault.takes) or "nothing"
        raise FaultError(f"{name} takes {asked}, not {len(words)} word(s)")
    for word, kind in zip(words, fault.takes, strict=True):
        allowed = choices(world, kind)
        if kind == "ms" and not (word.isascii() and word.isdigit() and len(word) < 9):
            raise FaultError(f"{name}: {word} is not a number of milliseconds")
        if kind != "ms" and word not in allowed:
            raise FaultError(f"{name}: {word} is no {kind} of this pair; it has {', '.join(allowed) or 'none'}")
    return fault


def heal_everything(world: World, *, without: Side | None = None) -> None:
    """Heal everything from now on: cables, disks, machines. `without`: this controller stays off."""
    for at in range(len(world.wires.channels)):
        world.wires.heal(at)
    shelf = world.shelf
    disks = (shelf.gone, *shelf.lost, shelf.hanging, shelf.refusing, shelf.mute, shelf.unreadable)
    for kept in (*world.wires.down, *disks):
        kept.clear()
    shelf.stalled.clear()
    shelf.slow_ms.clear()
    world.wires.changed()
    shelf.changed()
    for one in world.controllers:
        one.kernel.unstick()
        one.kernel.servers.heal()
        one.set_rate(1.0)
        one.blind = one.claim_runner.hangs = one.reset_fails = False
        one.fuse = None
        one.records.heal()
        if one.side is without:
            one.power_off()
            continue
        one.thaw()
        one.resume()
        one.kernel.suspended.clear()
        one.power_on()
    world.note("event", "heal everything" if without is None else f"heal everything but {without}, which stays off")


_TABLE: Final = (
    # Between the controllers.
    Fault("cable-pull", ("channel",), "a cable between the controllers is pulled", effects.way(cut=True),
          effects.heal_channel),
    Fault("one-way", ("channel", "side"), "what this side sends on a channel is lost (a broken fibre, a firewall)",
          effects.way(cut=True), effects.heal_channel),
    Fault("loss", ("channel",), "half of all datagrams are lost", effects.way(loss=0.5), effects.heal_channel),
    Fault("delay", ("channel",), "datagrams arrive 700 ms late (a full queue)", effects.way(late_ms=700),
          effects.heal_channel),
    Fault("duplicate", ("channel",), "datagrams arrive twice", effects.way(twice=0.5), effects.heal_channel),
    Fault("reorder", ("channel",), "datagrams overtake one another", effects.way(shuffle=0.3), effects.heal_channel),
    Fault("flap", ("channel", "ms"), "a cable with a loose contact: cut and joined at this interval",
          lambda world, words: world.wires.flap(effects.channel_of(world, words[0]), max(20, int(words[1]))),
          effects.heal_channel),
    Fault("hold-back", ("channel", "ms"), "datagrams are held back; once healed, they come one by one, this far apart",
          lambda world, words: world.wires.hold_back(effects.channel_of(world, words[0]), int(words[1])),
          effects.heal_channel, drawn=False),
    Fault("replay", (), "datagrams that were recorded earlier are sent again", lambda world, _: world.wires.replay()),
    Fault("all-cables", (), "every channel is cut: only the disks are left to hear one another", effects.all_cables,
          effects.heal_cables),
    Fault("nic-down", ("side", "interface"), "an interface loses its carrier", effects.carrier(up=False),
          effects.carrier(up=True)),
    Fault("nics-down", ("side",), "a controller is cut off from every client", effects.carrier(up=False, every=True),
          effects.carrier(up=True, every=True)),
    Fault("switch-reboot", (), "the switch of all clients reboots: no carrier anywhere",
          effects.carrier(up=False, every=True, both=True), effects.carrier(up=True, every=True, both=True)),
    # Disks.
    Fault("disk-gone", ("disk",), "a disk fails, or is pulled", effects.add_to("gone"), effects.take_from("gone")),
    Fault("path-lost", ("side", "disk"), "one controller's path to one disk breaks", effects.paths(lost=True),
          effects.paths(lost=False)),
    Fault("second-path-lost", ("side", "disk"), "one of two paths of a controller to a disk breaks",
          effects.second_paths(lost=True), effects.second_paths(lost=False)),
    Fault("disks-lost", ("side",), "one controller's HBA or cables to the shelf fail",
          effects.paths(lost=True, every=True),
          effects.paths(lost=False, every=True)),
    Fault("shelf-power-cycle", (), "the shelf loses power and has it again when healed; reservations persist (APTPL)",
          effects.cycle(persists=True), effects.on_shelf(lambda world, _: world.shelf.gone.clear())),
    Fault("shelf-forgets", (), "the same with disks that forget their reservations: APTPL was promised and not kept",
          effects.cycle(persists=False), effects.on_shelf(lambda world, _: world.shelf.gone.clear()), assumed=False),
    Fault("disk-hangs", ("disk",), "a disk accepts commands and answers none", effects.add_to("hanging"),
          effects.take_from("hanging")),
    Fault("stall", ("side",), "no disk answers one controller for a while (its HBA recovers); then aborts and resets",
          effects.stall, effects.stall_ends),
    Fault("stall-both", (), "no disk answers at all for a while; then everything late, with aborts and resets",
          effects.stall, effects.stall_ends),
    Fault("disk-slow", ("disk", "ms"), "a disk answers late (error recovery)", effects.slow,
          lambda world, words: world.shelf.slow_ms.clear()),
    Fault("disk-refuses", ("disk",), "a disk answers reads and refuses reservation commands (firmware)",
          effects.add_to("refusing"), effects.take_from("refusing")),
    Fault("answer-lost", ("disk",), "a disk does what reservation commands ask for, and its answers are lost",
          effects.add_to("mute"), effects.take_from("mute"), drawn=False),
    Fault("disk-unreadable", ("disk",), "a disk answers reservation commands, and every read and write fails",
          effects.add_to("unreadable"), effects.take_from("unreadable"), drawn=False),
    Fault("attention", (), "every disk has a unit attention for every initiator (a bus reset)",
          lambda world, _: world.shelf.cycle(persists=True)),
    Fault("foreign-keys", (), "every disk is reserved by other software, as on a shelf from another system",
          effects.foreign_keys, assumed=False),
    Fault("another-pair", (), "every disk is reserved by another pair of this software",
          other_machines.another_pair, assumed=False),
    Fault("another-registers", ("disk",), "another pair of this software registers on a disk",
          other_machines.another_registers, assumed=False),
    Fault("foreign-key", ("disk",), "one disk is reserved by other software, which lets it go when healed",
          other_machines.foreign_key, other_machines.foreign_key_gone, assumed=False),
    Fault("left-by-hand", ("side",), "every disk is reserved with a key of this side by hand, of another type",
          effects.left_by_hand, assumed=False),
    Fault("last-epoch", ("side",), "a key of this side with the highest epoch there is stands on every disk",
          effects.last_epoch, assumed=False),
    Fault("forged-epoch", ("side",), "a stranger who knows the secret sends a beat of this side with the last epoch",
          other_machines.forged_epoch, drawn=False),
    # Controllers.
    Fault("twin", ("side",), "a standby machine that was cloned from this controller, with fewer starts, is on the air",
          other_machines.twin(other_machines.OLDER), other_machines.twin_off),
    Fault("younger-twin", ("side",), "the same, with more starts of its daemon than the controller has had",
          other_machines.twin(other_machines.NEWER), other_machines.twin_off),
    Fault("power-loss", ("side",), "a controller loses power", effects.power_loss, effects.power_on),
    Fault("power-loss-both", (), "both controllers lose power at once", effects.power_loss, effects.power_on),
    Fault("panic", ("side",), "the kernel panics silently and reboots", effects.panic(last_word=False)),
    Fault("panic-notice", ("side",), "the kernel panics; its handler sends a last beat", effects.panic(last_word=True)),
    Fault("freeze", ("side",), "the whole machine stops (a stuck bus); only the hardware deadman counts",
          lambda world, words: effects.of(world, words[0]).freeze(),
          lambda world, words: effects.of(world, words[0]).thaw()),
    Fault("no-deadman", ("side",), "the machine has no hardware watchdog, and says so", guards(guarded=False),
          guards(guarded=True), assumed=False),
    Fault("reset-fails", ("side",), "a reset that a daemon asks for does not happen; the hardware deadman is left",
          effects.resettable(works=False), effects.resettable(works=True), drawn=False),
    Fault("clock-stands", ("side",), "the machine stops and its monotonic clock with it (a paused virtual machine)",
          lambda world, words: effects.of(world, words[0]).freeze(),
          lambda world, words: effects.of(world, words[0]).thaw(clock_stood=True)),
    Fault("daemon-killed", ("side",), "the daemon is killed and started again",
          lambda world, words: effects.of(world, words[0]).die()),
    Fault("daemon-fuse", ("side",), "the daemon dies between two effects of one decision", effects.fuse,
          effects.unfuse),
    Fault("daemon-replaced", ("side",), "another daemon takes over from the one that runs, with its state",
          replaced(same=True)),
    Fault("daemon-upgraded", ("side",), "a daemon that does not know the state takes over from the one that runs",
          replaced(same=False)),
    Fault("daemon-amnesia", ("side",), "the daemon is killed and its file in /run is lost", effects.amnesia),
    Fault("daemon-paused", ("side",), "the daemon does not run (SIGSTOP, swapping); the kernel goes on", effects.pause,
          lambda world, words: effects.of(world, words[0]).resume()),
    Fault("other-secret", ("side",), "the daemon starts again with a mistyped secret: neither controller can decode "
          "what the other sends and writes", effects.secret(mistyped=True), effects.secret(mistyped=False)),
    Fault("garbled-records", ("side",), "the peer can decode no disk heartbeat of this side (another version)",
          effects.garbles(garbled=True), effects.garbles(garbled=False)),
    Fault("clock-fast", ("side",), "a monotonic clock runs 500 ppm fast", effects.rate(1.0005), effects.rate(1.0)),
    Fault("clock-slow", ("side",), "a monotonic clock runs 500 ppm slow", effects.rate(0.9995), effects.rate(1.0)),
    Fault("clock-jump", ("side", "ms"), "the monotonic clock leaps ahead", effects.jump),
    Fault("wall-clock", ("side", "year"), "the wall clock is wrong: a dead battery, a mistake; the true year is 2030",
          set_wall_clock, set_right),
    # Pools and commands.
    Fault("import-hangs", ("side",), "an import begins and does not end", effects.mood("import", "hangs"),
          effects.unstick),
    Fault("import-refused", ("side",), "imports are refused", effects.mood("import", "refused"), effects.unstick),
    Fault("stands-still", ("side",), "an import or export that runs does not go on",
          lambda world, words: effects.of(world, words[0]).kernel.stand_still(), effects.unstick),
    Fault("export-hangs", ("side",), "an export does not end: the kernel waits for something",
          effects.mood("export", "hangs"), effects.unstick),
    Fault("export-used", ("side",), "an export is refused: a process uses a mounted file system",
          effects.mood("export", "used"), effects.unstick),
    Fault("pools-hang", ("side",), "the pools stop answering", effects.suspend, effects.unsuspend),
    Fault("pools-unknown", ("side",), "no command can tell whether pools are imported (a hung zpool)",
          effects.blind(blind=True),
          effects.blind(blind=False)),
    Fault("export-by-hand", ("side",), "a person exports the pools behind the daemon's back", effects.export_by_hand),
    Fault("import-by-hand", ("side",), "a person imports the pools behind the daemon's back", effects.import_by_hand,
          assumed=False),
    Fault("server-fails", ("side", "protocol"), "a server of shares does not start",
          server_effects.trouble("fails", begins=True), server_effects.trouble("fails", begins=False)),
    Fault("server-hangs", ("side", "protocol"), "a server of shares does not stop (a thread waits in the kernel)",
          server_effects.trouble("hangs", begins=True), server_effects.trouble("hangs", begins=False)),
    Fault("server-dies", ("side", "protocol"), "a server of shares ends by itself", server_effects.dies),
    Fault("claim-hangs", ("side",), "the running claim's child hangs", effects.claim_hangs),
    Fault("claim-killed", ("side",), "the running claim's child is killed", effects.claim_killed),
    # People and orders.
    Fault("switchover", (), "a person asks the active controller for a switchover", effects.switchover),
    Fault("force", ("side",), "a person forces this controller to become active", effects.asks(Request.FORCE)),
    Fault("maintenance", ("side", "ms"), "a person asks for quiet", effects.asks(Request.MAINTENANCE),
          effects.ask_relent),
    Fault("disable", (), "orders that disable failover", effects.enable(enabled=False), effects.enable(enabled=True)),
    Fault("disable-here", ("side",), "orders that disable failover reach one controller only",
          effects.enable(enabled=False),
          lambda world, words: world.publish(enabled=True)),
    Fault("orders-contradict", (), "two orders of one generation that differ", effects.contradict, effects.agree),
    Fault("orders-lag", ("side",), "newer orders reach one controller only", effects.lag, effects.agree),
    Fault("arbitration-moves", (), "newer orders choose other arbitration disks", move_arbitration),
    Fault("arbitration-moves-here", ("side",), "newer orders with other arbitration disks reach one controller only",
          move_arbitration, effects.agree),
    Fault("orders-old", ("side",), "orders of an older generation come back", effects.old_orders),
)  # fmt: skip

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _TABLE})


def table() -> str:
    """Return all faults as a Markdown table."""
    lines = ["| fault | models | within the assumptions |", "|---|---|---|"]
    for fault in FAULTS.values():
        words = " ".join(f"<{kind}>" for kind in fault.takes)
        name = f"{fault.name} {words}".strip()
        lines.append(f"| `{name}` | {fault.models} | {'yes' if fault.assumed else 'no'} |")
    return "\n".join(lines) + "\n"
