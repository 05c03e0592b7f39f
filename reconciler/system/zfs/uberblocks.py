"""The uberblocks of a label: which transaction group was committed to a device last. Pure: bytes in, a number out.

ZFS writes an uberblock to every device of a top-level vdev that takes writes, at the end of each commit, into the next
place of a ring (module/zfs/vdev_label.c). So its number says how far this device has come, where the list of a label
only says when the layout changed last. An uberblock counts only with its checksum: one that was being written when the
power failed does not, for ZFS does not take it either.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

#: Where the ring of each of the first two labels is on the device, and its length (include/sys/vdev_impl.h).
RING_OFFSETS: Final = (128 << 10, (256 + 128) << 10)
RING_BYTES: Final = 128 << 10
#: include/sys/uberblock_impl.h, and the magic of an embedded checksum (include/sys/zio_checksum.h, zio_eck_t).
MAGIC: Final = 0x00BAB10C
CHECK_MAGIC: Final = 0x0210DA7AB10C7A11
#: Magic, version, transaction group.
_HEAD: Final = 24
_CHECK: Final = 40
#: The sizes an uberblock may have: that of a block of the device, within these bounds.
SIZES: Final = (1 << 10, 2 << 10, 4 << 10, 8 << 10)
STEP: Final = SIZES[0]


def newest_txg(ring: bytes, offset: int) -> int:
    """The newest transaction group in a ring, read at `offset` of the device; 0: there is no whole uberblock."""
    found = sorted(_candidates(ring), reverse=True)
    return next((txg for txg, at, order in found if _is_whole(ring, at, offset, order)), 0)


def _candidates(ring: bytes) -> Iterator[tuple[int, int, str]]:
    """Transaction group, place and byte order of what looks like an uberblock."""
    for at in range(0, len(ring) - STEP + 1, STEP):
        for order in "<>":
            magic, _, txg = struct.unpack_from(f"{order}3Q", ring, at)
            if magic == MAGIC and txg:
                yield txg, at, order


def _is_whole(ring: bytes, at: int, offset: int, order: str) -> bool:
    """Whether the checksum fits, for any size that the place allows. The sum covers its own place as the offset."""
    for size in SIZES:
        block = ring[at : at + size]
        if at % size or len(block) < size:
            continue
        magic, *words = struct.unpack_from(f"{order}5Q", block, size - _CHECK)
        if magic == CHECK_MAGIC:
            summed = block[: size - _CHECK + 8] + struct.pack(f"{order}4Q", offset + at, 0, 0, 0)
            return list(struct.unpack(">4Q", sha256(summed).digest())) == words
    return False
