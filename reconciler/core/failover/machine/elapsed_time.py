"""Elapsed time: the time that has certainly passed, over restarts and reboots, even with a wrong wall clock.

A controller that counts its resets and moves of the last hour needs their ages. The wall clock alone cannot give them:
with a dead battery a machine boots in 1970, and a wrong setting puts it into 2099. So the ledger keeps a total that
only grows, and every entry keeps the total of its moment. The total grows by the kernel's clock of this boot
(CLOCK_BOOTTIME). Over a reboot it grows by the uptime of the new boot, or by the difference of the wall clock if that
clock is trusted. The invariant: *the total never grows by more than the time that has passed, as long as a wall clock
that was not set for an hour of running is right*. Reads no clock itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

#: 2026-01-01 and 2080-01-01, UTC: no machine runs this software outside of these years, so such a wall clock is wrong.
PLAUSIBLE_FROM_S: Final = 1_767_225_600
PLAUSIBLE_UNTIL_S: Final = 3_471_292_800
#: A wall clock that moved by more than this against the kernel's uptime was set: it was wrong before, or is now.
STEP_S: Final = 60
#: Trust a wall clock that was not set for this long, by the total.
STEADY_S: Final = 3_600
#: Seconds between two savings: a crash loses at most this much.
SAVE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Clocks:
    """One reading of the clocks: the boot's identifier, the seconds since it began, and the wall clock (Unix time)."""

    boot: str
    up_s: float
    wall_s: float

    @property
    def plausible(self) -> bool:
        """Whether the wall clock may be right."""
        return PLAUSIBLE_FROM_S <= self.wall_s < PLAUSIBLE_UNTIL_S

    @property
    def ahead_s(self) -> float:
        """The wall clock minus the uptime. It is constant unless a process sets the wall clock."""
        return self.wall_s - self.up_s


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The total, the clocks at its last update, and the total when the wall clock was last found to have been set."""

    total_s: float
    seen: Clocks
    set_s: float

    @property
    def steady(self) -> bool:
        """Whether the wall clock was not set for long enough to trust it."""
        return self.total_s - self.set_s >= STEADY_S


def advanced(known: Elapsed | None, now: Clocks, least_s: float = 0.0) -> Elapsed:
    """Return the updated total. `known`: the saved total, if any. `least_s`: the total that the entries prove.

    An entry younger than the saved total proves only the total at its moment, so its time counts once.
    """
    if known is None:
        return Elapsed(least_s, now, least_s)
    total_s = known.total_s
    if known.seen.boot == now.boot:
        stepped = abs(now.ahead_s - known.seen.ahead_s) >= STEP_S
        known = replace(known, total_s=total_s + max(0.0, now.up_s - known.seen.up_s), seen=now)
    else:
        # Over a reboot only a wall clock that went back shows that it was set.
        stepped = not now.plausible or now.wall_s < known.seen.wall_s - STEP_S
        known = replace(known, total_s=total_s + max(0.0, now.up_s, _by_wall_s(known, now)), seen=now)
    known = replace(known, total_s=max(known.total_s, least_s))
    return replace(known, set_s=known.total_s) if stepped else known


def to_be_saved(saved: Elapsed, now: Clocks) -> bool:
    """Whether the saved total is too old, or was saved before the wall clock was set."""
    return now.up_s - saved.seen.up_s >= SAVE_S or abs(now.ahead_s - saved.seen.ahead_s) >= STEP_S


def wall_age_s(at_s: float, now: Clocks) -> float:
    """Return the age of a moment by the wall clock alone; 0 if that clock cannot be trusted."""
    known = PLAUSIBLE_FROM_S <= at_s < PLAUSIBLE_UNTIL_S and now.plausible
    return max(0.0, now.wall_s - at_s) if known else 0.0


def recent_count(moments_s: tuple[float, ...], total_s: float, window_ms: int) -> int:
    """Return how many entries, each with the total of its moment, are younger than the window."""
    return sum(total_s - moment_s < window_ms / 1_000 for moment_s in moments_s)


def _by_wall_s(known: Elapsed, now: Clocks) -> float:
    """Return how long the machine was off and booting, by the wall clock; 0 if that clock cannot be trusted."""
    return wall_age_s(known.seen.wall_s, now) if known.steady else 0.0
