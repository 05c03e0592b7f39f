"""The clocks: monotonic seconds for every decision, wall-clock seconds for what people read.

Ages that outlive a boot need both; `core/failover/machine/elapsed_time` says how far the wall clock is trusted then.
"""

from __future__ import annotations

import time


def monotonic_s() -> float:
    """Seconds since an arbitrary point; never jumps (clock_gettime(2), CLOCK_MONOTONIC)."""
    return time.monotonic()


def uptime_s() -> float:
    """Seconds since this boot began, suspended time included (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_s() -> float:
    """Seconds since the epoch, as people and other machines count; may jump."""
    return time.time()
