"""The time that has certainly passed, kept in a file over restarts and reboots (`core/failover/machine/elapsed_time`).

If the file is damaged or lost, the total starts at the newest entry of `durable_state`. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.machine.elapsed_time import Clocks, Elapsed, advanced, to_be_saved
from reconciler.system.clock import uptime_s, wall_s
from reconciler.system.file_thread import FileThread
from reconciler.system.files import json_line

NAME: Final = "elapsed.json"
#: Larger numbers, in seconds, are damage: thirty thousand years.
SECONDS_MAX: Final = 1e12
#: A boot id is a UUID.
BOOT_CHARACTERS_MAX: Final = 64


def machine_clocks(boot: str) -> Clocks:
    """The clocks of this machine now."""
    return Clocks(boot, uptime_s(), wall_s())


class ElapsedTime:
    """The total of one controller. `read` starts it. Only `save` and `save_if_due` write."""

    def __init__(self, directory: Path, boot: str, file_thread: FileThread, clocks: Callable[[str], Clocks]) -> None:
        self._path, self._boot, self._file_thread, self._clocks = directory / NAME, boot, file_thread, clocks
        self._saved: Elapsed | None = None

    def read(self, document: Any, least_s: float) -> None:
        """Start from the content of the file. `least_s`: lower bound of the total, if the file was lost."""
        self._saved = advanced(_elapsed(document), self.clocks, least_s)

    @property
    def clocks(self) -> Clocks:
        """The clocks now."""
        return self._clocks(self._boot)

    @property
    def total_s(self) -> float:
        """The total now."""
        return advanced(self._saved, self.clocks).total_s

    def save(self) -> None:
        """Let the file thread write the total."""
        self._saved = advanced(self._saved, self.clocks)
        seen = self._saved.seen
        document = {
            "total": self._saved.total_s,
            "boot": seen.boot,
            "up": seen.up_s,
            "wall": seen.wall_s,
            "set": self._saved.set_s,
        }
        self._file_thread.write(self._path, json_line(document))

    def save_if_due(self) -> None:
        """Save at intervals, and after the wall clock was set."""
        if self._saved is not None and to_be_saved(self._saved, self.clocks):
            self.save()


def seconds(value: Any) -> float | None:
    """A plausible number of seconds from a document, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or abs(value) > SECONDS_MAX:
        return None
    return float(value)


def _elapsed(document: Any) -> Elapsed | None:
    if not isinstance(document, dict):
        return None
    boot = document.get("boot")
    total_s, up_s, wall, set_s = (seconds(document.get(name)) for name in ("total", "up", "wall", "set"))
    if total_s is None or up_s is None or wall is None or set_s is None or min(total_s, up_s) < 0:
        return None
    if not isinstance(boot, str) or len(boot) > BOOT_CHARACTERS_MAX:
        return None
    return Elapsed(total_s, Clocks(boot, up_s, wall), set_s)
