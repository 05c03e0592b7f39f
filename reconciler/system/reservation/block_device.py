"""Which block device a name in a directory means, and by which paths the kernel reaches that disk (sysfs).

Decides the kind of disk and its paths: all SCSI disks with the same world-wide name are one disk, and so are the paths
of a multipath device. Opens no device, so nothing here waits for one. Does not know reservations.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

SYSFS: Final = Path("/sys")
DEV: Final = Path("/dev")
#: World-wide names that say which disk it is; others are made of a model's name, and many disks may share one.
UNIQUE: Final = ("naa.", "eui.", "uuid.")
#: Of a SCSI disk, of an NVMe disk, and of one that has no state.
RUNNING: Final = ("running", "live", "")
#: A file of /sys has a page at the most.
TEXT_BYTES: Final = 4096


class DiskKind(Enum):
    """How a disk is spoken to."""

    SCSI = "SCSI"
    NVME = "NVMe"


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One disk. `node`: what reads and writes go through; `paths`: nodes that run; `down`: its other paths."""

    kind: DiskKind
    node: Path
    paths: tuple[Path, ...]
    wwid: str = ""
    down: tuple[Path, ...] = ()


class Unusable(Exception):
    """A name that leads to no disk that could be reserved; the message says what is there, and what to do."""


class DeviceEvents:
    """How many events the kernel has told of: devices that came, went or changed (kobject_uevent).

    While there is no new one, what was read of devices before holds. A new disk may be seen before its event and is
    read again after it; one that goes may be seen after its event, and can only not be reached.
    """

    def __init__(self, sysfs: Path = SYSFS) -> None:
        self._file = sysfs / "kernel/uevent_seqnum"

    def count(self) -> str:
        """Empty where the kernel does not say it: then nothing that was read before holds."""
        return _text(self._file)


class Paths:
    """Every SCSI disk of this machine by its world-wide name.

    Each disk's name is read once for as long as the kernel has the disk: a claim asks for the paths of every disk, and
    to read them all each time would make it longer with the square of their number.
    """

    def __init__(self, sysfs: Path = SYSFS) -> None:
        self._block = sysfs / "block"
        #: World-wide name, by the kernel's name and what tells this disk from the next one of that name.
        self._known: dict[tuple[str, int], str] = {}
        #: The paths of each; None: it is to be looked which disks there are.
        self._found: dict[str, list[str]] | None = None

    def of(self, wwid: str) -> tuple[str, ...]:
        """Kernel names of the paths, in the kernel's order of their names; as they were before, until `forget`."""
        if self._found is None:
            self._found = self._read()
        return tuple(sorted(self._found.get(wwid, ()), key=_order))

    def forget(self) -> None:
        """Disks may have come or gone."""
        self._found = None

    def _read(self) -> dict[str, list[str]]:
        with os.scandir(self._block) as entries:
            there = [(entry.name, entry.inode()) for entry in entries if entry.name.startswith("sd")]
        self._known = {one: self._known.get(one) or _text(self._block / one[0] / "device/wwid") for one in there}
        found: dict[str, list[str]] = {}
        for (name, _), wwid in self._known.items():
            found.setdefault(wwid, []).append(name)
        return found


class Finder:
    """Names in one directory, `/dev/disk/by-id` for one. Any thread may ask."""

    def __init__(self, directory: Path, sysfs: Path = SYSFS, dev: Path = DEV) -> None:
        self._directory = directory
        self._sysfs = sysfs
        self._block = sysfs / "block"
        self._dev = dev
        self._events = DeviceEvents(sysfs)
        self._paths = Paths(sysfs)
        self._lock = threading.Lock()
        #: What was found since the last event, by the number of the device, with every path.
        self._known: dict[int, BlockDevice] = {}
        self._event = ""

    def find(self, name: str) -> BlockDevice:
        """The disk of this name. Raises Unusable."""
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise Unusable(f"{name!r} leads out of {self._directory}: write a name in that directory")
        place = self._directory / name
        try:
            status = place.stat()
        except OSError as error:
            raise Unusable(f"{place} {_missing(place, error)}") from None
        if not stat.S_ISBLK(status.st_mode):
            raise Unusable(f"{place} is {_what(status.st_mode)}, not a disk")
        with self._lock:
            event = self._events.count()
            if not event or event != self._event:
                self._known.clear()
                self._paths.forget()
                self._event = event
            found = self._known.get(status.st_rdev) or self._look(place, status.st_rdev)
        running = self._running(found.paths)
        return replace(found, paths=running, down=tuple(path for path in found.paths if path not in running))

    def _look(self, place: Path, device: int) -> BlockDevice:
        number = f"{os.major(device)}:{os.minor(device)}"
        entry = self._sysfs / "dev/block" / number
        if not entry.exists():
            raise Unusable(f"{place} is a device {number} that the kernel does not know: the disk is gone")
        entry = entry.resolve()
        if (entry / "partition").exists():
            entry = entry.parent
        name = entry.name
        if name.startswith("sd"):
            wwid = _text(entry / "device/wwid")
            names = self._paths.of(wwid) if wwid.startswith(UNIQUE) else ()
            # The path that was named stands first.
            found = self._device(DiskKind.SCSI, name, (name, *(other for other in names if other != name)), wwid)
            return self._known.setdefault(device, found)
        if name.startswith("nvme"):
            return self._known.setdefault(device, self._device(DiskKind.NVME, name, (name,), _text(entry / "wwid")))
        if _text(entry / "dm/uuid").startswith("mpath-"):
            members = tuple(sorted((link.name for link in (entry / "slaves").iterdir()), key=_order))
            if not members:
                raise Unusable(f"{place} is a multipath device without a path")
            # A path that is not in the table, or not yet, is registered as well, before anything is written over it.
            wwid = _text(self._block / members[0] / "device/wwid")
            others = self._paths.of(wwid) if wwid.startswith(UNIQUE) else ()
            members = (*members, *(other for other in others if other not in members))
            kind = DiskKind.NVME if members[0].startswith("nvme") else DiskKind.SCSI
            # Not kept: a path leaves its table after the event of that.
            return self._device(kind, name, members, _text(entry / "dm/uuid").removeprefix("mpath-"))
        raise Unusable(f"{place} ({name}) is neither a SCSI nor an NVMe disk: it knows no reservations")

    def _running(self, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        """One that the kernel has given up or holds back would only hang; of that there is no event."""
        return tuple(one for one in paths if _text(self._block / one.name / "device/state") in RUNNING) or paths

    def _device(self, kind: DiskKind, name: str, members: tuple[str, ...], wwid: str) -> BlockDevice:
        return BlockDevice(kind, self._node(name), tuple(self._node(member) for member in members), wwid)

    def _node(self, name: str) -> Path:
        # A "!" in the kernel's name is a "/" in that of the node.
        return self._dev / name.replace("!", "/")


def _text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, TEXT_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError):
        # The kernel refuses to read what a disk does not say of itself.
        return ""
    finally:
        os.close(descriptor)


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
