"""Run in a guest: make many filesystems at once. zfs(8) would take minutes for them.

    python -m tests.lab.pair.filesystem_maker PARENT COUNT

Makes PARENT/0000 and so on, until there are COUNT of them, by lzc_create (include/libzfs_core.h) in threads: all
threads that wait for the same transaction group wait together.
"""

from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor

#: include/libzfs_core.h, enum lzc_dataset_type.
FILESYSTEM = 2
#: errno(3): the filesystem exists already.
EEXIST = 17
WIDTH = 64


def main() -> None:
    """Make the filesystems."""
    parent, count = sys.argv[1], int(sys.argv[2])
    core, pairs = ctypes.CDLL("libzfs_core.so.3"), ctypes.CDLL("libnvpair.so.3")
    assert core.libzfs_core_init() == 0
    properties = ctypes.c_void_p()
    assert pairs.nvlist_alloc(ctypes.byref(properties), 1, 0) == 0

    def make(number: int) -> int:
        name = f"{parent}/{number:04}".encode()
        error: int = core.lzc_create(name, FILESYSTEM, properties, None, 0)
        return error

    with ThreadPoolExecutor(WIDTH) as pool:
        errors = set(pool.map(make, range(count))) - {0, EEXIST}
    assert not errors, errors


if __name__ == "__main__":
    main()
