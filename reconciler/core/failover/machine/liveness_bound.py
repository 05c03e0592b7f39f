"""Liveness bounds: the longest time that clients wait for service, computed from the orders.

The simulator checks the core against these bounds. They add up the core's own waits and the limits that it sets others.
No clock ends an import or export that makes progress, so the bounds count only its limit without progress. `shares`:
the pair serves shares, which start and stop, too. Does not know how long an import really takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.failover.machine.outputs import serve_ms
from reconciler.core.failover.orders.orders import Orders


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound: named parts in milliseconds that add up."""

    name: str
    parts: tuple[tuple[str, int], ...]

    @property
    def total_ms(self) -> int:
        """The sum of the parts."""
        return sum(part for _, part in self.parts)

    def __str__(self) -> str:
        return f"{self.name}: {' + '.join(f'{ms} ({what})' for what, ms in self.parts)} = {self.total_ms} ms"


def _start(orders: Orders, *, shares: bool) -> tuple[tuple[str, int], ...]:
    """Return the wait of the addresses for the servers of shares, if the pair has shares."""
    return (("servers of shares start", serve_ms(orders)),) if shares else ()


def _stop(orders: Orders, *, shares: bool) -> tuple[tuple[str, int], ...]:
    return (("servers of shares stop", orders.timers.release_ms),) if shares else ()


def takeover_bound(orders: Orders, *, shares: bool = False) -> Bound:
    """From the active controller's last sign of life until a healthy peer with its disks serves the clients."""
    t = orders.timers
    return Bound(
        "takeover",
        (
            ("until every channel is silent and the record is stale", max(t.silence_ms + t.network_ms, t.stale_ms)),
            ("until the next look and heartbeat", t.look_ms + t.beat_ms + t.pause_ms),
            ("claim", t.claim_ms),
            ("peer's deadman, with strict orders or a disk out of reach", t.proof_ms + t.deadman_ms),
            ("import", t.import_ms),
            *_start(orders, shares=shares),
        ),
    )


def switchover_bound(orders: Orders, *, shares: bool = False) -> Bound:
    """From the operator's request until the other controller serves the clients."""
    t = orders.timers
    return Bound(
        "switchover",
        (
            *_stop(orders, shares=shares),
            ("release", t.release_ms),
            ("until the peer hears of it", t.beat_ms + t.pause_ms),
            ("claim", t.claim_ms),
            ("import", t.import_ms),
            *_start(orders, shares=shares),
        ),
    )


def start_bound(orders: Orders, *, shares: bool = False) -> Bound:
    """From the moment that one or both controllers are up until one serves the clients."""
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
            *_start(orders, shares=shares),
        ),
    )


def settled_bound(orders: Orders, *, shares: bool = False) -> Bound:
    """From the end of every fault until service, after any history: the longest way through the phases."""
    t = orders.timers
    return Bound(
        "after everything healed",
        (
            *_stop(orders, shares=shares),
            ("a release that hangs, or waits for the peer in vain", t.release_ms + t.handover_ms),
            ("a claim that fails, and its pause", t.claim_ms + t.retry_ms),
            ("an import that hangs", t.import_ms),
            ("deadman", t.proof_ms + t.deadman_ms),
            *start_bound(orders, shares=shares).parts,
        ),
    )
