"""What the watchdog needs of a shelf and of pools: protocols that a simulated shelf and real disks obey alike.

Every call may block, up to its deadline and not noticeably longer; so they are made in the watchdog's arms only, never
in its loop. A disk that hangs delays nobody else's answer. No call raises for what a disk, a path or a pool does:
silence is an answer. The conformance suite holds every implementation to what is written here. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.claim import Command, Reply
from reconciler.core.failover.reservations.reservation_state import DiskView


class Written(StrEnum):
    """What became of a disk heartbeat.

    GOOD: the majority of the arbitration disks took the sector. CONFLICT: so many answered with status RESERVATION
    CONFLICT (SPC-4, 5.13.1) that no majority can be ours; fewer may be disks that came back after the claim, still held
    by a peer that is gone. SILENT: neither.
    """

    GOOD = "good"
    CONFLICT = "conflict"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class PoolsView:
    """One look at the pools of the orders.

    `out`: disks (indices into the orders) that the imported pools gave up. `progress` and `used`: see `PoolsSeen`;
    `doing` says in words what went on. They are empty where no import or export is in progress. `txgs`: how far each
    pool has come, as marks (`progress`), in the order in which the vdevs of the orders first name pools; 0: not
    imported here, or not known.
    """

    pools: Presence
    out: frozenset[int] = frozenset()
    progress: int = 0
    used: bool = False
    doing: str = ""
    txgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Watched:
    """One of many looks at all disks. `age_s`: so long before it the oldest of the questions was asked that count."""

    views: tuple[DiskView, ...]
    age_s: float = 0.0


class Performing(Protocol):
    """Disks that take reservation commands."""

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        """Commands to different disks, all at once: what each disk answered, in the order of the commands.

        REGISTER goes over every path, with APTPL (SPC-4, 5.13.5). A unit attention (SPC-4, 5.14) is consumed and the
        command repeated. While a command to a disk is unanswered, further ones are SILENT at once: what is late is
        never overtaken by what was asked after it.
        """
        ...


class Shelf(Performing, Protocol):
    """The disks of the orders, as one controller reaches them."""

    def obey(self, orders: Orders) -> None:
        """Newer orders of the same controller. Disks that they name as the older ones did are reached as before.

        What such a disk has not answered yet is not overtaken by what is asked from now on.
        """
        ...

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        """READ KEYS and READ RESERVATION (SPC-4, 6.15.2 and 6.15.3) of all disks at once, in the orders' order.

        UNANSWERED stands for each disk that did not answer in time.
        """
        ...

    def watch(self, deadline_s: float) -> Watched:
        """`look`, again and again: where too few answered in time, what others answered late to an earlier one counts.

        Disks that always answer late are busy, not lost. Of an answer that took half as long as the controller may be
        without proof (`Timers.proof_ms`) nothing is told.
        """
        ...

    def read_records(self, deadline_s: float) -> tuple[bytes | None, ...]:
        """The peer's 512-byte sector on each arbitration disk, in their order; None: unreadable.

        As for `watch`, an answer may be a late one to an earlier question.
        """
        ...

    def write_record(self, data: tuple[bytes, ...], deadline_s: float) -> Written:
        """Write our own sector on each arbitration disk; `data` in their order, 512 bytes each."""
        ...

    def close(self) -> None:
        """Let go of everything. What a disk has not answered yet may still be done."""
        ...


def answered(shelf: Performing, command: Command, deadline_s: float) -> Reply:
    """What one disk answers to one command."""
    (reply,) = shelf.perform((command,), deadline_s)
    return reply


class PoolHouse(Protocol):
    """The pools of the orders, as one controller's kernel has them. `look` may run beside an import or export."""

    def look(self, deadline_s: float) -> PoolsView:
        """What is imported here: NONE, SOME (an import or export in progress, too), ALL, HUNG; no answer is UNKNOWN.

        REFUSED is never said here: no kernel remembers a refused import, only who asked for it.
        """
        ...

    def import_(self, deadline_s: float, excused: frozenset[int] = frozenset(), txgs: tuple[int, ...] = ()) -> bool:
        """Import all pools without scanning; True when all are imported. After False one may still be in progress.

        `excused`: disks (indices into the orders) that the last owner of the pools had given up: none of them holds
        anything newer than the others, so their silence stops no import, and what they say allows none.
        `txgs`: marks that the pools had reached by the word of their last owner. One that is behind is not imported.
        """
        ...

    def export(self, deadline_s: float) -> bool:
        """Export all pools; True when none is imported any more. After False one may still be in progress.

        What somebody uses is tried again until the deadline. Whoever wants the pools back meanwhile kills this process
        and imports.
        """
        ...

    def close(self) -> None:
        """Let go of everything; an import or export in progress goes on in the kernel."""
        ...
