"""Which disk a path of ZFS means: names in /dev/disk/by-id, partitions and kernel names of one disk are one disk.

Decides nothing about pools. Reads symbolic links and /sys only, which wait for no disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

BY_ID: Final = Path("/dev/disk/by-id")
SYS_BLOCK: Final = Path("/sys/class/block")
_PART: Final = re.compile(r"-part\d+$")
#: Of several names of one disk, those that say most about which one it is.
PREFERRED: Final = ("wwn-", "nvme-eui.", "nvme-", "scsi-", "ata-", "")


def without_part(name: str) -> str:
    """udev's name of the whole disk: `wwn-0x5-part1` is a partition of `wwn-0x5`."""
    return _PART.sub("", name)


def kernel_name(path: Path | str) -> str:
    """What a path leads to, by the kernel's name: sda1; "" when it leads nowhere."""
    real = Path(path).resolve()
    return real.name if real.exists() else ""


def whole_disk(kernel: str) -> str:
    """The disk that a partition is on; what is no partition is its own."""
    place = SYS_BLOCK / kernel
    if not kernel or not (place / "partition").exists():
        return kernel
    return place.resolve().parent.name


def is_partition(path: Path) -> bool:
    """Whether a path leads to a partition of a disk."""
    kernel = kernel_name(path)
    return bool(kernel) and (SYS_BLOCK / kernel / "partition").exists()


def data_path(directory: Path, name: str) -> Path:
    """Where the ZFS label of a disk is: its first partition if it has one, else itself.

    A whole disk that ZFS was given has its data in partition 1 (zpoolconcepts(7)).
    """
    part = directory / f"{name}-part1"
    if part.exists():
        return part
    whole = directory / name
    return first_partition(whole) or whole


def first_partition(whole: Path) -> Path | None:
    """Partition 1 of a disk, by the kernel's name; None while the kernel knows of none."""
    kernel = kernel_name(whole)
    for candidate in (f"{kernel}1", f"{kernel}p1"):
        if kernel and (SYS_BLOCK / candidate / "partition").exists() and whole_disk(candidate) == kernel:
            return Path("/dev") / candidate
    return None


class Names:
    """The disks with these names in a directory, as they are to be found now."""

    def __init__(self, directory: Path, names: Iterable[str], guids: Mapping[int, str] | None = None) -> None:
        self._directory = directory
        self._guids = dict(guids or {})
        self._names = set(names)
        self._of_kernel: dict[str, str] = {}
        for name in self._names:
            kernel = kernel_name(directory / name)
            if kernel:
                self._of_kernel.setdefault(kernel, name)
        self._linked: dict[str, str] | None = None

    def disk(self, path: str, guid: int | None = None) -> str:
        """The name of the disk that ZFS knows by this path or GUID; the path itself when it has none.

        With a GUID the path is where the device was: what it leads to now may be another disk.
        """
        if guid is not None and guid in self._guids:
            return self._guids[guid]
        base = Path(path).name
        kernel = kernel_name(path)
        for known in (kernel, whole_disk(kernel)) if guid is None else ():
            if known in self._of_kernel:
                return self._of_kernel[known]
        for name in (base, without_part(base)):
            if name in self._names:
                return name
        if path.startswith(f"{self._directory}/"):
            return without_part(base)
        return (self._linked_name(whole_disk(kernel)) if guid is None else "") or path

    def _linked_name(self, kernel: str) -> str:
        """The best of the names that the directory has for a disk."""
        if self._linked is None:
            self._linked = _links(self._directory)
        return self._linked.get(kernel, "")


def _links(directory: Path) -> dict[str, str]:
    try:
        names = sorted(name for name in os.listdir(directory) if not _PART.search(name))
    except OSError:
        return {}
    found: dict[str, str] = {}
    for prefix in PREFERRED:
        for name in names:
            if name.startswith(prefix) and (kernel := kernel_name(directory / name)):
                found.setdefault(kernel, name)
    return found
