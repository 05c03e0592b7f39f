"""Which imports repeat what was refused before. A try that has not lasted longer than a refused one is no progress.

Without this an import that is refused again and again would seem to go on for ever. Decides nothing about pools.
"""

from __future__ import annotations


class ImportRetries:
    """The tries of one phase. Moments are milliseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._begun_ms = self._refused_after_ms = 0

    def start(self, now_ms: int) -> None:
        """An import begins."""
        self._begun_ms = now_ms

    def finish(self, now_ms: int, *, good: bool) -> None:
        """It came to its end."""
        self._refused_after_ms = 0 if good else max(self._refused_after_ms, now_ms - self._begun_ms)

    def reset(self) -> None:
        """Another phase begins."""
        self._refused_after_ms = 0

    def is_repeat(self, now_ms: int, *, runs: bool) -> bool:
        """Whether a try has done no more yet than one that was refused. `runs`: an import is running."""
        return bool(self._refused_after_ms) and (not runs or now_ms - self._begun_ms <= self._refused_after_ms)
