"""The events of the core. A look is a level, not an edge: each look replaces the result of the one before.

Makes no decisions. Does not know which adapter looked, or how.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.decision_codes import Decision
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.reservation_state import DiskView


class Presence(StrEnum):
    """Which pools of the orders are imported here, by the kernel and debounced (not by the last output of `zpool`)."""

    UNKNOWN = "unknown"
    NONE = "none"
    SOME = "some"
    ALL = "all"
    REFUSED = "refused"
    HUNG = "hung"


class Request(StrEnum):
    """A request that the operator may make at any time."""

    SWITCHOVER = "switchover"
    FORCE = "force-activate"
    MAINTENANCE = "maintenance"
    RELENT = "relent"


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A beat arrived on a channel: an index into the orders' channels, or one past the last for the disk record."""

    channel: int
    beat: Beat


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """The peer's slot on an arbitration disk changed between two reads, to content that this controller cannot decode.

    Examples: another secret, another version, a torn sector. The peer writes to the shelf, so it lives. Nothing else is
    known about it.
    """


@dataclass(frozen=True, slots=True)
class ShelfSeen:
    """One look at the reservation of every disk, in the order of the orders. `out`: disks that our pools gave up.

    `begun_ms`: start of the look. A slow look proves nothing about changes after its start.
    """

    views: tuple[DiskView, ...]
    out: frozenset[int] = frozenset()
    begun_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PoolsSeen:
    """One look at the pools. An import or export in progress is SOME; REFUSED is NONE after a refused import.

    `progress`: any number that changes while an import or export makes progress. `used`: every pool is still imported,
    the export cannot go on because a process uses a mounted file system, and no part of the export is left in the
    kernel. `doing`: the work in progress, for people. `txgs`: committed transaction group of each pool imported here,
    as marks (`core/failover/reservations/transaction_groups`).
    """

    pools: Presence
    progress: int = 0
    used: bool = False
    doing: str = ""
    txgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SharesSeen:
    """One look at the servers of shares on this controller (`core/shares`), or at one of them (`all_servers`).

    `served`: every server answers clients, with all shares that can be served. `stopped`: every server is down, and
    nothing of a server runs or uses a pool. Both are true where nothing is to be served and nothing of earlier servers
    is left; both are false while a server starts or stops, and where no look succeeds.

    The rules for the daemon, on which the core relies:

    - It brings servers up while `Thing.SHARES` is in `Outputs.wanted` and all pools are imported, leaves them as they
      are while it is in `Outputs.kept`, and otherwise takes the addresses away first and then stops every server.
    - It reports `SharesSeen(False, False)` *before* the first command of a start or stop. If it starts without the
      state of another daemon, it does so before its first look at the pools, unless it knows that no server runs.
      Without any report the core assumes that there are no servers.
    - A look that began before the latest start or stop does not count.
    - It hands over to no other daemon during a start or stop.
    """

    served: bool
    stopped: bool


def all_servers(seen: Iterable[SharesSeen]) -> SharesSeen:
    """Return the looks at each server as one: all serve, or all have stopped. Without servers both are true."""
    each = tuple(seen)
    return SharesSeen(served=all(one.served for one in each), stopped=all(one.stopped for one in each))


@dataclass(frozen=True, slots=True)
class LinksSeen:
    """The interfaces of the failover groups that have carrier and are up, by name."""

    up: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClaimEnded:
    """The claim of this epoch has ended. `views`: its last look, by which the core judges whether it won."""

    epoch: int
    views: tuple[DiskView, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Arbitration disks refused our record with a reservation conflict, too many to leave us a majority.

    ZFS's own writes cannot show this: no event of OpenZFS on Linux names a reservation conflict.
    """


@dataclass(frozen=True, slots=True)
class PeerDied:
    """The peer is proven dead from outside. `how`: the power controller that proved it."""

    how: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the operator. `duration_ms`: length of MAINTENANCE. RELENT ends it and the stay after resets."""

    request: Request
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class NewOrders:
    """The agent published orders."""

    orders: Orders


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """The serial numbers of the Pair and this machine were compared. `unfit`: why it may not claim, or None."""

    unfit: Decision | None


@dataclass(frozen=True, slots=True)
class DeadmanSeen:
    """Whether a hardware watchdog is armed that resets this machine within the orders' time if its daemon stops."""

    armed: bool


Event: TypeAlias = (
    Tick
    | DeadmanSeen
    | Heard
    | UnitSeen
    | RecordChanged
    | ShelfSeen
    | PoolsSeen
    | SharesSeen
    | LinksSeen
    | ClaimEnded
    | Conflict
    | PeerDied
    | Asked
    | NewOrders
)
