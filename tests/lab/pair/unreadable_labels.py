"""Disks whose labels cannot be read, though they answer everything else: what a file of a shared disk has is damaged.

Decides nothing; the first two labels are those that the adapter reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: The first partition begins here, and with it two labels (module/zfs/vdev_label.c).
START: Final = 1 << 20
LABELS_BYTES: Final = 512 << 10


def damage(file: Path) -> bytes:
    """Writes something else in the place of the labels; what was there."""
    with file.open("r+b") as disk:
        disk.seek(START)
        kept = disk.read(LABELS_BYTES)
        disk.seek(START)
        disk.write(b"\xa5" * LABELS_BYTES)
    return kept


def restore(file: Path, kept: bytes) -> None:
    """Makes them readable again."""
    with file.open("r+b") as disk:
        disk.seek(START)
        disk.write(kept)
