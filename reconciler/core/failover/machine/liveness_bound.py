"""How long clients wait at most, computed from the orders: the liveness bound that the simulator holds the core to.

Counts what the core waits for and the limits it sets others. An import or export that goes on for longer than it may
stand still is ended by no clock, so none of that is counted. Does not know how long an import really takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.orders.orders import Orders


@dataclass(frozen=True, slots=True)
class Bound:
    """Parts that add up, each with its name, in milliseconds."""

    name: str
    parts: tuple[tuple[str, int], ...]

    @property
    def total_ms(self) -> int:
        """The sum."""
        return sum(part for _, part in self.parts)

    def __str__(self) -> str:
        return f"{self.name}: {' + '.join(f'{ms} ({what})' for what, ms in self.parts)} = {self.total_ms} ms"


def takeover_bound(orders: Orders) -> Bound:
    """From the last sign of life of the active controller to clients being served again, peer healthy, disks there."""
    t = orders.timers
    return Bound(
        "takeover",
        (
            ("until every channel is silent and the record is stale", max(t.silence_ms + t.network_ms, t.stale_ms)),
            ("until the next look and heartbeat", t.look_ms + t.beat_ms + t.pause_ms),
            ("claim", t.claim_ms),
            ("peer's deadman, with strict orders or a disk out of reach", t.proof_ms + t.deadman_ms),
            ("import", t.import_ms),
        ),
    )


def switchover_bound(orders: Orders) -> Bound:
    """From a person's request to clients being served by the other controller."""
    t = orders.timers
    return Bound(
        "switchover",
        (
            ("release", t.release_ms),
            ("until the peer hears of it", t.beat_ms + t.pause_ms),
            ("claim", t.claim_ms),
            ("import", t.import_ms),
        ),
    )


def start_bound(orders: Orders) -> Bound:
    """From the moment that both or one controller are up to clients being served."""
    t = orders.timers
    return Bound(
        "cold start",
        (
            ("quiet time", t.boot_ms),
            ("for the controller that is not the default", t.yield_ms),
            ("until every channel is silent and the record is stale", max(t.silence_ms + t.network_ms, t.stale_ms)),
            ("until the next look and heartbeat", t.look_ms + t.beat_ms + t.pause_ms),
            ("claim", t.claim_ms),
            ("peer's deadman, with strict orders or a disk out of reach", t.proof_ms + t.deadman_ms),
            ("import", t.import_ms),
        ),
    )


def settled_bound(orders: Orders) -> Bound:
    """From the healing of every fault to service, whatever happened before: the longest way through the phases."""
    t = orders.timers
    return Bound(
        "after everything healed",
        (
            ("a release that hangs, or waits for the peer in vain", t.release_ms + t.handover_ms),
            ("a claim that fails, and its pause", t.claim_ms + t.retry_ms),
            ("an import that hangs", t.import_ms),
            ("deadman", t.proof_ms + t.deadman_ms),
            *start_bound(orders).parts,
        ),
    )
