"""Which block device a name in a directory means, and by which paths the kernel reaches that disk (sysfs).

Decides the kind of disk and its paths: all SCSI disks with the same world-wide name are one disk, and so are the paths
of a multipath device. Opens no device, so nothing here waits for one. Does not know reservations.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

SYSFS: Final = Path("/sys")
DEV: Final = Path("/dev")
#: World-wide names that say which disk it is; others are made of a model's name, and many disks may share one.
UNIQUE: Final = ("naa.", "eui.", "uuid.")
#: Of a SCSI disk, of an NVMe disk, and of one that has no state.
RUNNING: Final = ("running", "live", "")


class Kind(Enum):
    """How a disk is spoken to."""

    SCSI = "SCSI"
    NVME = "NVMe"


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One disk. `node`: what reads and writes go through; `paths`: the nodes that are registered."""

    kind: Kind
    node: Path
    paths: tuple[Path, ...]
    wwid: str = ""


class Unusable(Exception):
    """A name that leads to no disk that could be reserved; the message says what is there, and what to do."""


class Paths:
    """Every SCSI disk of this machine by its world-wide name.

    Each disk's name is read once for as long as the kernel has the disk: a claim asks for the paths of every disk, and
    to read them all each time would make it longer with the square of their number.
    """

    def __init__(self, sysfs: Path = SYSFS) -> None:
        self._block = sysfs / "block"
        self._lock = threading.Lock()
        #: World-wide name, by the kernel's name and what tells this disk from the next one of that name.
        self._known: dict[tuple[str, int], str] = {}

    def of(self, wwid: str) -> tuple[str, ...]:
        """Kernel names of the paths, in the kernel's order of their names."""
        with self._lock:
            with os.scandir(self._block) as entries:
                there = [(entry.name, entry.inode()) for entry in entries if entry.name.startswith("sd")]
            self._known = {one: self._known.get(one) or self._read(one[0]) for one in there}
            return tuple(sorted((name for (name, _), its in self._known.items() if its == wwid), key=_order))

    def _read(self, name: str) -> str:
        return _text(self._block / name / "device/wwid")


class Finder:
    """Names in one directory, `/dev/disk/by-id` for one."""

    def __init__(self, directory: Path, sysfs: Path = SYSFS, dev: Path = DEV) -> None:
        self._directory = directory
        self._sysfs = sysfs
        self._dev = dev
        self._paths = Paths(sysfs)

    def find(self, name: str) -> BlockDevice:
        """The disk of this name. Raises Unusable."""
        place = self._directory / name
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise Unusable(f"{name!r} leads out of {self._directory}: write a name in that directory")
        try:
            status = place.stat()
        except OSError as error:
            raise Unusable(f"{place} {_missing(place, error)}") from None
        if not stat.S_ISBLK(status.st_mode):
            raise Unusable(f"{place} is {_what(status.st_mode)}, not a disk")
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        entry = self._sysfs / "dev/block" / number
        if not entry.exists():
            raise Unusable(f"{place} is a device {number} that the kernel does not know: the disk is gone")
        return self._disk(place, entry.resolve())

    def _disk(self, place: Path, entry: Path) -> BlockDevice:
        if (entry / "partition").exists():
            entry = entry.parent
        name = entry.name
        if name.startswith("sd"):
            wwid = _text(entry / "device/wwid")
            names = self._paths.of(wwid) if wwid.startswith(UNIQUE) else ()
            return BlockDevice(Kind.SCSI, self._node(name), self._nodes(name, names), wwid)
        if name.startswith("nvme"):
            return BlockDevice(Kind.NVME, self._node(name), (self._node(name),), _text(entry / "wwid"))
        if _text(entry / "dm/uuid").startswith("mpath-"):
            members = sorted((link.name for link in (entry / "slaves").iterdir()), key=_order)
            if not members:
                raise Unusable(f"{place} is a multipath device without a path")
            kind = Kind.NVME if members[0].startswith("nvme") else Kind.SCSI
            paths = self._nodes(members[0], tuple(members))
            return BlockDevice(kind, self._node(name), paths, _text(entry / "dm/uuid").removeprefix("mpath-"))
        raise Unusable(f"{place} ({name}) is neither a SCSI nor an NVMe disk: it knows no reservations")

    def _nodes(self, first: str, names: tuple[str, ...]) -> tuple[Path, ...]:
        """The path that was named stands first. One that the kernel has given up or holds back would only hang."""
        ordered = (first, *(name for name in names if name != first))
        running = [name for name in ordered if _text(self._sysfs / "block" / name / "device/state") in RUNNING]
        return tuple(self._node(name) for name in running or ordered)

    def _node(self, name: str) -> Path:
        # A "!" in the kernel's name is a "/" in that of the node.
        return self._dev / name.replace("!", "/")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        # The kernel refuses to read what a disk does not say of itself.
        return ""


def _order(name: str) -> tuple[int, str]:
    return len(name), name


def _missing(place: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "is a loop of symbolic links"
    if error.errno == errno.ENOENT and place.is_symlink():
        return f"points to {place.readlink()}, which does not exist: the disk is gone"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "does not exist: the disk is absent, or its name is wrong"
    return f"cannot be looked at: {os.strerror(error.errno or 0)}"


def _what(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISREG(mode):
        return "a regular file"
    if stat.S_ISCHR(mode):
        return "a character device"
    return "neither a file nor a directory"
