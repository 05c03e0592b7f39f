"""Durations as people write them (`90s`, `30m`, `2h`) and read them (`1.2 s`, `5 min`, `2 h 10 min`)."""

from __future__ import annotations

import re
from typing import Final

from reconciler.errors import UsageError

_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_MOST_MS: Final = 7 * 24 * 3_600_000


def parsed_ms(text: str, option: str) -> int:
    """The milliseconds in `90s`, `30m` or `2h`, at most 168 hours. Raises UsageError, which names the option."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)", text)
    value = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not 0 < value <= _MOST_MS:
        raise UsageError(f"{option} {text}: not a time from 1ms to 168h", remedy="write 90s, 30m or 2h")
    return value


def duration_text(ms: int) -> str:
    """A duration for people, rounded to the two units that matter."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1_000:.1f} s".replace(".0 s", " s")
    minutes, seconds = divmod(round(ms / 1_000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days"
