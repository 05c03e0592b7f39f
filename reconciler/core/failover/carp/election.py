"""Election of CARP: which of several members of one virtual host is master, by the rules of ip_carp.c and ucarp.

Decides when to advertise, and whether a received advertisement ends this member's mastery or the other's. Callers pass
only advertisements that `monitor` found good. The controllers of a hagit pair do not elect their active one this way:
the disks decide, and only the active controller advertises. By these rules it and other implementations of CARP agree
on one master of a segment.

The better master is the one with the smaller (advbase, advskew). Of two equal ones ucarp keeps the one with the lower
address, and FreeBSD's masters step back for one another. Here the lower address stays, and members with equal addresses
step back.

The shortest times: an advbase of 0, which FreeBSD refuses, is valid in ucarp with an advskew of 1 or more. Such a
master advertises every advskew/256 seconds, and a backup waits no longer than its own advskew/256 seconds. So a backup
needs a multiple of the master's advskew (three times or more). Otherwise one late advertisement makes two masters for a
while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler.core.failover.carp.advertisement import BYTE_MAX, COUNTER_MAX, LEAVING, Advertisement

#: Number of advertisements, by its own advbase, that a backup may miss (ip_carp.c, ucarp's dead ratio).
MISSED: Final = 3


class CarpRole(StrEnum):
    """Role of a member of a virtual host."""

    BACKUP = "BACKUP"
    MASTER = "MASTER"


@dataclass(frozen=True, slots=True)
class Election:
    """One member. `due_ms`: when a backup becomes master, or a master advertises.

    `source`: bytes of its source address. `counter`: the highest that it sent or heard. It continues from there, as in
    all implementations, so that its advertisements are new to every member that heard the last master.
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
    """The member after an event, and the advertisement that it has to send at once, if any."""

    election: Election
    advertise: Advertisement | None = None


def interval_ms(advbase: int, advskew: int) -> int:
    """Return the time in ms between two advertisements of a master."""
    return max(1, advbase * 1_000 + advskew * 1_000 // 256)


def master_down_ms(advbase: int, advskew: int) -> int:
    """Return how long, in ms, a backup waits for an advertisement before it becomes master, by its own pace."""
    return max(1, MISSED * advbase * 1_000 + advskew * 1_000 // 256)


def begin(
    now_ms: int, *, vhid: int, advbase: int, advskew: int, source: bytes, counter: int, preempt: bool = False
) -> Election:
    """Return a new member: a listening backup. `counter` must be above that of its earlier lives."""
    assert 0 <= advbase <= BYTE_MAX and 0 <= advskew < BYTE_MAX and advbase + advskew > 0, f"{advbase}, {advskew}"
    due_ms = now_ms + master_down_ms(advbase, advskew)
    return Election(vhid, advbase, advskew, source, preempt, counter, CarpRole.BACKUP, due_ms)


def elapsed(election: Election, now_ms: int) -> Elected:
    """Return the member at `now_ms`. The member does not change before `due_ms`."""
    return _advertising(election, now_ms) if now_ms >= election.due_ms else Elected(election)


def heard(election: Election, advertisement: Advertisement, source: bytes, now_ms: int) -> Elected:
    """Return the member after a good and new advertisement of another member."""
    election = replace(election, counter=max(election.counter, advertisement.counter))
    mine, other = election.pace, advertisement.pace
    if election.role is CarpRole.MASTER:
        if other < mine or (other == mine and source <= election.source):
            return Elected(_waiting(election, now_ms))
        return Elected(election)
    if election.preempt and mine < other:
        return _advertising(election, now_ms)
    # The master's pace is slower than this backup's wait. A master that resigns announces such a pace.
    if (MISSED * election.advbase, election.advskew) < other:
        return _advertising(election, now_ms)
    return Elected(_waiting(election, now_ms))


def farewell(election: Election, now_ms: int) -> Elected:
    """Resign with a master's last advertisement (`LEAVING`), after which the others need not wait."""
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
    """Return the next counter. It wraps to 0, as in all implementations; only one that starts near the end wraps."""
    return 0 if counter == COUNTER_MAX else counter + 1
