"""Whether an import or export goes on: what the kernel did meanwhile, as a number that changes and in words.

Counts what is asked of /proc and /sys alone, which wait for nothing: pools that are here, filesystems that are mounted,
and the requests that the pools' own devices have ended. Devices on which disk heartbeats lie, too, are left out: they
end requests whatever the pools do. Decides nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.system.zfs.devices import SYS_BLOCK, is_partition, kernel_name
from reconciler.system.zfs.kstat import KSTAT, pool_state
from reconciler.system.zfs.unmounts import MOUNTS, parse_mounts

#: Where in /sys/class/block/*/stat requests that have ended are counted: reads, writes, discards, flushes
#: (Documentation/block/stat.rst).
ENDED: Final = (0, 4, 11, 15)


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """What there is now. `requests`: of all devices together, since the machine started."""

    pools: int
    mounts: int
    requests: int

    @property
    def number(self) -> int:
        """Changes when anything changes, and is never 0."""
        return 1 + (hash((self.pools, self.mounts, self.requests)) & ((1 << 60) - 1))

    def __str__(self) -> str:
        return f"pools here: {self.pools}, filesystems mounted: {self.mounts}, disk requests: {self.requests}"


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
