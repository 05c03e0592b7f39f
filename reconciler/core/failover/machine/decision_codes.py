"""Decision codes: the name of every decision, each with the sentence that explains it to people.

Makes no decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(Enum):
    """A decision, or an obstacle to one. The value is the sentence for people."""

    # While booting.
    STARTED = "the daemon has started and has made no decision yet"
    NOTHING_HERE = "no pool is imported here"
    RESUMED = "the daemon restarted; pools are still here under our own, unchanged reservation"
    FOREIGN_IMPORT = "a pool is imported here without a claim of ours"
    # Why a claim begins.
    FORCED = "a person told this controller to take the pools"
    PEER_DEAD = "the peer is proven dead, or reports that it can no longer write to the disks"
    HANDED = "the peer has released the pools and waits for us"
    PEER_SILENT = "the peer is silent on every network channel and its disk heartbeat is stale"
    NO_OWNER = "both controllers are up, neither owns the pools, and this one is preferred"
    PEER_ABSENT = "no controller owns the pools and the peer has not been heard since this controller started"
    PEER_UNABLE = "no controller owns the pools and the preferred controller says it cannot take them"
    # How a claim ends.
    CLAIM_VERIFIED = "the fence is verified on every top-level vdev"
    CLAIM_WAITED = "the fence holds, and the disks it could not reach were waited out until the peer's deadman"
    CLAIM_PROVEN = "the fence holds where it reached, and the peer is proven dead"
    CLAIM_LOST = "the claim was lost or could not fence every top-level vdev"
    CLAIM_UNARMED = "disks could not be fenced, and no hardware watchdog is known that would have reset the peer"
    CLAIM_HUNG = "the claim outlived its deadline"
    # As the owner.
    IMPORTED = "all pools are imported"
    IMPORT_REFUSED = "the import was refused or did not begin in time"
    IMPORT_HUNG = "the import made no progress for too long"
    FENCED = "the reservation is lost: the disks name another owner"
    UNPROVEN = "our reservation could not be proven for too long"
    POOLS_GONE = "a pool is no longer imported"
    # Why the active controller releases its pools.
    ASKED = "a person asked for a switchover"
    DISKS_LOST = "this controller lost its disks and the peer sees them"
    POOLS_HUNG = "the pools do not answer and the peer can take them"
    GROUPS_DOWN = "a failover group is down here and up at the peer"
    ISOLATED = "every failover group is down here and the peer is not heard"
    # How a release ends.
    RELEASE_GIVEN_UP = "a program uses a filesystem here: the switchover was cancelled, and nothing was exported"
    TAKEN = "the pools are exported and the peer has taken the reservation"
    RESUMED_SERVICE = "the pools are exported and the peer did not take them; serving again"
    REFUSED_HERE = "the import was refused and the peer did not take the pools; only a new claim can reach more disks"
    LEFT = "the pools are exported, the peer did not take them, and the disks cannot be seen from here"
    RELEASE_HUNG = "the export made no progress for too long"
    # Inhibitors: why a controller does not move by itself.
    DISABLED = "failover is disabled"
    MAINTENANCE = "maintenance is in progress"
    HELD_BACK = "this controller reset itself too often and stays standby"
    BUDGET = "the budget of automatic moves is used up"
    CONTRADICTION = "both controllers have orders of one generation that differ"
    SHELF_DIFFERS = "the peer has newer orders with other disks"
    EPOCHS_EXHAUSTED = "the highest epoch is in use: no claim can have a higher one"
    TWIN = "another machine runs as this controller"
    OTHER_UNIT = "this machine is not the unit that the Pair names for this controller"
    UNIT_UNKNOWN = "whether this machine is the unit that the Pair names for this controller is not known"
    PEER_TWIN = "two machines run as the peer"
    SAME_ROLE = "both controllers claim to be active; the disks decide"
    NO_DISKS = "this controller does not see enough of the disks"
    NOT_READY = "this controller has not looked at disks and pools yet"
    WAITING = "the last attempt failed; the next one waits"
    ALL_GROUPS_DOWN = "every failover group is down here"
    PEER_CANNOT = "the peer is not heard, not standby, or not able to take the pools"
    PEER_WORSE = "the peer is no better off"
    NOT_ACTIVE = "this controller is not active"
    NOT_STANDBY = "this controller is not standby"
    # What happens to orders and requests.
    ORDERS_OLD = "orders of an older generation are refused"
    ORDERS_UNSAFE = "orders that cannot be safe are refused"
    ORDERS_FOREIGN = "orders for another pair or another controller are refused"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Decision:
    """A code and the evidence for it at the time of the decision."""

    code: Code
    evidence: str = ""

    def __str__(self) -> str:
        return f"{self.code.value} ({self.evidence})" if self.evidence else self.code.value
