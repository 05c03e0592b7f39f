"""Whether a directory lies in a dataset: opened beneath its mount point, without symbolic links or other file systems.

The kernel checks it in one call (openat2(2)), so nothing can change between two parts of the check. The NFS server
resolves the path again later, by its name. A client with the right to rename directories above an export could then
lead it elsewhere, so a look repeats the check.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

from reconciler.system.shares.nfs.mounted_datasets import MountedDataset

#: openat2(2) has one number on all architectures (asm-generic/unistd.h). linux/openat2.h has the flags.
_OPENAT2: Final = 437
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_RESOLVE: Final = 0x01 | 0x02 | 0x04 | 0x08  # NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH
_FAULTS: Final = {
    errno.ELOOP: "it leads over a symbolic link",
    errno.EXDEV: "it leads out of its dataset",
    errno.ENOENT: "it does not exist",
    errno.ENOTDIR: "it is no directory",
}


class _How(ctypes.Structure):
    """struct open_how."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def directory_fault(mounted: MountedDataset, path: str | None) -> str:
    """Return why `path`, relative to the mount point, is no directory of the mounted dataset; "" if it is one."""
    try:
        top = os.open(mounted.place, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return _FAULTS.get(error.errno or 0, error.strerror or str(error))
    try:
        if os.fstat(top).st_dev != mounted.device:
            return "another file system is mounted over its dataset"
        if path is None:
            return ""
        if not path or "\0" in path:
            return "its path is empty or has a zero byte"
        how = _How(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _RESOLVE)
        found = _LIBC.syscall(ctypes.c_long(_OPENAT2), top, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if found < 0:
            number = ctypes.get_errno()
            return _FAULTS.get(number, os.strerror(number))
        os.close(found)
        return ""
    finally:
        os.close(top)
