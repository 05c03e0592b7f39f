"""What `hagit reservations repair` may do, disk by disk, and what it leaves alone and why.

Decides; touches nothing. Three rules keep it safe: what holds a disk now is taken from it only by the active controller
and only where its own next claim would do the same; a reservation is never given to nobody; what hagit did not write is
removed only when a person names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.core.failover.claim import Command, Verb
from reconciler.core.failover.events import Pools
from reconciler.core.failover.hold import UNANSWERED, DiskView, Hold, for_pair, judge
from reconciler.core.failover.key import Key, decode_key, encode_key, is_over
from reconciler.core.failover.orders import Orders


@dataclass(frozen=True, slots=True)
class Deed:
    """Commands for one disk, which holds `view` when they begin; `undo` follows when somebody else then holds it."""

    disk: int
    what: str
    view: DiskView
    commands: tuple[Command, ...]
    undo: Command | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is not as it should be, and stays."""

    disk: int
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing is mended now."""

    why: str
    remedy: str


Mending = Deed | Left

#: While the watchdog itself is busy with the disks, or about to be.
BUSY: Final = {
    "booting": "the watchdog has just started and has not judged the disks yet",
    "claiming": "the watchdog is claiming the disks",
    "importing": "the watchdog is importing the pools",
    "releasing": "the watchdog is handing over",
    "halted": "this controller waits for its reset",
}


def plan_mending(
    orders: Orders,
    phase: str,
    pools: Pools,
    views: tuple[DiskView, ...],
    named: frozenset[int],
    pending: frozenset[int] = frozenset(),
) -> tuple[Mending, ...] | Refusal:
    """What can be mended from here. `phase` is empty while no watchdog runs; `named`: foreign keys that may go.

    `pending`: disks that only pending orders name, so that no key on them is a loss.
    """
    views = tuple(for_pair(view, orders.pair) for view in views)
    if phase in BUSY:
        return Refusal(BUSY[phase], "ask again when `hagit status` shows that it is over")
    if phase == "active":
        owner = judge(orders, 0, views).owner
        in_force = tuple(UNANSWERED if at in pending else view for at, view in enumerate(views))
        if owner is None or owner.side is not orders.side or _verdict(orders, owner, in_force) is not Hold.OURS:
            return Refusal(
                "this controller is active, but the disks do not say that they are its own",
                "`hagit reservations` shows who holds them; the watchdog is about to give up, and the next claim takes "
                "whatever stands there",
            )
        return tuple(one for at, view in enumerate(views) for one in _active(orders, owner, at, view, named))
    if pools is not Pools.NONE:
        return Refusal(
            f"pools are imported here, or nobody knows ({pools.value}), and this controller is not active",
            "look at `zpool status`; a reservation that protects them must stay",
        )
    return tuple(one for at, view in enumerate(views) for one in _standby(orders, at, view))


def _verdict(orders: Orders, owner: Key, views: tuple[DiskView, ...]) -> Hold:
    # A foreign key on a disk that was ours before has halted the watchdog already.
    return judge(orders, owner.epoch, views, frozenset()).hold


def _active(orders: Orders, me: Key, at: int, view: DiskView, named: frozenset[int]) -> Iterator[Mending]:
    """The active controller completes its claim: what it would do to this disk if it claimed again."""
    holder = view.holder
    if not view.answered:
        yield Left(at, "it does not answer")
        return
    if holder == me:
        if view.kind != 5:
            yield Left(at, f"held with a reservation of type {view.kind}: a switchover makes it a new one")
        strangers = sorted(view.registered - {me}, key=encode_key)
        removed = [key for key in strangers if is_over(key, me) or (key.side is None and encode_key(key) in named)]
        if removed:
            what = " and ".join(words(orders, key) for key in removed)
            commands = tuple(Command(Verb.PREEMPT, at, me, key) for key in removed)
            yield Deed(at, f"remove {what}, which may write to it", view, commands)
        for key in strangers:
            if key not in removed:
                why = "it claims now" if key.side is not None else f"--foreign {encode_key(key):#x} removes it"
                yield Left(at, f"{words(orders, key)} is registered: {why}")
        return
    register = Command(Verb.REGISTER, at, me)
    undo = Command(Verb.UNREGISTER, at, me)
    if holder is None:
        commands = (register, Command(Verb.RESERVE, at, me))
        yield Deed(at, "take it: nobody holds it", view, commands, undo)
    elif holder.side is None and encode_key(holder) not in named:
        yield Left(at, f"held by {words(orders, holder)}: --foreign {encode_key(holder):#x} takes the disk from it")
    elif holder.side is not None and not is_over(holder, me):
        yield Left(at, f"held by {words(orders, holder)}, which is newer than ours: clear the disk with `sg_persist`")
    else:
        commands = (register, Command(Verb.PREEMPT, at, me, holder))
        why = "which is over" if holder.side is not None else "which you named"
        yield Deed(at, f"take it from {words(orders, holder)}, {why}", view, commands, undo)


def _standby(orders: Orders, at: int, view: DiskView) -> Iterator[Mending]:
    """Who is not active gives up registrations of its own that are of no use, and nothing else."""
    if not view.answered:
        yield Left(at, "it does not answer")
        return
    for key in sorted(view.registered, key=encode_key):
        whose = words(orders, key)
        if key.side is orders.side and key == view.holder:
            yield Left(at, f"{whose} still holds it: the next claim takes it over, never nobody")
        elif key.side is orders.side:
            command = Command(Verb.UNREGISTER, at, key)
            yield Deed(at, f"give up {whose}, which may write to it", view, (command,))
        elif key != view.holder:
            yield Left(at, f"{whose} is registered: only the active controller can remove it, so ask there")


def words(orders: Orders, key: Key) -> str:
    """A key as people know it."""
    if key.side is not None:
        machine = f" from machine {key.machine:03x}" if key.machine else ""
        return f"{orders.controller(key.side)}'s claim {key.claim}{machine}"
    other = decode_key(key.epoch)
    if other.side is not None:
        return f"claim {other.claim} of {other.side} of another hagit pair, key {key.epoch:#x}"
    return f"a foreign key {key.epoch:#x}"
