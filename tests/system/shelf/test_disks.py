"""What is special to real disks: where records lie, what a person is told, and everything about a disk at once."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from reconciler.core.failover.ports import Written, answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.system.reservation.registration_state import Features
from reconciler.system.shelf.disks import DiskShelf
from tests.system.reservation.standin import RESERVED_START, SOLARIS_RESERVED, StandInCabinet, image
from tests.system.shelf.rig import DISKS, LONG_S, claim, orders
from tests.system.shelf.rig_disks import DisksRig
from tests.system.shelf.test_conformance import comes, sectors

A = Key(Side.A, 7)


def test_records_lie_in_the_reserved_partition_a_block_for_each_side(disks: DisksRig) -> None:
    for side, text in ((Side.A, b"a"), (Side.B, b"b")):
        shelf = disks.open(side)[0]
        assert shelf.write_record(sectors(text), LONG_S) is Written.GOOD
        assert comes(disks.open(side.other)[0], *sectors(text))
    content = disks.disks[DISKS[0]].file.read_bytes()
    assert content[RESERVED_START : RESERVED_START + 512] == sectors(b"a")[0]
    assert content[RESERVED_START + 4096 : RESERVED_START + 4608] == sectors(b"b")[0]
    assert not any(content[RESERVED_START + 512 : RESERVED_START + 4096])
    assert not any(content[RESERVED_START + 4608 : RESERVED_START + (8 << 20)])


def test_newer_orders_open_what_is_new(disks: DisksRig) -> None:
    """To open a disk takes longer than to ask one that is open."""
    cabinet = StandInCabinet(disks.disks, Side.A)
    shelf = DiskShelf(replace(orders(Side.A), disks=DISKS[:3], vdevs=()), Side.A, cabinet)
    shelf.look(LONG_S)
    before = sorted(cabinet.opened)
    shelf.obey(orders(Side.A))
    assert shelf.look(LONG_S) == (DiskView(True),) * len(DISKS)
    shelf.obey(replace(orders(Side.A), disks=tuple(reversed(DISKS))))
    shelf.look(LONG_S)
    shelf.close()
    assert (before, sorted(cabinet.opened)) == (list(DISKS[:3]), list(DISKS))


def test_nothing_is_written_where_something_lies_and_it_is_told_once(disks: DisksRig) -> None:
    with disks.disks[DISKS[0]].file.open("rb+") as file:
        os.pwrite(file.fileno(), b"precious", RESERVED_START)
    image(disks.disks[DISKS[1]].file, {9: (SOLARIS_RESERVED, RESERVED_START, 4 << 20)})
    before = [disk.file.read_bytes() for disk in disks.disks.values()]
    shelf = disks.open(Side.A)[0]
    for _ in range(3):
        assert shelf.write_record(sectors(b"a"), LONG_S) is Written.SILENT
    assert [disk.file.read_bytes() for disk in disks.disks.values()][:2] == before[:2]
    assert sorted(name for name, _ in disks.told) == [DISKS[0], DISKS[1]]
    assert all(text.startswith("no heartbeat record: ") for _, text in disks.told)


def test_an_absent_disk_is_told_once_and_its_return_as_well(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    gone = disks.disks.pop(DISKS[3])
    for _ in range(3):
        assert not shelf.look(LONG_S)[3].answered
    disks.disks[DISKS[3]] = gone
    assert shelf.look(LONG_S)[3].answered
    assert disks.told == [(DISKS[3], f"{DISKS[3]} does not exist"), (DISKS[3], "disk: well again")]


def test_a_survey_says_everything(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, replace(orders(Side.A), disks=(*DISKS[:3], "elsewhere")))
    claim(disks.open(Side.B)[0], Side.B, 5)
    found = shelf.survey(LONG_S)
    assert [one.name for one in found] == [*DISKS[:3], "elsewhere"]
    first = found[0]
    assert first.standing is not None
    assert first.standing.holder == encode_key(Key(Side.B, 5))
    assert first.registrations is not None
    # Paths register side by side.
    assert sorted((one.who, one.holds) for one in first.registrations) == [("iqn.b0", True), ("iqn.b1", False)]
    assert first.features == Features(True, True, None)
    assert (first.paths, first.trouble, first.records) == (("a0", "a1"), "", "")
    assert (found[3].standing, found[3].trouble) == (None, "elsewhere does not exist")


def test_a_survey_names_a_disk_without_room_for_records(disks: DisksRig) -> None:
    image(disks.disks[DISKS[1]].file, {})
    image(disks.disks[DISKS[3]].file, {})
    found = disks.open_shelf(Side.A, orders(Side.A)).survey(LONG_S)
    assert "no partition 9" in found[1].records
    assert found[3].records == "", "no arbitration disk needs none"


def test_a_command_that_was_not_begun_is_never_done(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    disks.hang(0)
    while not disks.disks[DISKS[0]].hanging:
        assert not shelf.look(0.1)[0].answered
    assert answered(shelf, Command(Verb.REGISTER, 0, A), 0.1).answer is Answer.SILENT, "its thread waits for the look"
    disks.unhang(0)
    end_s = time.monotonic() + LONG_S
    while not shelf.look(LONG_S)[0].answered and time.monotonic() < end_s:
        pass
    assert shelf.look(LONG_S)[0].registered == frozenset()


def test_all_disks_are_asked_at_once(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    for disk in range(len(DISKS)):
        disks.hang(disk)
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(shelf.look, LONG_S)
        end_s = time.monotonic() + LONG_S
        while not all(disk.hanging for disk in disks.disks.values()):
            assert time.monotonic() < end_s, "none is waited for before the others are asked"
        for disk in range(len(DISKS)):
            disks.unhang(disk)
        assert all(view.answered for view in looking.result())


def test_what_is_late_is_not_overtaken_by_another_shelf_either(disks: DisksRig) -> None:
    first, key = disks.open_shelf(Side.A, orders(Side.A)), Key(Side.A, 3)
    disks.hang(0)
    while not disks.disks[DISKS[0]].hanging:
        assert answered(first, Command(Verb.REGISTER, 0, key), 0.1).answer is Answer.SILENT
    first.close()
    second = disks.open_shelf(Side.A, orders(Side.A))
    assert answered(second, Command(Verb.REGISTER, 0, A), LONG_S).answer is Answer.SILENT, "at once"
    theirs = disks.open_shelf(Side.B, orders(Side.B))
    disks.unhang(0)
    assert answered(theirs, Command(Verb.LOOK, 0, A), LONG_S).answer is Answer.GOOD, "another side is not concerned"
    end_s = time.monotonic() + LONG_S
    while answered(second, Command(Verb.REGISTER, 0, A), LONG_S).answer is Answer.SILENT and time.monotonic() < end_s:
        pass
    assert second.look(LONG_S)[0].registered == {A}


def test_a_disk_without_reservations_is_told(disks: DisksRig) -> None:
    disks.disks[DISKS[0]].knows = False
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    for _ in range(2):
        assert not shelf.look(LONG_S)[0].answered
    words = "it knows no persistent reservations, so no controller can be fenced from it"
    assert disks.told == [(DISKS[0], words)]
    assert shelf.survey(LONG_S)[0].trouble == words


def test_a_disk_without_a_place_for_records_is_never_opened_for_writing(disks: DisksRig) -> None:
    """The end of each writer would have udev read its partitions again."""
    bare = disks.disks[DISKS[0]].file
    bare.write_bytes(bytes(bare.stat().st_size))
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    (cabinet,) = disks.cabinets
    for _ in range(3):
        shelf.write_record(sectors(b"a"), LONG_S)
        # A disk is asked one thing after the other: this answer comes when that of the record is known.
        assert "no partition table" in shelf.survey(LONG_S)[0].records
    assert set(cabinet.writers) == set(DISKS[1:3])
    image(bare)
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    assert shelf.survey(LONG_S)[0].records == ""
    assert cabinet.writers[-1] == DISKS[0]


def spoil(disks: DisksRig) -> None:
    """Something else lies in every place for records, far from the records."""
    for disk in disks.disks.values():
        with disk.file.open("r+b") as content:
            content.seek(RESERVED_START + 100_000)
            content.write(b"not ours")


def test_the_place_for_records_is_checked_beforehand_or_when_the_first_is_written(disks: DisksRig) -> None:
    early, late = (disks.open_shelf(side, orders(side)) for side in Side)
    early.prepare()
    assert early.look(LONG_S), "which comes after it"
    spoil(disks)
    assert early.write_record(sectors(b"a"), LONG_S) is Written.GOOD, "a takeover has better use for the time"
    assert late.write_record(sectors(b"b"), LONG_S) is Written.SILENT
    assert any("something that is not hagit's" in what for _, what in disks.told)


def test_what_was_found_beforehand_is_told_when_the_first_record_is_to_be_written(disks: DisksRig) -> None:
    spoil(disks)
    shelf = disks.open_shelf(Side.A, orders(Side.A))
    shelf.prepare()
    assert shelf.look(LONG_S)
    assert disks.told == []
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.SILENT
    assert any("something that is not hagit's" in what for _, what in disks.told)
