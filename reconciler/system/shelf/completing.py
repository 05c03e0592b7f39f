"""What the active controller does about disks that are not under its reservation alone: it completes its claim.

A disk that newer orders name, and one that comes back after a takeover, is taken as the claim would have taken it,
before ZFS writes to it. Three rules keep that as safe as a claim, which runs only where no pool is imported:

- what others have registered with older keys on a disk of ours is removed; that needs no registration;
- a disk that nobody holds, or an older key does, is taken only while our own pools do not write to it. So a controller
  that slept between its look and its registration, and was replaced meanwhile, gains no way to write what it still has
  in its queues; its next command is refused, and it gives the registration up at once;
- newer keys and foreign ones are left alone, and no disk is ever left to nobody.

Decides which disks and which commands. Does not know when it is asked (`work` does).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from reconciler.core.failover.adapters import Performing, answered
from reconciler.core.failover.claim import Answer, Command, Verb
from reconciler.core.failover.hold import DiskView, fenced
from reconciler.core.failover.key import Key, encode_key


class Completable(Performing, Protocol):
    """What is needed of a shelf. See `DiskShelf`."""

    def idle(self, disk: int, deadline_s: float) -> bool:
        """Whether our own pools surely do not write to it."""
        ...


def unfenced(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Disks that answered and are not under our reservation alone."""
    return tuple(at for at, view in enumerate(views) if view.answered and not fenced(view, mine))


def completable(views: Collection[DiskView], mine: Key) -> tuple[int, ...]:
    """Those of them about which something may be done."""
    found = []
    for at, view in enumerate(views):
        ours = view.holder == mine
        if view.answered and (_over(view, mine) if ours else _takeable(view, mine)):
            found.append(at)
    return tuple(found)


def complete(shelf: Completable, disk: int, mine: Key, command_s: float, *, given_up: bool) -> bool:
    """Take one disk, if that may be done now; whether it is ours alone at the end.

    `given_up`: our pools have given it up. Each command may take `command_s`.
    """
    view = _look(shelf, disk, mine, command_s)
    if view.answered and view.holder != mine and _takeable(view, mine):
        view = _take(shelf, disk, mine, view, command_s, given_up=given_up)
    for stranger in _over(view, mine) if view.holder == mine else ():
        if answered(shelf, Command(Verb.PREEMPT, disk, mine, stranger), command_s).answer is not Answer.GOOD:
            return False
        view = _look(shelf, disk, mine, command_s)
    return fenced(view, mine)


def _take(shelf: Completable, disk: int, mine: Key, view: DiskView, command_s: float, *, given_up: bool) -> DiskView:
    """What is there after the try."""
    if mine not in view.registered:
        if not given_up and not shelf.idle(disk, command_s):
            return view
        if answered(shelf, Command(Verb.REGISTER, disk, mine), command_s).answer is not Answer.GOOD:
            return view
        # Where an older key of ours stood, registering has renamed it, and with it the reservation.
        view = _look(shelf, disk, mine, command_s)
    if view.answered and view.holder != mine and _takeable(view, mine):
        verb = Verb.RESERVE if view.holder is None else Verb.PREEMPT
        answered(shelf, Command(verb, disk, mine, view.holder), command_s)
        view = _look(shelf, disk, mine, command_s)
    if view.answered and view.holder not in (None, mine):
        # Another was faster: it must not find us registered.
        answered(shelf, Command(Verb.UNREGISTER, disk, mine), command_s)
        view = _look(shelf, disk, mine, command_s)
    return view


def _look(shelf: Completable, disk: int, mine: Key, command_s: float) -> DiskView:
    return answered(shelf, Command(Verb.LOOK, disk, mine), command_s).view


def _takeable(view: DiskView, mine: Key) -> bool:
    """Nobody is there, or only what is over."""
    others = {key for key in (view.holder, *view.registered) if key is not None and key != mine}
    return all(_is_over(key, mine) for key in others)


def _over(view: DiskView, mine: Key) -> tuple[Key, ...]:
    """Others that are registered with keys that are over."""
    return tuple(sorted((key for key in view.registered - {mine} if _is_over(key, mine)), key=encode_key))


def _is_over(key: Key, mine: Key) -> bool:
    """From before our claim. A newer one belongs to a claim that is under way."""
    return key.side is not None and key.epoch <= mine.epoch
