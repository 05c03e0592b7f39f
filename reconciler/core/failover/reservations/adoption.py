"""Adoption: pools that are imported here already come under our reservation, before the watchdog first runs.

A watchdog that starts over imported pools which nobody claimed must reset its machine: it cannot know whether the peer
has them, too. So the first start over pools in use needs one step before it. The invariant: *adoption takes a disk from
nobody*. It begins only where no disk of the orders has a reservation or a registration, it never preempts, and where
any disk turns out not to be ours alone at the end, all registrations are given back. Registering comes before
reserving on every path, so no write of the imported pools is ever refused.

Decides which commands are asked and what their end means. Does not know how a command reaches a disk, nor the files of
the watchdog.
"""

from __future__ import annotations

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import Command, Verb
from reconciler.core.failover.reservations.key import Key, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView, fenced


def refusals(orders: Orders, pools: Presence, views: tuple[DiskView, ...]) -> tuple[str, ...]:
    """Why these pools cannot be adopted now, one sentence each; empty when they can."""
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
    """Asked first, of all disks at once."""
    return _each(orders, Verb.REGISTER, key)


def reservations(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Asked when all registrations are good. A disk that another holds by then answers with a conflict."""
    return _each(orders, Verb.RESERVE, key)


def looks(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Asked last: what came of it."""
    return _each(orders, Verb.LOOK, key)


def undone(orders: Orders, key: Key) -> tuple[Command, ...]:
    """Asked where adoption failed: every disk is as it was found."""
    return _each(orders, Verb.UNREGISTER, key)


def missed(orders: Orders, key: Key, views: tuple[DiskView, ...]) -> tuple[str, ...]:
    """The disks that are not under our reservation alone after the last look; adoption holds when there is none."""
    return tuple(name for name, view in zip(orders.disks, views, strict=True) if not fenced(view, key))


def _each(orders: Orders, verb: Verb, key: Key) -> tuple[Command, ...]:
    return tuple(Command(verb, at, key) for at in range(len(orders.disks)))
