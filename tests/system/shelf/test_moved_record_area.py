"""The place for records is checked before each record: disks that grow, and places that were overwritten."""

from __future__ import annotations

import os

import pytest

from reconciler.core.failover.ports import Written
from reconciler.core.failover.reservations.key import Side
from reconciler.system.shelf.disks import DiskShelf
from reconciler.system.shelf.record_area import RESERVED_BYTES, Choice
from tests.system.reservation.standin import (
    DISK_BYTES,
    RESERVED_START,
    SOLARIS_RESERVED,
    ZFS,
    StandInCabinet,
    StandInDisk,
    partition_table,
)
from tests.system.shelf.rig import DISKS, LONG_S, orders
from tests.system.shelf.rig_disks import DisksRig
from tests.system.shelf.test_conformance import comes, sectors
from tests.wait import until

DATA = b"written by ZFS, " * 512
GROWN_BYTES = DISK_BYTES + (64 << 20)
MOVED_START = GROWN_BYTES - (12 << 20)


def change(disk: StandInDisk, pieces: dict[int, bytes]) -> None:
    with disk.file.open("rb+") as file:
        for offset, data in pieces.items():
            os.pwrite(file.fileno(), data, offset)


def grow(disk: StandInDisk, start: int = MOVED_START) -> None:
    """The disk is larger, and its partition 9 has moved to the new end, as `zpool online -e` does it."""
    with disk.file.open("rb+") as file:
        file.truncate(GROWN_BYTES)
    entries = {1: (ZFS, 1 << 20, start - (1 << 20)), 9: (SOLARIS_RESERVED, start, RESERVED_BYTES)}
    change(disk, partition_table(entries, GROWN_BYTES))


def at(disk: StandInDisk, offset: int, length: int = 512) -> bytes:
    with disk.file.open("rb") as file:
        return os.pread(file.fileno(), length, offset)


def until_everywhere(disks: DisksRig, records: tuple[bytes, ...]) -> None:
    """Wait until each arbitration disk has its record: a write is good when the majority has it."""
    until(lambda: tuple(at(disks.disks[name], RESERVED_START) for name in DISKS[: len(records)]) == records)


@pytest.mark.parametrize("filled", [True, False], ids=["ZFS has filled the old place", "the old place is as it was"])
def test_records_follow_the_partition(disks: DisksRig, filled: bool) -> None:
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    peer = disks.open_shelf(Side.B, orders(Side.B))
    assert shelf.write_record(sectors(b"before"), LONG_S) is Written.GOOD
    assert comes(peer, *sectors(b"before"))
    for disk in disks.disks.values():
        grow(disk)
        change(disk, {RESERVED_START: DATA} if filled else {})
    old = [at(disk, RESERVED_START, len(DATA)) for disk in disks.disks.values()]
    assert shelf.write_record(sectors(b"after"), LONG_S) is Written.GOOD
    assert comes(peer, *sectors(b"after")), "whoever reads finds the new place, too"
    assert [at(disk, RESERVED_START, len(DATA)) for disk in disks.disks.values()] == old
    first = disks.disks[DISKS[0]]
    assert at(first, MOVED_START) == sectors(b"after")[0]


def test_nothing_is_written_to_a_new_place_that_is_not_empty(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    assert shelf.write_record(sectors(b"before"), LONG_S) is Written.GOOD
    until_everywhere(disks, sectors(b"before"))
    for disk in disks.disks.values():
        grow(disk)
        change(disk, {MOVED_START + 8192: b"left from before"})
    kept = [disk.file.read_bytes() for disk in disks.disks.values()]
    assert shelf.write_record(sectors(b"after"), LONG_S) is Written.SILENT
    assert [disk.file.read_bytes() for disk in disks.disks.values()] == kept
    assert any(f"at byte {MOVED_START + 8192}" in text for _, text in disks.told)


@pytest.mark.parametrize("choice", [Choice(), Choice(offset=RESERVED_START)], ids=["partition 9", "a chosen place"])
@pytest.mark.parametrize("slot", [0, 4096], ids=["its own", "the peer's"])
def test_what_overwrote_a_record_stays_and_is_told(disks: DisksRig, choice: Choice, slot: int) -> None:
    told: list[str] = []
    cabinet = StandInCabinet(disks.disks, Side.A)
    shelf = DiskShelf(orders(Side.A), Side.A, cabinet, choice, notify=lambda name, what: told.append(f"{name} {what}"))
    assert shelf.write_record(sectors(b"before"), LONG_S) is Written.GOOD
    until_everywhere(disks, sectors(b"before"))
    for disk in disks.disks.values():
        change(disk, {RESERVED_START + slot: DATA})
    for _ in range(2):
        assert shelf.write_record(sectors(b"after"), LONG_S) is Written.SILENT
    assert all(at(disk, RESERVED_START + slot, len(DATA)) == DATA for disk in disks.disks.values())
    assert f"{DISKS[0]} no heartbeat record: what lies at byte {RESERVED_START + slot}" in "\n".join(told)
    for disk in disks.disks.values():
        change(disk, {RESERVED_START: bytes(8192), RESERVED_START + 8192: bytes(len(DATA))})
    assert shelf.write_record(sectors(b"again"), LONG_S) is Written.GOOD, "it goes on when the place is empty again"
    shelf.close()
