"""Ports: the protocols of a shelf and of pools, which real disks and simulated ones implement alike.

Every call may block, up to its deadline and not noticeably longer, so the watchdog calls them only in its worker
processes, never in its loop. A disk that hangs does not delay the answer of another disk. No call raises for a fault of
a disk, a path or a pool: silence is an answer. The conformance suite checks every implementation against these
docstrings. Makes no decisions.
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
    """Outcome of writing a disk heartbeat.

    GOOD: the majority of the arbitration disks took the sector. CONFLICT: too many disks answered with status
    RESERVATION CONFLICT (SPC-4, 5.13.1) to leave us a majority. Fewer conflicts may come from disks that returned after
    the claim, still held by a peer that is gone. SILENT: neither.
    """

    GOOD = "good"
    CONFLICT = "conflict"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class PoolsView:
    """One look at the pools of the orders.

    `out`: disks (indices into the orders) that the imported pools gave up. `progress` and `used`: see `PoolsSeen`.
    `doing`: the work in progress, for people. All three are empty if no import or export is in progress. `txgs`:
    committed transaction group of each pool, as marks (`transaction_groups`), in the order in which the vdevs of the
    orders first name pools; 0: not imported here, or unknown.
    """

    pools: Presence
    out: frozenset[int] = frozenset()
    progress: int = 0
    used: bool = False
    doing: str = ""
    txgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Watched:
    """One look at all disks. `age_s`: age, in seconds, of the oldest answer that this look uses."""

    views: tuple[DiskView, ...]
    age_s: float = 0.0


class Performing(Protocol):
    """Disks that take reservation commands."""

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        """Send commands to different disks, all at once, and return the replies in the order of the commands.

        REGISTER goes over every path, with APTPL (SPC-4, 5.13.5). After a unit attention (SPC-4, 5.14) the command is
        repeated. While a command to a disk is unanswered, further ones are SILENT at once: a later command never
        overtakes a late one.
        """
        ...


class Shelf(Performing, Protocol):
    """The disks of the orders, as one controller reaches them."""

    def obey(self, orders: Orders) -> None:
        """Follow newer orders of the same controller. Disks that both orders name stay open as they are.

        A later command to such a disk never overtakes one that the disk has not answered yet.
        """
        ...

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        """Send READ KEYS and READ RESERVATION (SPC-4, 6.15.2 and 6.15.3) to all disks at once.

        Returns one view a disk, in the order of the orders; UNANSWERED for each disk that did not answer in time.
        """
        ...

    def watch(self, deadline_s: float) -> Watched:
        """Look again. If too few disks answer in time, use the late answers of the others to earlier looks.

        Disks that always answer late are busy, not lost. An answer that took longer than half the time that the
        controller may go without proof (`Timers.proof_ms`) does not count.
        """
        ...

    def read_records(self, deadline_s: float) -> tuple[bytes | None, ...]:
        """Return the peer's 512-byte sector on each arbitration disk, in their order; None: unreadable.

        As for `watch`, an answer may be a late one to an earlier question.
        """
        ...

    def write_record(self, data: tuple[bytes, ...], deadline_s: float) -> Written:
        """Write our own sector on each arbitration disk; `data` in their order, 512 bytes each."""
        ...

    def close(self) -> None:
        """Close all disks. Commands still in flight may complete later."""
        ...


def answered(shelf: Performing, command: Command, deadline_s: float) -> Reply:
    """Send one command and return the reply of its disk."""
    (reply,) = shelf.perform((command,), deadline_s)
    return reply


class SharedPools(Protocol):
    """The pools of the orders in one controller's kernel. `look` may run beside an import or export."""

    def look(self, deadline_s: float) -> PoolsView:
        """Return which pools are imported here: NONE, SOME (also during an import or export), ALL, HUNG, or UNKNOWN.

        UNKNOWN means no answer. Never returns REFUSED: the kernel does not remember a refused import, only its caller
        does.
        """
        ...

    def import_(self, deadline_s: float, excused: frozenset[int] = frozenset(), txgs: tuple[int, ...] = ()) -> bool:
        """Import all pools without scanning; True when all are imported. After False one may still be in progress.

        `excused`: disks (indices into the orders) that the last owner of the pools had given up. None of them has newer
        writes than the others, so their silence stops no import, and their contents allow none. `txgs`: marks that the
        pools had reached by the reports of their last owner; a pool behind its mark is not imported.
        """
        ...

    def export(self, deadline_s: float) -> bool:
        """Export all pools; True when none is imported any more. After False one may still be in progress.

        While a process uses a pool, the export retries until the deadline. A caller that wants the pools back meanwhile
        kills this process and imports.
        """
        ...

    def close(self) -> None:
        """Release all resources. An import or export in progress goes on in the kernel."""
        ...
