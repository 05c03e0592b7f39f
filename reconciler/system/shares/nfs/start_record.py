"""What the last start gave to the kernel and to mountd, in a file until the next stop or boot.

A look compares with it: what differs from the shares is not served yet, what differs in the kernel was changed by
another program. It also remembers the GUIDs of datasets, so that a look runs no program. Decides nothing.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.system.atomic_file import replace_file
from reconciler.system.files import read_bytes

FORMAT: Final = "hagit.nfs/1"
RECORD_BYTES_MAX: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class StartRecord:
    """`scope`: the name that clients know the server by. `lines`: of each export, by its name.

    `guids`: of datasets. `resolved`: addresses of host names. `listens`: at these addresses.
    """

    scope: str
    versions: tuple[str, ...]
    lease_s: int
    grace_s: int
    listens: tuple[str, ...] = ()
    lines: dict[str, tuple[str, ...]] = field(default_factory=dict)
    guids: dict[str, str] = field(default_factory=dict)
    resolved: dict[str, tuple[str, ...]] = field(default_factory=dict)


def write_record(place: Path, record: StartRecord) -> None:
    """Keep the record. Raises OSError."""
    replace_file(place, json.dumps({"format": FORMAT, **asdict(record)}).encode() + b"\n", sync=False)


def read_record(place: Path) -> StartRecord | None:
    """Return the record, None if there is none or another release wrote it."""
    with contextlib.suppress(StateError, ValueError, TypeError, KeyError, AttributeError):
        data = read_bytes(place, RECORD_BYTES_MAX)
        read = json.loads(data) if data is not None else {}
        if read.pop("format", "") == FORMAT:
            for name in ("versions", "listens"):
                read[name] = tuple(read[name])
            for name in ("lines", "resolved"):
                read[name] = {key: tuple(value) for key, value in read[name].items()}
            return StartRecord(**read)
    return None
