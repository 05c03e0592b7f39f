"""Whether this controller writes to a disk, or may at any moment: ZFS opens for itself alone what belongs to a pool.

An exclusive open (open(2), O_EXCL without O_CREAT) of a block device is refused while it or a partition of it is open
for somebody alone (block/bdev.c, bd_may_claim): an imported pool, a mount, a mapping. Decides what that means for a
disk with several paths, whose partitions are mappings of their own. Reads and writes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from reconciler.system.reservation.blockdevice import SYSFS

#: dm/uuid of a mapping that is a disk's multipath device, or a partition of one (kpartx(8)): nothing by itself.
TRANSPARENT: Final = ("mpath-", "part")


def idle(node: Path, sysfs: Path = SYSFS) -> bool:
    """Whether nobody here has the disk or a part of it for himself. False when that cannot be found out."""
    try:
        holders = os.listdir(sysfs / "class/block" / node.name / "holders")
    except FileNotFoundError:
        holders = []
    except OSError:
        return False
    if holders:
        return all(_transparent(name, sysfs) and idle(node.parent / name, sysfs) for name in holders)
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _transparent(name: str, sysfs: Path) -> bool:
    try:
        return (sysfs / "class/block" / name / "dm/uuid").read_text().startswith(TRANSPARENT)
    except OSError:
        return False
