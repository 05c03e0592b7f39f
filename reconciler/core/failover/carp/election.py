"""CARP's election: who of several senders of one virtual host is master, as ip_carp.c and ucarp have it.

Decides when to advertise, and whether an advertisement that was heard ends the own mastery or the other's. It must be
given only what `overheard` found good. hagit's own pair does not elect so: the disks do, and only the active controller
advertises; by these rules it and other implementations of CARP agree on one master of a segment.

The better master is the one with the smaller (advbase, advskew). Of two equal ones ucarp keeps the one with the lower
address and FreeBSD's masters step back for one another; here the lower address stays, and equal ones step back.

The shortest times: with an advbase of 0, which ucarp takes with an advskew of 1 or more and FreeBSD refuses, a master
advertises every advskew/256 seconds, and a backup waits no longer than its own advskew/256 seconds. So a backup needs a
multiple of the master's advskew (three times or more), or one advertisement that comes late makes two masters for a
while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler.core.failover.carp.advertisement import BYTE_MAX, COUNTER_MAX, LEAVING, Advertisement

#: How many of the master's advertisements a backup lets pass, with its own advbase (ip_carp.c, ucarp's dead ratio).
MISSED: Final = 3


class CarpRole(StrEnum):
    """What a member of a virtual host is."""

    BACKUP = "BACKUP"
    MASTER = "MASTER"


@dataclass(frozen=True, slots=True)
class Election:
    """One member. `due_ms`: a backup becomes master then, a master advertises then.

    `source` are the bytes of the address it sends from. `counter` is the highest that it sent or heard: it goes on from
    there, as all implementations do, so that what it sends is new to whoever heard the last master.
    """

    vhid: int
    advbase: int
    advskew: int
    source: bytes
    preempt: bool
    counter: int
    role: CarpRole
    due_ms: int

    @property
    def pace(self) -> tuple[int, int]:
        """The smaller one is the better master."""
        return self.advbase, self.advskew


@dataclass(frozen=True, slots=True)
class Elected:
    """The member afterwards, and what it has to send at once, if anything."""

    election: Election
    advertise: Advertisement | None = None


def interval_ms(advbase: int, advskew: int) -> int:
    """Between two advertisements of a master."""
    return max(1, advbase * 1_000 + advskew * 1_000 // 256)


def master_down_ms(advbase: int, advskew: int) -> int:
    """How long a backup waits for an advertisement before it becomes master, by its own figures."""
    return max(1, MISSED * advbase * 1_000 + advskew * 1_000 // 256)


def begin(
    now_ms: int, *, vhid: int, advbase: int, advskew: int, source: bytes, counter: int, preempt: bool = False
) -> Election:
    """A member that has just started: backup, and listening. `counter` must be above that of its earlier lives."""
    assert 0 <= advbase <= BYTE_MAX and 0 <= advskew < BYTE_MAX and advbase + advskew > 0, f"{advbase}, {advskew}"
    due_ms = now_ms + master_down_ms(advbase, advskew)
    return Election(vhid, advbase, advskew, source, preempt, counter, CarpRole.BACKUP, due_ms)


def elapsed(election: Election, now_ms: int) -> Elected:
    """What the passing of time makes of it; nothing before `due_ms`."""
    return _advertising(election, now_ms) if now_ms >= election.due_ms else Elected(election)


def heard(election: Election, advertisement: Advertisement, source: bytes, now_ms: int) -> Elected:
    """What a good and new advertisement of another member makes of it."""
    election = replace(election, counter=max(election.counter, advertisement.counter))
    mine, other = election.pace, advertisement.pace
    if election.role is CarpRole.MASTER:
        if other < mine or (other == mine and source <= election.source):
            return Elected(_waiting(election, now_ms))
        return Elected(election)
    if election.preempt and mine < other:
        return _advertising(election, now_ms)
    # So slow that it is sure to be missed: a master that takes its leave says so.
    if (MISSED * election.advbase, election.advskew) < other:
        return _advertising(election, now_ms)
    return Elected(_waiting(election, now_ms))


def farewell(election: Election, now_ms: int) -> Elected:
    """A master's last advertisement, after which the others need not wait: `LEAVING`."""
    counter = _next(election.counter)
    last = Advertisement(election.vhid, *LEAVING, counter)
    return Elected(_waiting(replace(election, counter=counter), now_ms), last)


def _waiting(election: Election, now_ms: int) -> Election:
    due_ms = now_ms + master_down_ms(election.advbase, election.advskew)
    return replace(election, role=CarpRole.BACKUP, due_ms=due_ms)


def _advertising(election: Election, now_ms: int) -> Elected:
    counter = _next(election.counter)
    due_ms = now_ms + interval_ms(election.advbase, election.advskew)
    master = replace(election, role=CarpRole.MASTER, counter=counter, due_ms=due_ms)
    return Elected(master, Advertisement(election.vhid, election.advbase, election.advskew, counter))


def _next(counter: int) -> int:
    """The next counter; after the last one 0, as everywhere, which nobody reaches who does not start there."""
    return 0 if counter == COUNTER_MAX else counter + 1
