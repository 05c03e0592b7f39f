"""What the kernel says of a pool without being asked through a program: /proc/spl/kstat/zfs/POOL. Waits for nothing.

`state` is read without the locks that an import, an export or a hung pool hold (module/zfs/spa_stats.c). It is there as
long as the kernel knows the pool by its name, also while it is being imported or exported, and flaps between words for
some milliseconds now and then. Decides nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

KSTAT: Final = Path("/proc/spl/kstat/zfs")
#: Where a transaction group is that is closed and not on the disks yet: what began in it has not ended, it waits to be
#: written, it is being written (module/zfs/spa_stats.c).
PENDING: Final = ("Q", "W", "S")


def loaded(kstat: Path = KSTAT) -> bool:
    """Whether this kernel has ZFS."""
    return kstat.is_dir()


def pool_state(pool: str, kstat: Path = KSTAT) -> str | None:
    """ONLINE, DEGRADED, SUSPENDED, UNAVAIL, TRANSITIONING…; None: the kernel knows no such pool."""
    try:
        return (kstat / pool / "state").read_text().strip()
    except OSError:
        return None


def pending(pool: str, kstat: Path = KSTAT) -> int | None:
    """The oldest transaction group, of the last hundred, that is closed and not on the disks; None: none, or not told.

    A write of the intent log that does not end keeps its group from ending, and nothing of the group is written yet.
    """
    try:
        return pending_txg((kstat / pool / "txgs").read_text())
    except OSError:
        return None


def pending_txg(text: str) -> int | None:
    """The same, from the text of the file: `txg birth state …` in lines. Pure."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[0].isdecimal() and words[2] in PENDING:
            return int(words[0])
    return None
