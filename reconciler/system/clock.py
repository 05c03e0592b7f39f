"""The two clocks: monotonic seconds for every decision, wall-clock seconds only for what people read."""

from __future__ import annotations

import time


def monotonic_s() -> float:
    """Seconds since an arbitrary point; never jumps (clock_gettime(2), CLOCK_MONOTONIC)."""
    return time.monotonic()


def wall_s() -> float:
    """Seconds since the epoch, as people and other machines count; may jump."""
    return time.time()
