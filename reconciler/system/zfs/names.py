"""Names of pools, datasets and properties: what may stand in a command. Pure.

The rules of module/zcommon/zfs_namecheck.c, and nothing that begins like an option.
"""

from __future__ import annotations

import re
from typing import Final

#: include/sys/fs/zfs.h, ZFS_MAX_DATASET_NAME_LEN, with the byte that ends it.
NAME_BYTES_MAX: Final = 255
_PART = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.: ]*")
_POOL = re.compile(r"[A-Za-z][-A-Za-z0-9_.: ]*")
_PROPERTY = re.compile(r"[a-z0-9@_][-a-z0-9@_.:]*", re.IGNORECASE)
#: zpoolconcepts(7): names of pools that would be words of a layout.
RESERVED: Final = ("mirror", "raidz", "draid", "spare", "log")


def fault_of_pool(name: str) -> str:
    """Why this is no name for a pool; "" when it is one."""
    if not _POOL.fullmatch(name) or len(name.encode()) > NAME_BYTES_MAX:
        return f"{name!r} is no name of a pool"
    if name.startswith(RESERVED):
        return f"{name!r} begins like a word of a layout"
    return ""


def fault_of_dataset(name: str) -> str:
    """Why this is no name for a filesystem or volume; "" when it is one."""
    pool, *rest = name.split("/")
    if fault_of_pool(pool) or not all(_PART.fullmatch(part) for part in rest) or len(name.encode()) > NAME_BYTES_MAX:
        return f"{name!r} is no name of a dataset"
    return ""


def fault_of_settings(settings: dict[str, str]) -> str:
    """Why these cannot be set; "" when they may be tried."""
    for name, value in settings.items():
        if not _PROPERTY.fullmatch(name):
            return f"{name!r} is no name of a property"
        if "\0" in value or len(value.encode()) > 8191:
            return f"the value of {name} is too long"
    return ""


def fault_of_disk(name: str) -> str:
    """Why this cannot be a disk's name in a directory; "" when it can."""
    return "" if name and "/" not in name and "\0" not in name and name not in (".", "..") else f"{name!r} is no disk"
