"""The volumes behind logical units: what ZFS says of them, and the block device of each.

One `zfs get` answers for all volumes. The device follows from the name that ZFS itself gives for a block device (ioctl
BLKZNAME, as zvol_id(8) asks), so nothing waits for udev's links and a renamed volume is not mistaken for another one.
A device stays open until its backstore has it: the first open of a volume is the expensive one, and its number cannot
pass to another volume meanwhile. Does not know the kernel's target.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.system.shares.iscsi.configfs import TRY_AGAIN, TRY_AGAIN_S
from reconciler.system.zfs import tools
from reconciler.system.zfs.names import fault_of_dataset
from reconciler.system.zfs.tables import rows

PROPERTIES: Final = ("type", "guid", "volsize", "volblocksize", "keystatus", "volmode", "readonly", "sync")
BLOCK: Final = Path("/sys/block")
DEVICES: Final = Path("/dev")
#: udev's links; where one leads is checked.
LINKS: Final = Path("/dev/zvol")
#: include/sys/fs/zfs.h: _IOR(0x12, 125, char[256]).
BLKZNAME: Final = (2 << 30) | (256 << 16) | (0x12 << 8) | 125
NAME_BYTES: Final = 256
#: An import makes the devices of a pool in the background. A volume without a device after this has none.
DEVICE_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.02
#: Tries to open one device while another thread holds ZFS's lock.
TRIES_MAX: Final = 200
_DEVICE: Final = re.compile(r"zd[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that can be served. `size` and `block_size` are in bytes; `durable`: its property sync is `always`."""

    dataset: str
    guid: int
    size: int
    block_size: int
    durable: bool = True


@dataclass(frozen=True, slots=True)
class VolumeFault:
    """Why a volume cannot be served."""

    dataset: str
    text: str
    remedy: str = ""


def read_volumes(datasets: Collection[str], deadline_s: float) -> dict[str, Volume | VolumeFault]:
    """Ask ZFS for these volumes. The result has each of them; raises nothing."""
    found: dict[str, Volume | VolumeFault] = {
        name: VolumeFault(name, fault) for name in datasets if (fault := fault_of_dataset(name))
    }
    asked = sorted(set(datasets) - set(found))
    if not asked:
        return found
    argv = ("zfs", "get", "-Hp", "-o", "name,property,value", ",".join(PROPERTIES), *asked)
    outcome = tools.run(argv, deadline_s=deadline_s)
    if not isinstance(outcome, tools.Ended):
        why = f"ZFS does not say what it is: {tools.fault_of(outcome)}"
        return found | {name: VolumeFault(name, why) for name in asked}
    return found | parse_volumes(asked, outcome.stdout)


def parse_volumes(asked: Iterable[str], text: str) -> dict[str, Volume | VolumeFault]:
    """Judge the output of `zfs get`. Pure."""
    told: dict[str, dict[str, str]] = {}
    for name, key, value in rows(text, 3):
        told.setdefault(name, {})[key] = value
    return {name: _judge(name, told.get(name, {})) for name in asked}


def _judge(name: str, told: Mapping[str, str]) -> Volume | VolumeFault:
    if not told:
        return VolumeFault(name, f"there is no volume {name}", f"look at: zfs list -t volume {name.partition('/')[0]}")
    if told.get("type") != "volume":
        return VolumeFault(name, f"{name} is a {told.get('type')} and no volume", "name a volume in the resource")
    if told.get("keystatus") == "unavailable":
        return VolumeFault(name, f"{name} is locked", f"run: zfs load-key -r {name.partition('/')[0]}")
    if told.get("volmode") == "none":
        return VolumeFault(name, f"{name} has no block device: volmode is none", f"run: zfs set volmode=dev {name}")
    if told.get("readonly") == "on":
        return VolumeFault(name, f"{name} is read-only", f"run: zfs set readonly=off {name}")
    try:
        guid, size, block_size = (int(told[key]) for key in ("guid", "volsize", "volblocksize"))
    except (KeyError, ValueError):
        return VolumeFault(name, f"ZFS does not say the GUID and size of {name}")
    return Volume(name, guid, size, block_size, told.get("sync") == "always")


class VolumeDevices:
    """Open block devices of volumes, by the names of the volumes. Closes them at the end of its block."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> VolumeDevices:
        return self

    def __exit__(self, *ended: object) -> None:
        for descriptor, _device in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def find(self, datasets: Collection[str], end_s: float) -> dict[str, str]:
        """Return the device of each volume, such as /dev/zd16, waiting for devices until `end_s` or DEVICE_S.

        Looks once even if `end_s` has passed. A volume whose device does not appear, or cannot be opened, is missing
        from the result.
        """
        end_s = min(end_s, time.monotonic() + DEVICE_S)
        wanted = set(datasets) - set(self._open)
        if LINKS.is_dir():
            self._take((Path(os.path.realpath(LINKS / name)) for name in sorted(wanted)), wanted)
        looked: set[str] = set()
        while wanted:
            names = {path.name for path in BLOCK.glob("zd*")} - {Path(path).name for _, path in self._open.values()}
            self._take((DEVICES / name for name in sorted(names - looked)), wanted)
            if not wanted or time.monotonic() + LOOK_AGAIN_S >= end_s:
                break
            # A number may pass to another volume, so look at every device again once new ones stop appearing.
            looked = names if names - looked else set()
            time.sleep(LOOK_AGAIN_S)
        return {name: device for name, (_, device) in self._open.items() if name in datasets}

    def release(self, dataset: str) -> None:
        """Close the device of a volume, if it is open."""
        if dataset in self._open:
            os.close(self._open.pop(dataset)[0])

    def _take(self, paths: Iterable[Path], wanted: set[str]) -> None:
        for path in paths:
            if not wanted:
                return
            descriptor = _opened(path) if _DEVICE.fullmatch(path.name) else None
            if descriptor is None:
                continue
            name = _name_of(descriptor)
            if name in wanted:
                self._open[name] = descriptor, str(path)
                wanted.discard(name)
            else:
                os.close(descriptor)


def _opened(path: Path) -> int | None:
    for _ in range(TRIES_MAX):
        try:
            return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != TRY_AGAIN:
                return None
            time.sleep(TRY_AGAIN_S)
    return None


def _name_of(descriptor: int) -> str:
    """Return the volume of an open block device; "" if it is no volume."""
    answer = bytearray(NAME_BYTES)
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, BLKZNAME, answer)
    return answer.partition(b"\0")[0].decode(errors="replace")
