"""Backstores: a volume inside the kernel's target, with its identity and the reservations that initiators kept.

The identity and the reservations are set while no logical unit uses the backstore: later the kernel refuses both. One
backstore after the other: opening a volume takes ZFS's lock of all pools, and threads only made each other try again.
Does not know targets.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.system.shares.iscsi.configfs import LOAD, TargetTree, TargetTreeError, TreeOverdue
from reconciler.system.shares.iscsi.group_settings import unit_of
from reconciler.system.shares.iscsi.identities import ADAPTER, serial_in
from reconciler.system.shares.iscsi.reservation_files import (
    DIRECTORY,
    FILE_BYTES_MAX,
    FILE_PREFIX,
    ReservationFileError,
    registrations,
)

_DEVICE: Final = re.compile(r"Major: (\d+) Minor: (\d+)  CLAIMED")
_SERIAL_LINE: Final = "T10 VPD Unit Serial Number: "
DBROOT: Final = "dbroot"


def own_backstores(tree: TargetTree) -> list[str]:
    """Return the serial numbers of hagit's backstores. Raises TargetTreeError."""
    names = tree.objects(f"core/{ADAPTER}")
    return [serial for name in names if (serial := serial_in(name)) is not None]


def foreign_backstores(tree: TargetTree) -> list[str]:
    """Return the backstores that other programs made, as paths in the tree. Raises TargetTreeError."""
    found = []
    for adapter in tree.objects("core"):
        if adapter != "alua":
            names = tree.objects(f"core/{adapter}")
            found += [f"core/{adapter}/{name}" for name in names if adapter != ADAPTER or serial_in(name) is None]
    return found


def serves(tree: TargetTree, serial: str, device: str) -> bool:
    """Whether the backstore is there, enabled, has its identity, and this device. Raises TargetTreeError, OSError."""
    place = unit_of(serial)
    found = _DEVICE.search(tree.read(f"{place}/info"))
    if found is None or tree.read(f"{place}/enable") != "1":
        return False
    number = os.stat(device).st_rdev  # noqa: PTH116
    same = (int(found[1]), int(found[2])) == (os.major(number), os.minor(number))
    return same and tree.read(f"{place}/wwn/vpd_unit_serial") == _SERIAL_LINE + serial


def make_adapter(tree: TargetTree) -> None:
    """Make the adapter of all backstores, unless it is there. Raises TargetTreeError."""
    try:
        tree.make(f"core/{ADAPTER}")
    except TreeOverdue:
        raise
    except TargetTreeError as error:
        raise TargetTreeError(f"the kernel module target_core_iblock is not loaded: {error.what}", LOAD) from error


@dataclass(frozen=True, slots=True)
class KeptReservations:
    """What a reservation file says. `lines`: for the kernel. `fault`: why the file is of no use, "" without a fault."""

    lines: tuple[str, ...] = ()
    fault: str = ""


def reservation_files(directory: Path | None) -> dict[str, Path]:
    """Return the files below the kernel's dbroot by serial number; none if there is no such directory."""
    if directory is None:
        return {}
    place = directory / DIRECTORY
    try:
        names = os.listdir(place)
    except OSError:
        return {}
    return {name.removeprefix(FILE_PREFIX): place / name for name in names if name.startswith(FILE_PREFIX)}


def kept_reservations(place: Path | None) -> KeptReservations:
    """Read the file of a volume; None: it has none."""
    if place is None:
        return KeptReservations()
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return KeptReservations()
    except OSError as error:
        return KeptReservations(fault=f"{place}: {error.strerror}")
    with os.fdopen(descriptor, "rb") as file:
        try:
            return KeptReservations(tuple(registrations(file.read(FILE_BYTES_MAX + 1))))
        except (ReservationFileError, OSError) as error:
            return KeptReservations(fault=f"{place}: {error}")


def make_backstore(tree: TargetTree, serial: str, device: str, kept: KeptReservations) -> str:
    """Make a backstore that is not there. Returns why a reservation was not restored, "" if all were.

    Raises TargetTreeError, and leaves no half-made backstore behind if the kernel lets it.
    """
    place = unit_of(serial)
    tree.make(place)
    try:
        tree.write(f"{place}/control", f"udev_path={device}")
        tree.write(f"{place}/enable", "1")
        tree.write(f"{place}/wwn/vpd_unit_serial", serial)
        # VMware takes two disks with equal first 8 bytes of it for one.
        tree.write(f"{place}/wwn/product_id", serial)
    except TargetTreeError as error:
        _discard(tree, place)
        if error.number == errno.EBUSY:
            what = f"another program has the block device {device} open"
            raise TargetTreeError(what, f"look at: lsblk {device}; fuser -v {device}", error.number) from error
        raise
    fault = kept.fault
    for line in kept.lines:
        try:
            tree.write(f"{place}/pr/res_aptpl_metadata", line)
        except TargetTreeError as error:
            fault = fault or error.what
    return fault


def _discard(tree: TargetTree, place: str) -> None:
    try:
        tree.remove(place)
    except TargetTreeError:
        return


def remove_backstore(tree: TargetTree, serial: str) -> None:
    """Remove a backstore that no logical unit uses; the kernel closes the volume. Raises TargetTreeError."""
    tree.remove(unit_of(serial))
