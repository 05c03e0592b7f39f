"""Exclusive opens of a disk: while we hold one, no other process of this machine writes to it or begins to.

An exclusive open (open(2), O_EXCL without O_CREAT) of a block device is refused while it or a partition of it is open
exclusively elsewhere (block/bdev.c, bd_may_claim): by an imported pool, a mount, a mapping. ZFS opens for itself alone
what belongs to a pool, so it cannot open what is kept. Decides what that means for a disk with several paths, whose
partitions are mappings of their own. Reads and writes nothing.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from reconciler.system.reservation.block_device import SYSFS

#: dm/uuid of a mapping that is a disk's multipath device, or a partition of one (kpartx(8)): nothing by itself.
TRANSPARENT: Final = ("mpath-", "part")


def open_exclusively(node: Path, sysfs: Path = SYSFS) -> tuple[int, ...] | None:
    """Descriptors that keep the disk and every part of it until they are closed.

    None where another process has a part of it open, or when that cannot be found out.
    """
    try:
        holders = os.listdir(sysfs / "class/block" / node.name / "holders")
    except FileNotFoundError:
        holders = []
    except OSError:
        return None
    if not holders:
        try:
            return (os.open(node, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC),)
        except OSError:
            return None
    found: list[int] = []
    for name in holders:
        part = open_exclusively(node.parent / name, sysfs) if _transparent(name, sysfs) else None
        if part is None:
            close(found)
            return None
        found += part
    return tuple(found)


def close(descriptors: tuple[int, ...] | list[int]) -> None:
    """Keep it no longer."""
    for descriptor in descriptors:
        os.close(descriptor)


class ExclusiveOpen:
    """What is kept of one disk, by the thread that asks it, for the one that says when that is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptors: tuple[int, ...] = ()
        self._over = False

    def take(self, descriptors: tuple[int, ...] | None) -> bool:
        """Keep these; False when there are none, or when no caller waits for them any more."""
        if descriptors is None:
            return False
        with self._lock:
            if not self._over:
                self._descriptors = descriptors
                return True
        close(descriptors)
        return False

    def release(self) -> None:
        """Keep nothing, now and later."""
        with self._lock:
            descriptors, self._descriptors, self._over = self._descriptors, (), True
        close(descriptors)


def _transparent(name: str, sysfs: Path) -> bool:
    try:
        return (sysfs / "class/block" / name / "dm/uuid").read_text().startswith(TRANSPARENT)
    except OSError:
        return False
