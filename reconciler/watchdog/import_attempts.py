"""The import attempts of this controller: whether the last one failed, when to try again, which one is a repetition.

An import that fails again and again would seem to make progress for ever. So an attempt that has not run longer than an
earlier one that failed counts as no progress. Decides nothing about pools.
"""

from __future__ import annotations

from typing import Final

#: Delay between a failed import and the next attempt.
RETRY_MS: Final = 500


class ImportAttempts:
    """Moments are milliseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._started_ms = self._longest_failed_ms = 0
        self._failed_at_ms: int | None = None

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed, and neither another one has started nor the pools are unwanted."""
        return self._failed_at_ms is not None

    def may_start(self, now_ms: int) -> bool:
        """Whether the delay after a failed attempt is over."""
        return self._failed_at_ms is None or now_ms - self._failed_at_ms >= RETRY_MS

    def start(self, now_ms: int) -> None:
        """An attempt starts."""
        self._started_ms, self._failed_at_ms = now_ms, None

    def finish(self, now_ms: int, *, good: bool) -> None:
        """The attempt has ended."""
        self._failed_at_ms = None if good else now_ms
        self._longest_failed_ms = 0 if good else max(self._longest_failed_ms, now_ms - self._started_ms)

    def forget_failure(self) -> None:
        """The core does not want the pools here: a failed attempt means nothing any more."""
        self._failed_at_ms = None

    def forget_durations(self) -> None:
        """The phase is not IMPORTING: the durations of its attempts mean nothing any more."""
        self._longest_failed_ms = 0

    def is_repetition(self, now_ms: int, *, running: bool) -> bool:
        """Whether nothing has gone beyond an attempt that failed. `running`: an import is in progress."""
        return bool(self._longest_failed_ms) and (not running or now_ms - self._started_ms <= self._longest_failed_ms)
