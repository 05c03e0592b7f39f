"""Everything that can happen to the core. Looks are levels, not edges: each replaces what was known before.

Decides nothing. Does not know who looked, or how.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.machine.decision_codes import Decision
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.reservation_state import DiskView


class Presence(StrEnum):
    """What the kernel says about the pools of the orders, debounced (not what `zpool` last printed)."""

    UNKNOWN = "unknown"
    NONE = "none"
    SOME = "some"
    ALL = "all"
    REFUSED = "refused"
    HUNG = "hung"


class Request(StrEnum):
    """What a person may ask for at once."""

    SWITCHOVER = "switchover"
    FORCE = "force-activate"
    MAINTENANCE = "maintenance"
    RELENT = "relent"


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A beat arrived on a channel (an index into the orders' channels; one past the last is the disk record)."""

    channel: int
    beat: Beat


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """The peer's slot on an arbitration disk changed between two reads to something that this controller cannot follow.

    Another seal, another version, a torn sector: the peer writes to the shelf, so it lives, and nothing else is known.
    """


@dataclass(frozen=True, slots=True)
class ShelfSeen:
    """One look at the reservation of every disk, in the order of the orders; `out` are disks our pools gave up.

    `begun_ms` is when the look was started: a slow look must not testify about what came after it began.
    """

    views: tuple[DiskView, ...]
    out: frozenset[int] = frozenset()
    begun_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PoolsSeen:
    """One look at the pools. An import or export in progress is SOME; REFUSED is NONE after a refused import.

    `progress` is any number that changes while an import or export goes on. `used`: every pool is still imported, and
    the export does not go on because somebody uses what is mounted; nothing of it is left in the kernel. `doing` says
    for people what went on. `txgs`: how far each pool has come that is imported here, as marks
    (`core/failover/reservations/transaction_groups`).
    """

    pools: Presence
    progress: int = 0
    used: bool = False
    doing: str = ""
    txgs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LinksSeen:
    """Which interfaces of the failover groups have carrier and are up."""

    up: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClaimEnded:
    """The claim of this epoch ran to its end, and `views` is the look it took last. Whether it won is judged here."""

    epoch: int
    views: tuple[DiskView, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """So many arbitration disks refused our record with a reservation conflict that no majority can be ours.

    What ZFS writes tells nothing: no event of OpenZFS on Linux names a reservation conflict.
    """


@dataclass(frozen=True, slots=True)
class PeerDied:
    """Proof of death from outside: `how` names the power controller."""

    how: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A person asks. `duration_ms` belongs to maintenance; RELENT ends maintenance and the stay after resets."""

    request: Request
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class NewOrders:
    """The agent published orders."""

    orders: Orders


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """The serial numbers of the Pair and of this machine were compared: why it may not claim, None when it may."""

    unfit: Decision | None


@dataclass(frozen=True, slots=True)
class DeadmanSeen:
    """Whether a hardware watchdog counts that resets this machine in the time of the orders if its daemon stops."""

    armed: bool


Event: TypeAlias = (
    Tick
    | DeadmanSeen
    | Heard
    | UnitSeen
    | RecordChanged
    | ShelfSeen
    | PoolsSeen
    | LinksSeen
    | ClaimEnded
    | Conflict
    | PeerDied
    | Asked
    | NewOrders
)
