"""Adoption: put pools that this controller has already imported under its reservation, before the watchdog first runs.

A watchdog that starts over imported pools without a claim must reset its machine, because it cannot know whether the
peer has imported them, too. So the first start over pools in use needs this step before it. The invariant: *adoption
takes a disk from no other key*. It begins only if no disk of the orders has a reservation or a registration. It never
preempts. If any disk is not ours alone at the end, it gives back all registrations. It registers on every path before
it reserves, so no disk ever refuses a write of the imported pools.

Decides which commands to send and judges their outcome. Does not know how a command reaches a disk, nor the files of
the watchdog.
"""

from __future__ import annotations

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import Command, Verb
from reconciler.core.failover.reservations.key import Key, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView, fenced


def refusals(orders: Orders, pools: Presence, views: tuple[DiskView, ...]) -> tuple[str, ...]:
    """Return why these pools cannot be adopted now, one sentence each; empty if they can."""
    assert len(views) == len(orders.disks)
    if pools in (Presence.NONE, Presence.REFUSED):
        return ("no pool of the orders is imported here: there is nothing to adopt, start the watchdog",)
    silent = ("the pools do not answer",) if pools in (Presence.UNKNOWN, Presence.HUNG) else ()
    seen = zip(orders.disks, views, strict=True)
    return (*silent, *(f"{name} {why}" for name, view in seen if (why := _taken(view))))


def _taken(view: DiskView) -> str:
    if not view.answered:
        return "does not answer"
    if view.holder is not None:
        return f"is held by {view.holder}"
    if view.registered:
        return f"has registrations: {', '.join(map(str, sorted(view.registered, key=encode_key)))}"
    return ""


def registrations(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Return the first commands, to all disks at once."""
    return _each(orders, Verb.REGISTER, key)


def reservations(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Return the second commands, sent once all registrations are good. A disk with another holder refuses."""
    return _each(orders, Verb.RESERVE, key)


def looks(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Return the last commands: look at the outcome on every disk."""
    return _each(orders, Verb.LOOK, key)


def undone(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Return the commands after a failed adoption: they restore every disk to the state before it."""
    return _each(orders, Verb.UNREGISTER, key)


def missed(orders: Orders, key: Key, views: tuple[DiskView, ...]) -> tuple[str, ...]:
    """Return the disks that are not fenced after the last look. Adoption has succeeded if there is none."""
    return tuple(name for name, view in zip(orders.disks, views, strict=True) if not fenced(view, key))


def _each(orders: Orders, verb: Verb, key: Key) -> tuple[Command, ...]:
    return tuple(Command(verb, at, key) for at in range(len(orders.disks)))
