"""Durations as people write and read them."""

from __future__ import annotations

import pytest

from reconciler.cli.duration import duration_text, parsed_ms
from reconciler.errors import UsageError


def test_durations_for_people() -> None:
    times_ms = (0, 999, 1_000, 1_250, 59_900, 60_000, 65_000, 3_600_000, 7_500_000, 200_000_000)
    assert [duration_text(ms) for ms in times_ms] == [
        "0 ms", "999 ms", "1 s", "1.2 s", "59.9 s", "1 min", "1 min 5 s", "1 h", "2 h 5 min", "2 days",
    ]  # fmt: skip
    assert [parsed_ms(text, "--for") for text in ("250ms", "1.5s", "30m", "2h")] == [250, 1_500, 1_800_000, 7_200_000]
    with pytest.raises(UsageError):
        parsed_ms("1h30m", "--for")
