"""Reading and writing a disk past every cache of this machine, in whole blocks (open(2), O_DIRECT).

What is read came from the disk, and what is written has been taken by it when the call returns, into its own cache
perhaps, which is the same for both controllers. Decides nothing. Raises OSError as the
kernel says it: EBADE is a reservation conflict (block/blk-core.c, BLK_STS_RESV_CONFLICT, in older kernels
BLK_STS_NEXUS), whether the disk is SCSI, NVMe or behind multipath.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from pathlib import Path
from typing import Final, Protocol

#: No disk has larger sectors.
BLOCK_BYTES: Final = 4096
CONFLICT: Final = errno.EBADE


class RawDisk(Protocol):
    """A disk as blocks. Offsets and lengths are multiples of `BLOCK_BYTES`."""

    def read(self, offset: int, length: int) -> bytes:
        """That many bytes; fewer at the end of the disk."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """All of them."""
        ...

    def size(self) -> int:
        """Bytes of the disk."""
        ...

    def sector(self) -> int:
        """Bytes of a logical sector."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


#: linux/fs.h.
BLKSSZGET: Final = 0x1268


class DirectDisk:
    """A block device, or a regular file that stands for a disk with sectors of 512 bytes."""

    def __init__(self, path: Path, *, write: bool) -> None:
        """Opens it. Raises OSError."""
        mode = os.O_RDWR if write else os.O_RDONLY
        self._descriptor = os.open(path, mode | os.O_DIRECT | os.O_CLOEXEC | os.O_NONBLOCK)
        #: Memory for one block stays: O_DIRECT wants it aligned, and a mapping is.
        self._block = mmap.mmap(-1, BLOCK_BYTES)

    def read(self, offset: int, length: int) -> bytes:
        """See `RawDisk.read`."""
        if length == BLOCK_BYTES:
            return self._block[: os.preadv(self._descriptor, [self._block], offset)]
        with mmap.mmap(-1, length) as memory:
            return memory[: os.preadv(self._descriptor, [memory], offset)]

    def write(self, offset: int, data: bytes) -> None:
        """See `RawDisk.write`."""
        assert len(data) == BLOCK_BYTES
        self._block[:] = data
        if os.pwritev(self._descriptor, [self._block], offset) != len(data):
            raise OSError(errno.EIO, "a block was written in part")

    def size(self) -> int:
        """See `RawDisk.size`."""
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def sector(self) -> int:
        """See `RawDisk.sector`."""
        if not stat.S_ISBLK(os.fstat(self._descriptor).st_mode):
            return 512
        answer = bytearray(4)
        fcntl.ioctl(self._descriptor, BLKSSZGET, answer, True)
        return int.from_bytes(answer, "little")

    def close(self) -> None:
        """See `RawDisk.close`."""
        os.close(self._descriptor)
        self._block.close()
