"""Adoption: imported pools come under a reservation, or the adoption is refused and takes no disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.reservations import adoption
from reconciler.core.failover.reservations.claim import Answer, Command, Reply
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.simulation.disk import Disk, answer
from reconciler.simulation.timed.stories import PAIR

KEY = Key(Side.A, 1)
FREE = (DiskView(True),) * len(PAIR.disks)


def play(disks: list[Disk], commands: tuple[Command, ...], side: Side = Side.A) -> list[Reply]:
    replies = []
    for command in commands:
        disks[command.disk], reply = answer(disks[command.disk], side, command)
        replies.append(reply)
    return replies


def views(disks: list[Disk]) -> tuple[DiskView, ...]:
    return tuple(reply.view for reply in play(disks, adoption.looks(PAIR, KEY)))


@pytest.mark.parametrize("pools", [Presence.SOME, Presence.ALL])
def test_free_disks_under_imported_pools_are_taken(pools: Presence) -> None:
    disks = [Disk() for _ in PAIR.disks]
    assert adoption.refusals(PAIR, pools, views(disks)) == ()
    for commands in (adoption.registrations(PAIR, KEY), adoption.reservations(PAIR, KEY)):
        assert {reply.answer for reply in play(disks, commands)} == {Answer.GOOD}
        assert all(disk.lets_write(Side.A) for disk in disks), "no write of the pools is refused on the way"
    assert adoption.missed(PAIR, KEY, views(disks)) == ()
    assert not any(disk.lets_write(Side.B) for disk in disks)


@pytest.mark.parametrize(
    "view, why",
    [
        (UNANSWERED, "does not answer"),
        (DiskView(True, Key(Side.B, 7), frozenset({Key(Side.B, 7)})), "is held by b/7"),
        (DiskView(True, None, frozenset({Key(None, 0xBEEF)})), "has registrations: foreign/0xbeef"),
        (DiskView(True, Key(Side.A, 3), frozenset({Key(Side.A, 3)})), "is held by a/3"),
    ],
)
def test_what_others_have_is_left_and_named(view: DiskView, why: str) -> None:
    for at, name in enumerate(PAIR.disks):
        found = adoption.refusals(PAIR, Presence.ALL, (*FREE[:at], view, *FREE[at + 1 :]))
        assert found == (f"{name} {why}",)


@pytest.mark.parametrize("pools", [Presence.NONE, Presence.REFUSED, Presence.UNKNOWN, Presence.HUNG])
def test_without_imported_pools_there_is_nothing_to_adopt(pools: Presence) -> None:
    assert adoption.refusals(PAIR, pools, FREE)


@pytest.mark.parametrize("taken", range(len(PAIR.disks)))
@pytest.mark.parametrize("after", [adoption.registrations, adoption.reservations])
def test_a_rival_that_is_faster_keeps_its_disk_and_the_others_are_given_back(
    taken: int, after: Callable[..., tuple[Command, ...]]
) -> None:
    rival = Key(Side.B, 2)
    disks = [Disk() for _ in PAIR.disks]
    for commands in (adoption.registrations(PAIR, KEY), adoption.reservations(PAIR, KEY)):
        play(disks, commands)
        if commands == after(PAIR, KEY):
            # What a claim of the peer does to this disk.
            disks[taken] = replace(disks[taken], keys=(None, rival), holder=Side.B)
    assert adoption.missed(PAIR, KEY, views(disks)) == (PAIR.disks[taken],)
    play(disks, adoption.undone(PAIR, KEY))
    for at, disk in enumerate(disks):
        assert disk.view().registered == ({rival} if at == taken else frozenset())
        assert disk.view().holder == (rival if at == taken else None)
