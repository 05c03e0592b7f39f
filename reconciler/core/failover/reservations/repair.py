"""Repair of reservations: what `hagit reservations repair` may do to each disk, and what it leaves alone and why.

Three rules keep a repair safe. It takes a disk from its holder only on the active controller, and only where the next
claim of that controller would do the same. It never leaves a disk without a holder. It removes a key that hagit did not
write only when the operator names it.

`plan_repairs` judges one look at all disks. The repair of one disk is then a program like the claim: `begin`,
`next_command`, `advance`. It looks first and changes nothing if the disk has changed since the plan. It looks again at
the end, and gives its registration up if it does not hold the disk then. Does not know how a command reaches a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key, decode_key, encode_key, is_over
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Hold, for_pair, judge


@dataclass(frozen=True, slots=True)
class Repair:
    """Commands for one disk (an index into the orders).

    `what` describes them for people. `view`: the disk as the plan saw it. `undo`: the command that follows when this
    controller does not hold the disk at the end.
    """

    disk: int
    what: str
    view: DiskView
    commands: tuple[Command, ...]
    undo: Command | None = None


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A defect of a disk that this controller may not repair, and why."""

    disk: int
    why: str


@dataclass(frozen=True, slots=True)
class RepairRefused:
    """Why nothing may be repaired now, and what to do instead."""

    why: str
    remedy: str


#: Phases in which the watchdog itself works on the disks, or is about to.
BUSY: Final = {
    "booting": "the watchdog has just started and has not judged the disks yet",
    "claiming": "the watchdog is claiming the disks",
    "importing": "the watchdog is importing the pools",
    "releasing": "the watchdog is handing over",
    "halted": "this controller waits for its reset",
}


def plan_repairs(
    orders: Orders,
    phase: str,
    pools: Presence,
    views: tuple[DiskView, ...],
    named: frozenset[int],
    pending: frozenset[int] = frozenset(),
) -> tuple[Repair | LeftAlone, ...] | RepairRefused:
    """Return the repairs that this controller may make, judged by one look at all disks of the orders.

    `phase`: phase of the watchdog, empty while none runs. `named`: 64-bit numbers of the foreign keys that the operator
    allows hagit to remove. `pending`: disks that only pending orders name; a foreign holder of one of them does not
    count as a loss.
    """
    views = tuple(for_pair(view, orders.pair) for view in views)
    if phase in BUSY:
        return RepairRefused(BUSY[phase], "ask again when `hagit status` shows that it is over")
    if phase == "active":
        owner = judge(orders, 0, views).owner
        in_force = tuple(UNANSWERED if at in pending else view for at, view in enumerate(views))
        if owner is None or owner.side is not orders.side or _hold(orders, owner, in_force) is not Hold.OURS:
            return RepairRefused(
                "this controller is active, but the disks do not say that they are its own",
                "`hagit reservations` shows who holds them; the watchdog is about to give up, and the next claim takes "
                "whatever stands there",
            )
        return tuple(one for at, view in enumerate(views) for one in _active(orders, owner, at, view, named))
    if pools is not Presence.NONE:
        return RepairRefused(
            f"pools are imported here, or may be ({pools.value}), and this controller is not active",
            "look at `zpool status`; a reservation that protects them must stay",
        )
    return tuple(one for at, view in enumerate(views) for one in _standby(orders, at, view))


def _hold(orders: Orders, owner: Key, views: tuple[DiskView, ...]) -> Hold:
    # A foreign key on a disk that was ours before has halted the watchdog already.
    return judge(orders, owner.epoch, views, frozenset()).hold


def _active(orders: Orders, me: Key, at: int, view: DiskView, named: frozenset[int]) -> Iterator[Repair | LeftAlone]:
    """The active controller completes its claim: it does to this disk what its next claim would do."""
    holder = view.holder
    if not view.answered:
        yield LeftAlone(at, "it does not answer")
        return
    if holder == me:
        yield from _evictions(orders, me, at, view, named)
        return
    register = Command(Verb.REGISTER, at, me)
    undo = Command(Verb.UNREGISTER, at, me)
    if holder is None:
        commands = (register, Command(Verb.RESERVE, at, me))
        yield Repair(at, "take it: no controller holds it", view, commands, undo)
    elif holder.side is None and encode_key(holder) not in named:
        number = f"{encode_key(holder):#x}"
        yield LeftAlone(at, f"held by {key_text(orders, holder)}: --foreign {number} takes the disk from it")
    elif holder.side is not None and not is_over(holder, me):
        newer = "which is newer than ours: clear the disk with `sg_persist`"
        yield LeftAlone(at, f"held by {key_text(orders, holder)}, {newer}")
    else:
        commands = (register, Command(Verb.PREEMPT, at, me, holder))
        why = "which is over" if holder.side is not None else "which you named"
        yield Repair(at, f"take it from {key_text(orders, holder)}, {why}", view, commands, undo)


def _evictions(orders: Orders, me: Key, at: int, view: DiskView, named: frozenset[int]) -> Iterator[Repair | LeftAlone]:
    """On a disk that we hold, remove every other key whose claim is over or that the operator named."""
    if view.kind != 5:
        yield LeftAlone(at, f"held with a reservation of type {view.kind}: a switchover makes it a new one")
    other_keys = sorted(view.registered - {me}, key=encode_key)
    removed = [key for key in other_keys if is_over(key, me) or (key.side is None and encode_key(key) in named)]
    if removed:
        what = " and ".join(key_text(orders, key) for key in removed)
        commands = tuple(Command(Verb.PREEMPT, at, me, key) for key in removed)
        yield Repair(at, f"remove {what}, which may write to it", view, commands)
    for key in other_keys:
        if key not in removed:
            why = "it claims now" if key.side is not None else f"--foreign {encode_key(key):#x} removes it"
            yield LeftAlone(at, f"{key_text(orders, key)} is registered: {why}")


def _standby(orders: Orders, at: int, view: DiskView) -> Iterator[Repair | LeftAlone]:
    """A controller that is not active removes those of its own registrations that hold no disk, and nothing else."""
    if not view.answered:
        yield LeftAlone(at, "it does not answer")
        return
    for key in sorted(view.registered, key=encode_key):
        whose = key_text(orders, key)
        if key.side is orders.side and key == view.holder:
            yield LeftAlone(at, f"{whose} still holds it: the next claim takes it over")
        elif key.side is orders.side:
            command = Command(Verb.UNREGISTER, at, key)
            yield Repair(at, f"give up {whose}, which may write to it", view, (command,))
        elif key != view.holder:
            yield LeftAlone(at, f"{whose} is registered: only the active controller can remove it, so ask there")


def key_text(orders: Orders, key: Key) -> str:
    """Return a key as words for people: the controller and its claim, or a foreign key."""
    if key.side is not None:
        machine = f" from machine {key.machine:03x}" if key.machine else ""
        return f"{orders.controller(key.side)}'s claim {key.claim}{machine}"
    other = decode_key(key.epoch)
    if other.side is not None:
        return f"claim {other.claim} of {other.side} of another hagit pair, key {key.epoch:#x}"
    return f"a foreign key {key.epoch:#x}"


class RepairStage(StrEnum):
    """Stage of the repair of a disk: which command comes next. CHECK is the look at the end."""

    LOOK = "look"
    CHANGE = "change"
    CHECK = "check"
    UNDO = "undo"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RepairProgress:
    """A repair under way, for the pair of this name.

    `succeeded`: number of commands that the disk has executed. `problem`: the failure, for people; empty if there is
    none.
    """

    repair: Repair
    pair: str
    stage: RepairStage = RepairStage.LOOK
    succeeded: int = 0
    problem: str = ""


def begin(orders: Orders, repair: Repair) -> RepairProgress:
    """Return the repair of one disk before its first command."""
    return RepairProgress(repair, orders.pair)


def next_command(progress: RepairProgress) -> Command | None:
    """Return the next command to the disk; None when the repair is finished."""
    repair = progress.repair
    match progress.stage:
        case RepairStage.LOOK | RepairStage.CHECK:
            return Command(Verb.LOOK, repair.disk, repair.commands[0].key)
        case RepairStage.CHANGE:
            return repair.commands[progress.succeeded]
        case RepairStage.UNDO:
            return repair.undo
        case RepairStage.DONE:
            return None


def advance(progress: RepairProgress, reply: Reply) -> RepairProgress:
    """Return the repair after the disk has answered its `next_command`."""
    view = for_pair(reply.view, progress.pair)
    match progress.stage:
        case RepairStage.LOOK if view != progress.repair.view:
            changed = "left alone: it has changed since it was looked at"
            return replace(progress, stage=RepairStage.DONE, problem=changed)
        case RepairStage.LOOK:
            return replace(progress, stage=RepairStage.CHANGE)
        case RepairStage.CHANGE:
            return _changed(progress, reply.answer)
        case RepairStage.CHECK:
            return _checked(progress, view)
        case RepairStage.UNDO:
            return replace(progress, stage=RepairStage.DONE)
        case RepairStage.DONE:
            raise AssertionError("a repair at its end has no command")


def _changed(progress: RepairProgress, answer: Answer) -> RepairProgress:
    commands = progress.repair.commands
    if answer is not Answer.GOOD:
        problem = _failure(commands[progress.succeeded], answer)
        return replace(progress, stage=RepairStage.CHECK, problem=problem)
    succeeded = progress.succeeded + 1
    stage = RepairStage.CHANGE if succeeded < len(commands) else RepairStage.CHECK
    return replace(progress, stage=stage, succeeded=succeeded)


def _checked(progress: RepairProgress, view: DiskView) -> RepairProgress:
    """Give the registration up where we do not hold the disk, because the next holder could not fence us there.

    A disk that does not answer has commands in flight, which an UNREGISTER must not overtake.
    """
    undo = progress.repair.undo
    if undo is None or not view.answered or view.holder == undo.key:
        return replace(progress, stage=RepairStage.DONE)
    other = (
        "another controller has taken it meanwhile" if view.holder is not None else "no controller holds it after all"
    )
    return replace(progress, stage=RepairStage.UNDO, problem=progress.problem or f"left again: {other}")


def _failure(command: Command, answer: Answer) -> str:
    """Return why a disk did not execute a command, for people."""
    if answer is Answer.SILENT:
        return f"{command.verb}: the disk does not answer, or refuses it"
    if command.verb is Verb.UNREGISTER:
        return "this registration belongs to an earlier life of this controller: the active controller can remove it"
    return f"{command.verb}: reservation conflict; another controller was faster"
