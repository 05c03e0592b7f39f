"""What multipathd(8) of this machine would do with reservations by itself, as its configuration says.

hagit registers every path of a multipath device itself, with a key that is new for each claim. multipathd registers
paths, too, where `reservation_key` is configured (multipath.conf(5)): with a key that hagit did not make, which fences
no controller and which a claim removes. Reads files only; changes nothing and asks no daemon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.system.files import open_regular
from reconciler.system.findings import Finding, listed

MAIN_FILE: Final = "etc/multipath.conf"
MORE_FILES: Final = "etc/multipath/conf.d"
#: Longer configurations, or more files, are read so far.
FILE_BYTES: Final = 1 << 20
FILES_MAX: Final = 64
KEY_LINE: Final = re.compile(r"^\s*reservation_key\s+\S", re.MULTILINE)


def findings(root: Path = Path("/")) -> tuple[Finding, ...]:
    """What is wrong with it; nothing on a machine without multipath devices."""
    if not _has_devices(root):
        return ()
    files = [f"/{path.relative_to(root)}" for path in _files(root) if KEY_LINE.search(_content(path))]
    if not files:
        return ()
    return (
        Finding(
            "MULTIPATH_KEY",
            "multipathd is told to register a reservation key of its own",
            listed(files),
            "take `reservation_key` out of these files, then `multipathd reconfigure`: hagit registers every path",
        ),
    )


def _files(root: Path) -> Iterator[Path]:
    yield root / MAIN_FILE
    try:
        more = sorted((root / MORE_FILES).glob("*.conf"))
    except OSError:
        more = []
    yield from more[:FILES_MAX]


def _content(path: Path) -> str:
    """Empty where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _has_devices(root: Path) -> bool:
    try:
        uuids = list((root / "sys/block").glob("dm-*/dm/uuid"))
    except OSError:
        return False
    return any(_content(path).startswith("mpath-") for path in uuids)
