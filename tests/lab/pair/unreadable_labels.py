"""Disks with unreadable labels that answer everything else: the file behind a shared disk is damaged.

Makes no decisions; the adapter reads the first two labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: The first partition begins here, and with it two labels (module/zfs/vdev_label.c).
START: Final = 1 << 20
LABELS_BYTES: Final = 512 << 10


def damage(file: Path) -> bytes:
    """Overwrite the labels. Returns the old bytes."""
    with file.open("r+b") as disk:
        disk.seek(START)
        kept = disk.read(LABELS_BYTES)
        disk.seek(START)
        disk.write(b"\xa5" * LABELS_BYTES)
    return kept


def restore(file: Path, kept: bytes) -> None:
    """Write the old labels back."""
    with file.open("r+b") as disk:
        disk.seek(START)
        disk.write(kept)
