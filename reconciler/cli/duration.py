"""Durations as people write them: `90s`, `30m`, `2h`."""

from __future__ import annotations

import re
from typing import Final

from reconciler.core.facts.duration import duration_text
from reconciler.errors import UsageError

__all__ = ["duration_text", "parsed_ms"]

_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_MOST_MS: Final = 7 * 24 * 3_600_000


def parsed_ms(text: str, option: str) -> int:
    """The milliseconds in `90s`, `30m` or `2h`, at most 168 hours. Raises UsageError, which names the option."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)", text)
    value = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not 0 < value <= _MOST_MS:
        raise UsageError(f"{option} {text}: not a time from 1ms to 168h", remedy="write 90s, 30m or 2h")
    return value
