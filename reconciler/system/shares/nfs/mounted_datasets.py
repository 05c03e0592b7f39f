"""Where datasets are mounted, and their GUIDs.

The kernel's list of mounts says where (proc(5), mountinfo), so a hung pool delays no answer. `zfs get` says which GUID;
it runs once for all datasets. Does not know what is exported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.system.zfs import tools
from reconciler.system.zfs.tables import rows

MOUNTS: Final = Path("/proc/self/mountinfo")
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountedDataset:
    """Where a filesystem is mounted, and the number of its device (stat(2), st_dev)."""

    place: str
    device: int


def parse_mounts(data: bytes) -> dict[str, MountedDataset]:
    """Return each mounted ZFS filesystem, by the name of the dataset. Pure.

    Bind mounts of a part of a dataset do not count. Of several mounts of a whole dataset the first counts.
    """
    found: dict[str, MountedDataset] = {}
    for line in data.splitlines():
        head, _, tail = line.partition(b" - ")
        fields, kinds = head.split(), tail.split()
        if len(fields) >= 5 and len(kinds) >= 2 and kinds[0] == b"zfs" and fields[3] == b"/":
            major, _, minor = fields[2].partition(b":")
            device = os.makedev(int(major), int(minor))
            found.setdefault(_text(kinds[1]), MountedDataset(_text(fields[4]), device))
    return found


def mounted_datasets() -> dict[str, MountedDataset]:
    """Return each mounted ZFS filesystem, by the name of the dataset. Raises OSError."""
    return parse_mounts(MOUNTS.read_bytes())


def dataset_guids(datasets: Iterable[str], deadline_s: float, tool: Sequence[str] = ("zfs",)) -> dict[str, str]:
    """Return the GUIDs of these filesystems, by name. One that does not exist is missing from the answer."""
    names = sorted(set(datasets))
    if not names:
        return {}
    argv = [*tool, "get", "-Hp", "-t", "filesystem", "-o", "name,value", "guid", *names]
    (outcome,) = tools.run_all([argv], width=1, deadline_s=deadline_s, nice=tools.URGENT)
    # One missing dataset ends it with status 1; it still prints the others.
    text = outcome.stdout if isinstance(outcome, tools.Ended) else ""
    return {name: guid for name, guid in rows(text, 2) if guid.isdigit()}


def _text(word: bytes) -> str:
    return _OCTAL.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), word).decode(errors="surrogateescape")
