"""Whether an import or export goes on: what was done meanwhile, as a number that changes and in words.

Counts what is asked of /proc and /sys alone, which wait for nothing: pools that are here, filesystems that are mounted,
the requests that the pools' own devices have ended, and the processor time of the programs that move the pools. Devices
on which disk heartbeats lie, too, are left out: they end requests whatever the pools do.

Decides what counts. *An export that is refused does not go on*, whatever disks and programs do. *A program that
computes goes on*, but not for ever: one that has used `COMPUTING_MS_MAX` since anything else changed runs in a circle.
Smaller amounts than `STEP_MS` are those of a program that waits and wakes up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.system.zfs.devices import SYS_BLOCK, is_partition, kernel_name
from reconciler.system.zfs.kstat import KSTAT, pool_state
from reconciler.system.zfs.unmounts import MOUNTS, parse_mounts

#: Where in /sys/class/block/*/stat requests that have ended are counted: reads, writes, discards, flushes
#: (Documentation/block/stat.rst).
ENDED: Final = (0, 4, 11, 15)
#: Processor time counts in steps of this. Within the default limit of an export it is a fiftieth of one processor.
STEP_MS: Final = 100
#: Processor time counts up to this much after the last change of anything else.
COMPUTING_MS_MAX: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """What there is now. `requests`: of all devices together, since the machine started. `processor_ms`: see above."""

    pools: int
    mounts: int
    requests: int
    processor_ms: int = 0

    @property
    def number(self) -> int:
        """Changes when anything changes, and is never 0."""
        counted = (self.pools, self.mounts, self.requests, self.processor_ms // STEP_MS)
        return 1 + (hash(counted) & ((1 << 60) - 1))

    def __str__(self) -> str:
        return (
            f"pools here: {self.pools}, filesystems mounted: {self.mounts}, disk requests: {self.requests}, "
            f"processor time: {self.processor_ms / 1_000:.1f} s"
        )


class ProgressCounter:
    """What counts of a move, from one look to the next. Pure."""

    def __init__(self) -> None:
        self._counted = MoveProgress(0, 0, 0)
        #: The processor time when anything else changed last.
        self._since_ms = 0

    def look(self, found: MoveProgress, *, refused: bool) -> MoveProgress:
        """What counts of what there is. `refused`: an export that a process keeps from going on is tried again."""
        before = self._counted
        if refused:
            self._counted = replace(found, requests=before.requests, processor_ms=before.processor_ms)
            return self._counted
        if replace(found, processor_ms=before.processor_ms) != before:
            self._since_ms = found.processor_ms
        self._counted = replace(found, processor_ms=min(found.processor_ms, self._since_ms + COMPUTING_MS_MAX))
        return self._counted


def progress_of(
    pools: Sequence[str], devices: Iterable[Path], mounts: Path = MOUNTS, kstat: Path = KSTAT
) -> MoveProgress:
    """What there is of these pools and on these devices."""
    here = sum(pool_state(pool, kstat) is not None for pool in pools)
    mounted = 0
    with contextlib.suppress(OSError):
        mounted = len(parse_mounts(mounts.read_text(), pools))
    return MoveProgress(here, mounted, sum(requests(device) for device in devices))


def requests(device: Path, block: Path = SYS_BLOCK) -> int:
    """How many requests of a device have ended; 0 for one that the kernel does not know."""
    with contextlib.suppress(OSError):
        return parse_requests((block / kernel_name(device) / "stat").read_text())
    return 0


def parse_requests(text: str) -> int:
    """The same, from the text of the file. Pure."""
    words = text.split()
    return sum(int(words[at]) for at in ENDED if at < len(words) and words[at].isdecimal())


def telling(paths: Iterable[tuple[Path, bool]]) -> list[Path]:
    """The devices whose requests tell of the pools; with each path, whether disk heartbeats lie on that disk."""
    return [path for path, beats in paths if not beats or is_partition(path)]
