"""What `zpool events -f -v -H` prints, as it comes: which writes a disk refused with a reservation conflict. Pure.

Linux turns the status RESERVATION CONFLICT of SCSI and NVMe into EBADE (block/blk-core.c), and ZFS reports the error of
every failed read and write of a device as `zio_err` of an event `ereport.fs.zfs.io`. Decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

EBADE: Final = 52
IO_CLASS: Final = "ereport.fs.zfs.io"
_PAIR: Final = re.compile(r" +(?P<name>[a-z_]+) = (?P<value>.+)")
#: A line without an end is a program that prints something else.
LINE_CHARS_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class IoError:
    """A read or write that a device of a pool failed. `at_s`: on the clock of the wall."""

    pool: str
    error: int
    at_s: int

    @property
    def conflict(self) -> bool:
        """Whether the device said that another holds the reservation."""
        return self.error == EBADE


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str = ""
    pool: str = ""
    error: int = 0
    at_s: int = 0


class EventReader:
    """Takes text in pieces of any size and gives each failed read or write once, when its event is complete."""

    def __init__(self) -> None:
        self._rest = ""
        self._event = _Event()

    def take(self, text: str) -> tuple[IoError, ...]:
        """The failures whose events end in this piece."""
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[-LINE_CHARS_MAX:]
        found = []
        for line in lines:
            if line.strip():
                self._event = _with(self._event, line)
                continue
            event, self._event = self._event, _Event()
            if event.kind == IO_CLASS and event.error:
                found.append(IoError(event.pool, event.error, event.at_s))
        return tuple(found)


def _with(event: _Event, line: str) -> _Event:
    match = _PAIR.fullmatch(line)
    if match is None:
        return event
    value = match["value"].strip()
    match match["name"]:
        case "class":
            return replace(event, kind=value.strip('"'))
        case "pool" if value.startswith('"'):
            return replace(event, pool=value.strip('"'))
        case "zio_err":
            return replace(event, error=_number(value))
        case "time":
            return replace(event, at_s=_number(value.split()[0]))
    return event


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return 0
