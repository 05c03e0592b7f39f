"""What the kernel says of a pool without being asked through a program: /proc/spl/kstat/zfs/POOL. Waits for nothing.

`state` is read without the locks that an import, an export or a hung pool hold (module/zfs/spa_stats.c). It is there as
long as the kernel knows the pool by its name, also while it is being imported or exported, and flaps between words for
some milliseconds now and then. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

KSTAT: Final = Path("/proc/spl/kstat/zfs")
#: Of a number of 64 bits.
TXG_DIGITS: Final = 20
#: Where a transaction group is that is closed and not on the disks yet: what began in it has not ended, it waits to be
#: written, it is being written (module/zfs/spa_stats.c).
PENDING: Final = ("Q", "W", "S")
#: Where one is that has ended. Its uberblock is on the disks only where it wrote anything (vdev_config_sync).
COMMITTED: Final = "C"
STATES: Final = ("B", "O", *PENDING, COMMITTED)


def loaded(kstat: Path = KSTAT) -> bool:
    """Whether this kernel has ZFS."""
    return kstat.is_dir()


def pool_state(pool: str, kstat: Path = KSTAT) -> str | None:
    """ONLINE, DEGRADED, SUSPENDED, UNAVAIL, TRANSITIONING…; None: the kernel knows no such pool."""
    try:
        return (kstat / pool / "state").read_text().strip()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Groups:
    """The last hundred transaction groups of a pool.

    `pending`: the oldest that is closed and not on the disks; None: there is none, or it is not told. A write of the
    intent log that does not end keeps its group from ending, and nothing of the group is written yet. `committed`: the
    newest that has ended, which need not have written anything; `newest`: the newest of all; 0: not told.
    """

    pending: int | None = None
    committed: int = 0
    newest: int = 0


def groups(pool: str, kstat: Path = KSTAT) -> Groups:
    """What the kernel tells of the transaction groups of a pool."""
    try:
        return parse_groups((kstat / pool / "txgs").read_text())
    except OSError:
        return Groups()


def parse_groups(text: str) -> Groups:
    """The same, from the text of the file: `txg birth state …` in lines. Pure."""
    rows = [(int(words[0]), words[2]) for line in text.splitlines() if _is_row(words := line.split())]
    return Groups(
        pending=next((txg for txg, state in rows if state in PENDING), None),
        committed=max((txg for txg, state in rows if state == COMMITTED), default=0),
        newest=max((txg for txg, _ in rows), default=0),
    )


def _is_row(words: list[str]) -> bool:
    txg = words[0] if len(words) > 3 and words[2] in STATES else ""
    return txg.isascii() and txg.isdecimal() and len(txg) <= TXG_DIGITS
