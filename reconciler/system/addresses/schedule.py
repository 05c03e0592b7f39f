"""When an address is announced: a burst after it was placed, because frames get lost while switches learn, and then
regularly for neighbours that slept. Pure; does not know what is sent.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

BURST_MS: Final = (0, 50, 200, 500, 1_000, 2_000, 5_000)
EVERY_MS: Final = 60_000


def due(since_ms: int, now_ms: int) -> int:
    """How many announcements should have been sent by `now_ms` of an address that was placed at `since_ms`."""
    age_ms = now_ms - since_ms
    if age_ms < 0:
        return 0
    return bisect_right(BURST_MS, age_ms) + max(0, age_ms - BURST_MS[-1]) // EVERY_MS


def at(since_ms: int, number: int) -> int:
    """The moment of announcement `number`, counted from 0."""
    if number < len(BURST_MS):
        return since_ms + BURST_MS[number]
    return since_ms + BURST_MS[-1] + (number - len(BURST_MS) + 1) * EVERY_MS
