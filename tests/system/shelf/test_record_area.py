"""Where records lie: partition tables of every kind, and everything that is no place for records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.failover.heartbeats.wire import MAGIC
from reconciler.core.failover.reservations.key import Side
from reconciler.system.shelf.direct_io import BLOCK_BYTES, DirectDisk
from reconciler.system.shelf.disks import parse_address
from reconciler.system.shelf.record_area import (
    RESERVED_BYTES,
    SLOTS,
    Area,
    Choice,
    NoRecordArea,
    check_area,
    check_slots,
    find_area,
    read_partitions,
)
from tests.system.reservation.standin import (
    BY_ZFS,
    DISK_BYTES,
    RESERVED_START,
    SECTOR,
    SOLARIS_RESERVED,
    ZFS,
    StandInDisk,
    StandInRaw,
    image,
    partition_table,
)

AREA = Area(RESERVED_START, RESERVED_BYTES)


def raw(path: Path) -> StandInRaw:
    return StandInRaw(StandInDisk(path), "a0")


class Large(StandInRaw):
    """Sectors of 4096 bytes."""

    def sector(self) -> int:
        return 4096


def put(path: Path, offset: int, data: bytes) -> None:
    with path.open("rb+") as file:
        os.pwrite(file.fileno(), data, offset)


def test_the_partition_that_zfs_reserves_is_found(tmp_path: Path) -> None:
    assert find_area(raw(image(tmp_path / "disk")), Choice()) == AREA


def test_it_is_found_on_disks_with_large_sectors(tmp_path: Path) -> None:
    path = image(tmp_path / "disk", sector=4096)
    assert find_area(Large(StandInDisk(path), "a0"), Choice()) == AREA
    with pytest.raises(NoRecordArea, match="no partition table"):
        find_area(raw(path), Choice())


def test_a_damaged_table_is_read_from_its_copy(tmp_path: Path) -> None:
    path = image(tmp_path / "disk")
    put(path, SECTOR, bytes(SECTOR))
    assert find_area(raw(path), Choice()) == AREA
    put(path, DISK_BYTES - SECTOR, bytes(SECTOR))
    with pytest.raises(
        NoRecordArea, match=r"no partition table \(GPT\): no signature at byte 512; at its end: no signature"
    ):
        find_area(raw(path), Choice())


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (SECTOR + 40, "the header at byte 512 is damaged"),
        (SECTOR + 16, "the header at byte 512 is damaged"),
        (2 * SECTOR + 128 * 8 + 3, "the entries at byte 1024 are damaged"),
    ],
)
def test_every_byte_of_the_table_counts(tmp_path: Path, offset: int, words: str) -> None:
    path = image(tmp_path / "disk")
    put(path, DISK_BYTES - SECTOR, bytes(SECTOR))
    put(path, offset, b"\xee")
    with pytest.raises(NoRecordArea, match=words):
        find_area(raw(path), Choice())


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({1: BY_ZFS[1]}, "no partition 9: give ZFS the whole disk"),
        ({9: (ZFS, RESERVED_START, RESERVED_BYTES)}, "partition 9 is not the one that ZFS reserves: 8388608 bytes"),
        ({9: (SOLARIS_RESERVED, RESERVED_START, 4 << 20)}, "not the one that ZFS reserves: 4194304 bytes of type 6a94"),
        ({9: (SOLARIS_RESERVED, RESERVED_START + 512, RESERVED_BYTES)}, "does not fit: it has to begin at a multiple"),
        ({9: (SOLARIS_RESERVED, 20 << 20, RESERVED_BYTES)}, "end before byte 25165824"),
    ],
)
def test_a_partition_that_is_not_unused_is_refused(
    tmp_path: Path, entries: dict[int, tuple[str, int, int]], words: str
) -> None:
    with pytest.raises(NoRecordArea, match=words):
        find_area(raw(image(tmp_path / "disk", entries)), Choice())


def test_another_place_may_be_chosen(tmp_path: Path) -> None:
    path = raw(image(tmp_path / "disk", {3: (ZFS, 4 << 20, 1 << 20)}))
    assert find_area(path, Choice(partition=3)) == Area(4 << 20, 1 << 20)
    assert find_area(path, Choice(offset=1 << 20)) == Area(1 << 20, 8192)
    with pytest.raises(NoRecordArea, match="no partition 2"):
        find_area(path, Choice(partition=2))
    with pytest.raises(NoRecordArea, match="does not fit"):
        find_area(path, Choice(offset=DISK_BYTES))


def test_zeros_and_records_are_all_that_may_lie_there(tmp_path: Path) -> None:
    path = image(tmp_path / "disk")
    check_area(raw(path), AREA)
    for side in Side:
        put(path, AREA.start + SLOTS[side], MAGIC + os.urandom(508))
        check_area(raw(path), AREA)


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (0, "the place of side a, is no record"),
        (4096, "the place of side b, is no record"),
        (600, "the place of side a, is no record"),
        (8192, f"something that is not hagit's lies in the area for records, at byte {AREA.start + 8192}"),
        (3_000_000, f"at byte {AREA.start + 3_000_000}"),
        (RESERVED_BYTES - 1, f"at byte {AREA.start + RESERVED_BYTES - 1}"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, offset: int, words: str) -> None:
    path = image(tmp_path / "disk")
    put(path, AREA.start, MAGIC + b"\1" * 508)
    put(path, AREA.start + offset, b"x")
    with pytest.raises(NoRecordArea, match=words):
        check_area(raw(path), AREA)


def test_a_disk_that_ends_within_the_area_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "disk")
    os.truncate(path, RESERVED_START + (1 << 20))
    with pytest.raises(NoRecordArea, match="it ends at byte"):
        check_area(raw(path), AREA)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_tables_of_nonsense_are_refused_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    tables = partition_table({9: (SOLARIS_RESERVED, 1 << 19, 8192)}, 1 << 20)
    for offset, content in tables.items():
        broken = bytearray(content)
        for _ in range(data.draw(st.integers(0, 4))):
            broken[data.draw(st.integers(0, min(len(broken), 1200) - 1))] = data.draw(st.integers(0, 255))
        put(path, offset, bytes(broken))
    try:
        found = read_partitions(raw(path))
    except NoRecordArea:
        return
    assert [one.number for one in found] == [9]


def test_past_every_cache_in_whole_blocks(tmp_path: Path) -> None:
    path = image(tmp_path / "disk")
    disk = DirectDisk(path, write=True)
    assert find_area(disk, Choice()) == AREA
    check_area(disk, AREA)
    disk.write(AREA.start, MAGIC.ljust(BLOCK_BYTES, b"\0"))
    disk.close()
    reader = DirectDisk(path, write=False)
    assert reader.read(AREA.start, BLOCK_BYTES).startswith(MAGIC)
    assert reader.size() == DISK_BYTES
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.write(0, bytes(BLOCK_BYTES))
    reader.close()


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("/dev/disk/by-id", (Path("/dev/disk/by-id"), Choice())),
        ("/dev/disk/by-id?partition=3", (Path("/dev/disk/by-id"), Choice(partition=3))),
        ("/dev?area=1048576", (Path("/dev"), Choice(offset=1 << 20))),
        ("relative", None),
        ("", None),
        ("/dev?", (Path("/dev"), Choice())),
        ("/dev?area=1000", None),
        ("/dev?area=-4096", None),
        ("/dev?partition=0", None),
        ("/dev?partition=200", None),
        ("/dev?partition=9&area=4096", None),
        ("/dev?nonsense", None),
    ],
)
def test_addresses_of_shelves(rest: str, expected: object) -> None:
    assert parse_address(rest) == expected


def test_of_an_area_that_was_checked_only_the_places_of_records_are_checked_again(tmp_path: Path) -> None:
    path = image(tmp_path / "disk")
    put(path, AREA.start + 3_000_000, b"x")
    check_slots(raw(path), AREA)
    for side in Side:
        put(path, AREA.start + SLOTS[side], MAGIC + os.urandom(508))
    check_slots(raw(path), AREA)
    put(path, AREA.start + SLOTS[Side.B], b"x")
    with pytest.raises(NoRecordArea, match="the place of side b, is no record"):
        check_slots(raw(path), AREA)
    os.truncate(path, AREA.start + 100)
    with pytest.raises(NoRecordArea, match="it ends at byte"):
        check_slots(raw(path), AREA)
