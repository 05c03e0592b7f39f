"""Which volume each logical unit had, and how large: a file on the state dataset, which comes with the pools.

An initiator writes to a disk that it knows. If the volume under that disk is another one, or has become smaller, its
cached blocks would destroy data, so the target refuses to serve it. An operator who means it removes the logical unit
in one commit and adds it in the next: a unit that is not configured is forgotten. Growth is no fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.errors import StateError
from reconciler.system.files import read_json, write_json
from reconciler.system.shares.iscsi.identities import GUID_MAX
from reconciler.system.shares.iscsi.volumes import Volume

FILE: Final = "volumes.json"
FORMAT: Final = "hagit.volumes/1"
SIZE_MAX: Final = 1 << 63
AGAIN: Final = "if that is intended, remove the logical unit in one commit and add it in the next"
#: Name of a target and number of a logical unit.
Unit = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RememberedVolume:
    """The volume that a logical unit had when it was served last. `size` is in bytes."""

    guid: int
    size: int


def fault_of_change(before: RememberedVolume | None, now: Volume) -> str:
    """Why initiators must not get this volume in place of the earlier one; "" if they may. Pure."""
    if before is None:
        return ""
    if before.guid != now.guid:
        return f"{now.dataset} is another volume than the one that initiators know"
    if now.size < before.size:
        return f"{now.dataset} has shrunk from {before.size} to {now.size} bytes"
    return ""


def read_memory(directory: Path) -> dict[Unit, RememberedVolume]:
    """Return what the file says; nothing if it is missing or damaged: then no change is noticed."""
    try:
        document = read_json(directory / FILE)
    except StateError:
        return {}
    return parse_memory(document)


def parse_memory(document: Any) -> dict[Unit, RememberedVolume]:
    """Return the valid rows of a document. Pure."""
    found: dict[Unit, RememberedVolume] = {}
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return found
    units = document.get("units")
    for row in units if isinstance(units, list) else ():
        if not isinstance(row, list) or len(row) != 4:
            continue
        iqn, number, guid, size = row
        numbers = all(type(value) is int for value in (number, guid, size))
        if isinstance(iqn, str) and numbers and 0 < guid <= GUID_MAX and 0 <= size < SIZE_MAX:
            found[iqn, number] = RememberedVolume(guid, size)
    return found


def write_memory(directory: Path, units: Mapping[Unit, RememberedVolume]) -> None:
    """Replace the file, unless it says the same. Raises StateError."""
    if read_memory(directory) == dict(units):
        return
    rows = [[iqn, number, one.guid, one.size] for (iqn, number), one in sorted(units.items())]
    write_json(directory / FILE, {"format": FORMAT, "units": rows})
