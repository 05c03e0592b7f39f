"""The invariants of `simulation/timed/invariants` that a shelf cannot see, from what a client and the daemons say of a
pair.

Each check takes plain facts and returns what is wrong, in words; nothing when all is well. One machine plays everybody,
so all times are of one monotonic clock. Does not know how the facts were gathered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from reconciler.core.failover.orders.orders import Orders
from reconciler.simulation.timed.invariants import INVARIANTS, overlap_bound_ms

#: Whoever answers again within this time has answered all the while; several questions were asked in between.
ANSWERING_MS = 250
#: A loaded machine ends a controller that was reset so much later: its carrier goes when ip(8) has run.
RESET_MS = 2_000
#: Moves that are nobody's wish.
AUTOMATIC = frozenset(
    {"PEER_DEAD", "PEER_SILENT", "NO_OWNER", "PEER_ABSENT", "PEER_UNABLE", "DISKS_LOST", "POOLS_HUNG", "GROUPS_DOWN",
     "ISOLATED"}
)  # fmt: skip
#: What may happen while failover is disabled: what a person asked for, and giving up what cannot be had.
ALLOWED = frozenset({"FORCED", "ASKED", "IMPORT_REFUSED"})


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of phase: when, on which side, from where, to where, and the name of its code."""

    at_ms: float
    side: str
    old: str
    new: str
    code: str

    @property
    def begins(self) -> bool:
        """Whether a move of the pools begins with it."""
        return self.new in ("claiming", "releasing") and self.old != "booting"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim at the disks; `age_ms` and `kept_ms` as in `demo/shelf_model`."""

    at_ms: float
    side: str
    age_ms: int | None
    kept_ms: int | None


def two_answers(answers: Iterable[tuple[float, str]], orders: Orders) -> Iterator[str]:
    """Two MAC addresses answered for a virtual address at once, for longer than the bound."""
    spans: dict[str, list[list[float]]] = {}
    for at_ms, mac in answers:
        found = spans.setdefault(mac, [])
        if found and at_ms - found[-1][1] <= ANSWERING_MS:
            found[-1][1] = at_ms
        else:
            found.append([at_ms, at_ms])
    bound_ms = overlap_bound_ms(orders) + RESET_MS
    ways = sorted(spans)
    for one, other in ((one, other) for one in ways for other in ways if one < other):
        for begun, ended in spans[one]:
            for begun_too, ended_too in spans[other]:
                both_ms = min(ended, ended_too) - max(begun, begun_too)
                if both_ms > bound_ms:
                    yield f"{INVARIANTS['two-answers']}: {one} and {other} for {both_ms:.0f} ms, at most {bound_ms} ms"


def needless(claims: Iterable[Claimed], moves: Iterable[Moved], orders: Orders) -> Iterator[str]:
    """A controller took over for silence from a peer whose record moved and could be read."""
    timers = orders.timers
    margin_ms = 2 * timers.look_ms + timers.record_ms + timers.pause_ms
    begun = [move for move in moves if move.new == "claiming"]
    for claim in claims:
        before = [move for move in begun if move.side == claim.side and move.at_ms <= claim.at_ms + 5]
        if not before or max(before, key=lambda move: move.at_ms).code not in ("PEER_SILENT", "PEER_ABSENT"):
            continue
        if claim.age_ms is None or claim.kept_ms is None:
            continue
        if claim.age_ms < timers.stale_ms - margin_ms and claim.kept_ms > margin_ms:
            yield (
                f"{INVARIANTS['needless']}: {claim.side} claims while its peer's record is {claim.age_ms} ms old and "
                f"was kept up for {claim.kept_ms} ms"
            )


def disabled(moves: Iterable[Moved], spans: Iterable[tuple[float, float]]) -> Iterator[str]:
    """A controller moved by itself while both knew that failover is disabled."""
    spans = tuple(spans)
    for move in moves:
        if move.begins and move.code not in ALLOWED and any(begun < move.at_ms < ended for begun, ended in spans):
            yield f"{INVARIANTS['disabled']}: {move.side} {move.old} -> {move.new}: {move.code}"


def budget(moves: Iterable[Moved], orders: Orders) -> Iterator[str]:
    """More automatic moves within the window than the orders allow."""
    limits = orders.limits
    for side in "ab":
        begun = [move for move in moves if move.side == side and move.begins and move.code in AUTOMATIC]
        for at, first in enumerate(begun):
            within = [move for move in begun[at:] if move.at_ms - first.at_ms < limits.moves_window_ms]
            if len(within) > limits.moves:
                codes = ", ".join(move.code for move in within)
                yield f"{INVARIANTS['budget']}: {side} began {len(within)} in {limits.moves_window_ms} ms: {codes}"
                break


def legal(moves: Iterable[Moved]) -> Iterator[str]:
    """Each side's accounts fit together: a change of phase begins where the one before ended, or at a start."""
    for side in "ab":
        mine = [move for move in moves if move.side == side]
        for one, other in pairwise(mine):
            if other.old not in (one.new, "booting"):
                yield f"{side} went {one.old} -> {one.new} and then {other.old} -> {other.new}"
