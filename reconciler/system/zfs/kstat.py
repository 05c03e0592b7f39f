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
DIGITS_MAX: Final = 20
LINE_CHARS_MAX: Final = 200
#: Where a transaction group is that is closed and not on the disks yet: what began in it has not ended, it waits to be
#: written, it is being written (module/zfs/spa_stats.c).
PENDING: Final = ("Q", "W", "S")
#: Where one is that has ended.
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


def pool_instance(pool: str, kstat: Path = KSTAT) -> str:
    """Which pool has this name now: another word after each import and each creation; "": none, or it is not told."""
    try:
        with (kstat / pool / "iostats").open() as file:
            return parse_instance(file.readline(LINE_CHARS_MAX))
    except OSError:
        return ""


def parse_instance(line: str) -> str:
    """The same, from the first line of the file: `kid type flags ndata size crtime snaptime`. Pure."""
    words = line.split()
    return f"{words[0]}@{words[5]}" if len(words) == 7 and number(words[0]) and number(words[5]) else ""


@dataclass(frozen=True, slots=True)
class Groups:
    """The last hundred transaction groups of a pool.

    `pending`: the oldest that is closed and not on the disks; None: there is none, or it is not told. A write of the
    intent log that does not end keeps its group from ending, and nothing of the group is written yet. `oldest`: the
    oldest of all. `durable`: the newest that is on the disks for certain. 0: not told.

    The kernel counts on while a pool is idle, and writes no uberblock for a group in which nothing changed: such a
    number is on no disk. A group with dirty data always changes the root of the pool, and ends (C) only when its
    uberblock is written and flushed (spa_sync_iterate_to_convergence, vdev_config_sync). So `durable` looks at `ndirty`
    and leaves out groups that changed metadata alone: it may be too low by those, and never too high.
    """

    pending: int | None = None
    durable: int = 0
    oldest: int = 0


def groups(pool: str, kstat: Path = KSTAT) -> Groups:
    """What the kernel tells of the transaction groups of a pool."""
    try:
        return parse_groups((kstat / pool / "txgs").read_text())
    except OSError:
        return Groups()


def parse_groups(text: str) -> Groups:
    """The same, from the text of the file: `txg birth state ndirty …` in lines. Pure."""
    rows = [
        (number(words[0]), words[2], number(words[3])) for line in text.splitlines() if _is_row(words := line.split())
    ]
    return Groups(
        pending=next((txg for txg, state, _ in rows if state in PENDING), None),
        durable=max((txg for txg, state, dirty in rows if state == COMMITTED and dirty), default=0),
        oldest=min((txg for txg, _, _ in rows), default=0),
    )


def _is_row(words: list[str]) -> bool:
    return len(words) > 3 and words[2] in STATES and bool(number(words[0]))


def number(word: str) -> int:
    """What a decimal number of at most 64 bits says; 0 for anything else."""
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= DIGITS_MAX else 0
