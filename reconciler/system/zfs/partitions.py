"""What is on a disk where no ZFS label was found: a table of partitions that this kernel has not read yet, or nothing.

The controller that makes a pool tells its own kernel of the partitions; the other one has read the disk before and does
not know of them. Decides when a kernel is told to read again. Waits for the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import Final

#: linux/fs.h: read the table of partitions again. Refused (EBUSY) while one of them is in use, and that is well.
BLKRRPART: Final = 0x125F
#: The signature of a GUID partition table, at the second sector of either size (UEFI 2.10, 5.3.2).
SIGNATURE: Final = b"EFI PART"
SECTORS: Final = (512, 4096)
#: The signature of the older table, at the end of the first sector.
OLD_SIGNATURE, OLD_AT = b"\x55\xaa", 510
HEAD_BYTES: Final = 8192


def is_bare(head: bytes) -> bool:
    """Whether a disk that begins with these HEAD_BYTES has no table of partitions."""
    return len(head) == HEAD_BYTES and not (
        any(head.startswith(SIGNATURE, at) for at in SECTORS) or head.startswith(OLD_SIGNATURE, OLD_AT)
    )


def read_again(descriptor: int) -> None:
    """Have the kernel read the partitions of this disk; without a word where it will not."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, BLKRRPART)
