"""What `zpool status -P -p` and `zpool import` say, as a tree of devices for each pool. Pure: text in, values out.

The words are those of cmd/zpool/zpool_main.c, which 2.1 to 2.4 print alike in the columns that are read here; further
columns and sections are passed over. Decides nothing; does not know what a path leads to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from reconciler.system.zfs.values import Health, VdevKind, VdevRole, health_of

#: Headings of sections below the devices that hold data.
SECTIONS: Final = {
    "special": VdevRole.SPECIAL,
    "dedup": VdevRole.DEDUP,
    "logs": VdevRole.LOG,
    "cache": VdevRole.CACHE,
    "spares": VdevRole.SPARE,
}
_STATES: Final = "|".join(health.value for health in Health)
_ROW: Final = re.compile(
    rf"\t(?P<indent> *)(?P<name>\S(?:.*?\S)?) +(?P<state>{_STATES})"
    r"(?: +(?P<read>\d\S*) +(?P<write>\d\S*) +(?P<cksum>\d\S*))?(?: +(?P<note>\S.*))?\s*"
)
_FIELD: Final = re.compile(r" *(?P<key>[a-z]+): ?(?P<value>.*)")
_KINDS: Final = re.compile(r"(mirror|raidz[123])-\d+")
_WAS: Final = re.compile(r"was (?P<path>/\S.*)")


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One line below `config:`. `name`: a path, a GUID (a device that is not there), or the word of a vdev."""

    name: str
    health: Health
    role: VdevRole
    errors: tuple[int, int, int] = (0, 0, 0)
    note: str = ""
    below: tuple[DeviceRow, ...] = ()

    @property
    def guid(self) -> int | None:
        """Of a device that ZFS names by its GUID, because it is not there."""
        return int(self.name) if self.name.isdecimal() else None

    @property
    def path(self) -> str:
        """Where the device is, or was."""
        was = _WAS.search(self.note)
        return was["path"] if self.guid is not None and was is not None else self.name

    @property
    def kind(self) -> VdevKind:
        """What it is, by its name."""
        if not self.below:
            return VdevKind.DISK
        match = _KINDS.fullmatch(self.name)
        return VdevKind(match[1]) if match else VdevKind.OTHER

    def leaves(self) -> Iterator[DeviceRow]:
        """Every device below, or itself."""
        if not self.below:
            yield self
        for row in self.below:
            yield from row.leaves()


@dataclass(frozen=True, slots=True)
class PoolTree:
    """One pool: its state, its `scan:` line, and its top-level vdevs, cache devices and spares.

    `guid`: of a pool that could be imported, 0 of one that is. `problem`: what is wrong, the first line.
    """

    name: str
    health: Health
    scan: str
    rows: tuple[DeviceRow, ...]
    guid: int = 0
    problem: str = ""

    def leaves(self) -> Iterator[DeviceRow]:
        """Every device."""
        for row in self.rows:
            yield from row.leaves()


@dataclass(slots=True)
class _Open:
    """A row whose children may still follow."""

    depth: int
    row: DeviceRow
    below: list[DeviceRow] = field(default_factory=list)

    def closed(self) -> DeviceRow:
        row = self.row
        return DeviceRow(row.name, row.health, row.role, row.errors, row.note, tuple(self.below))


def parse_status(text: str) -> tuple[PoolTree, ...]:
    """Every pool in the output of `zpool status -P -p`, or of `zpool import` without a pool.

    Lines that are not understood are passed over.
    """
    found = []
    for block in re.split(r"(?m)^ *pool: ", text)[1:]:
        first, _, rest = block.partition("\n")
        name = first.strip()
        head, _, config = re.sub(r"(?m)^ *config:", "config:", rest).partition("\nconfig:")
        fields = _fields(head)
        rows = _rows(config)
        # The first row is the pool itself.
        top = rows[0].below if rows and rows[0].name == name else ()
        number = fields.get("id", "")
        found.append(
            PoolTree(
                name=name,
                health=health_of(fields.get("state", "")),
                scan=fields.get("scan", ""),
                rows=(*top, *rows[1:]),
                guid=int(number) if number.isdecimal() else 0,
                problem=fields.get("status", ""),
            )
        )
    return tuple(found)


def _fields(head: str) -> dict[str, str]:
    """The lines before the devices: `state: ONLINE`; what goes on over further lines is cut."""
    return {match["key"]: match["value"].strip() for line in head.split("\n") if (match := _FIELD.fullmatch(line))}


def _rows(config: str) -> list[DeviceRow]:
    """The rows without a parent: the pool, then what stands in the sections."""
    roots: list[DeviceRow] = []
    stack: list[_Open] = []
    role = VdevRole.DATA

    def close(depth: int) -> None:
        while stack and stack[-1].depth >= depth:
            row = stack.pop().closed()
            (stack[-1].below if stack else roots).append(row)

    for line in config.split("\n"):
        if line.startswith("errors:"):
            break
        if line.strip() in SECTIONS:
            close(0)
            role = SECTIONS[line.strip()]
            continue
        match = _ROW.fullmatch(line)
        if match is None:
            continue
        depth = len(match["indent"]) // 2
        close(depth)
        stack.append(_Open(depth, _row(match, role)))
    close(0)
    return roots


def _row(match: re.Match[str], role: VdevRole) -> DeviceRow:
    errors = tuple(_count(match[column]) for column in ("read", "write", "cksum"))
    return DeviceRow(
        match["name"], health_of(match["state"]), role, (errors[0], errors[1], errors[2]), match["note"] or ""
    )


def _count(text: str | None) -> int:
    """A number, exact; one that was rounded (without -p) counts as at least one."""
    if text is None:
        return 0
    return int(text) if text.isdecimal() else 1
