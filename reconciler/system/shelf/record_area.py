"""Where on an arbitration disk the heartbeat records lie, and whether anything else lies there.

ZFS makes two partitions on a whole disk: 1 for itself, 9 of exactly 8 MiB that stays unused ("Solaris reserved"). There
records go, one block for each side, unless another place is configured. Decides what is refused: everything that is not
surely unused. The place can move: when a disk has grown, `zpool online -e` and the pool property `autoexpand` move
partition 9 to its new end, and ZFS fills the old place. So the invariant is: *a record is written only where the table,
read since its last change, says that records go, and over nothing but a record or zeros*; `stamp` tells such a change.
Reads GUID partition tables (UEFI 2.10, 5.3); does not know what is in a record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID
from zlib import crc32

from reconciler.core.failover.heartbeats.disk_record import RECORD_BYTES
from reconciler.core.failover.heartbeats.wire import MAGIC
from reconciler.core.failover.reservations.key import Side
from reconciler.system.shelf.direct_io import BLOCK_BYTES, RawDisk

#: "Solaris reserved 1", and the number and size that ZFS gives it.
RESERVED: Final = UUID("6a945a3b-1dd2-11b2-99a6-080020736631")
RESERVED_NUMBER: Final = 9
RESERVED_BYTES: Final = 8 << 20
SLOTS: Final = {Side.A: 0, Side.B: BLOCK_BYTES}
SLOTS_BYTES: Final = 2 * BLOCK_BYTES
#: The header of a partition table is in the second sector, and no sector is larger than a block.
STAMP_BYTES: Final = 2 * BLOCK_BYTES
#: Read at a time while an area is checked.
CHUNK_BYTES: Final = 1 << 20

HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
SIGNATURE: Final = b"EFI PART"
ENTRY: Final = struct.Struct("<16s16sQQQ72s")
#: The specification asks for 128 bytes; no tool makes tables of other sizes.
ENTRIES_BYTES_MAX: Final = 1 << 20


class NoRecordArea(Exception):
    """There is no place for records on this disk; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Area:
    """Bytes of a disk from `start` on."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Where records go, on every disk alike: a partition by its number, or bytes from `offset` on.

    Without either it is the partition that ZFS reserves. A partition that was chosen may be of any type and size.
    """

    partition: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What differs when a disk has another size or another partition table.

    `head`: the first bytes of the disk. In them lies the header of the table, with a checksum of all entries.
    """

    size: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry of the table; `start` and `length` in bytes."""

    number: int
    kind: UUID
    start: int
    length: int


def stamp(disk: RawDisk) -> Stamp:
    """The stamp of a disk as it is now. Raises OSError when the disk cannot be read."""
    return Stamp(disk.size(), disk.read(0, STAMP_BYTES))


def find_area(disk: RawDisk, choice: Choice) -> Area:
    """The area of a disk. Raises Unfit; OSError when the disk cannot be read."""
    size = disk.size()
    if choice.offset is not None:
        area = Area(choice.offset, SLOTS_BYTES)
    else:
        number = choice.partition or RESERVED_NUMBER
        found = next((one for one in read_partitions(disk) if one.number == number), None)
        if found is None:
            raise NoRecordArea(
                f"it has no partition {number}: give ZFS the whole disk, which makes one, or configure another place"
            )
        if choice.partition is None and (found.kind, found.length) != (RESERVED, RESERVED_BYTES):
            raise NoRecordArea(
                f"its partition {number} is not the one that ZFS reserves: {found.length} bytes of type {found.kind}, "
                f"not {RESERVED_BYTES} of type {RESERVED}"
            )
        area = Area(found.start, found.length)
    if area.start % BLOCK_BYTES or area.length < SLOTS_BYTES or area.start + area.length > size:
        raise NoRecordArea(
            f"the area from byte {area.start} on, {area.length} bytes, does not fit: it has to begin at a multiple of "
            f"{BLOCK_BYTES}, hold {SLOTS_BYTES} bytes and end before byte {size}; if the disk has grown, let the "
            "kernel read its size again (write 1 to device/rescan below the disk's directory in /sys/class/block)"
        )
    return area


def check_area(disk: RawDisk, area: Area) -> None:
    """Raises Unfit unless there is nothing in the area but zeros and records; OSError when it cannot be read."""
    for at in range(0, area.length, CHUNK_BYTES):
        chunk = disk.read(area.start + at, min(CHUNK_BYTES, area.length - at))
        if len(chunk) != min(CHUNK_BYTES, area.length - at):
            raise NoRecordArea(f"it ends at byte {area.start + at + len(chunk)}, within the area for records")
        if at == 0:
            _check_slots(chunk, area)
            chunk = chunk[SLOTS_BYTES:]
        # Compared as a whole: a byte at a time would take seconds on a slow processor.
        if chunk != bytes(len(chunk)):
            where = area.start + at + (SLOTS_BYTES if at == 0 else 0) + len(chunk) - len(chunk.lstrip(b"\0"))
            raise NoRecordArea(f"something that is not hagit's lies in the area for records, at byte {where}")


def check_slots(disk: RawDisk, area: Area) -> None:
    """As `check_area`, but of the two blocks for records alone: before each write to an area that was checked whole."""
    chunk = disk.read(area.start, SLOTS_BYTES)
    if len(chunk) != SLOTS_BYTES:
        raise NoRecordArea(f"it ends at byte {area.start + len(chunk)}, within the area for records")
    _check_slots(chunk, area)


def _check_slots(chunk: bytes, area: Area) -> None:
    for side, slot in SLOTS.items():
        block = chunk[slot : slot + BLOCK_BYTES]
        if any(block) and not (block.startswith(MAGIC) and not any(block[RECORD_BYTES:])):
            raise NoRecordArea(f"what lies at byte {area.start + slot}, the place of side {side}, is no record")


def read_partitions(disk: RawDisk) -> tuple[Partition, ...]:
    """The partitions by the primary table, or by its copy at the end of the disk where that is damaged.

    Raises Unfit when neither is whole.
    """
    size, sector = disk.size(), disk.sector()
    reasons = []
    for where in (sector, size // sector * sector - sector):
        try:
            return tuple(_table(disk, where, sector))
        except NoRecordArea as reason:
            reasons.append(str(reason))
    raise NoRecordArea(f"it has no partition table (GPT): {reasons[0]}; at its end: {reasons[1]}")


def _table(disk: RawDisk, where: int, sector: int) -> Iterator[Partition]:
    header = _bytes(disk, where, sector)
    if len(header) < HEADER.size or not header.startswith(SIGNATURE):
        raise NoRecordArea(f"no signature at byte {where}")
    _, _, length, sum_, _, here, _, _, _, _, first, count, size, entries_sum = HEADER.unpack_from(header)
    if not HEADER.size <= length <= sector or crc32(header[:16] + bytes(4) + header[20:length]) != sum_:
        raise NoRecordArea(f"the header at byte {where} is damaged")
    if here != where // sector or size < ENTRY.size or not 0 < count * size <= ENTRIES_BYTES_MAX:
        raise NoRecordArea(f"the header at byte {where} makes no sense")
    entries = _bytes(disk, first * sector, count * size)
    if crc32(entries) != entries_sum:
        raise NoRecordArea(f"the entries at byte {first * sector} are damaged")
    for number in range(count):
        kind, _, begin, end, _, _ = ENTRY.unpack_from(entries, number * size)
        if any(kind):
            yield Partition(number + 1, UUID(bytes_le=kind), begin * sector, (end - begin + 1) * sector)


def _bytes(disk: RawDisk, offset: int, length: int) -> bytes:
    """Any bytes of a disk, read in whole blocks."""
    first = offset // BLOCK_BYTES * BLOCK_BYTES
    last = -(-(offset + length) // BLOCK_BYTES) * BLOCK_BYTES
    return disk.read(first, last - first)[offset - first : offset - first + length]
