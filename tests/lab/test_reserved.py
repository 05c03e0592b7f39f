"""Wrong reports of sg_persist(8) on the disks, and how they are described."""

from __future__ import annotations

from reconciler.core.failover.reservations.key import Key, Side, encode_key
from tests.lab.pair.sg_persist import TYPE, Reserved, complaints, parse

MINE, OTHER = Key(Side.A, 7), Key(Side.B, 6)


def told(disk: str, registered: tuple[Key, ...], holder: Key | None, kind: str = TYPE) -> str:
    """Return the output of sg_persist 1.46 with -n."""
    keys = "".join(f"    0x{encode_key(key):x}\n" for key in registered)
    first = f"{len(registered)} registered reservation key{'' if len(registered) == 1 else 's'} follow"
    text = (
        f"disk {disk}\n  PR generation=0x5, {first}s:\n{keys}"
        if registered
        else (f"disk {disk}\n  PR generation=0x5, there are NO registered reservation keys\n")
    )
    if holder is None:
        return text + "  PR generation=0x5, there is NO reservation held\n"
    reservation = f"    Key=0x{encode_key(holder):x}\n    scope: LU_SCOPE,  type: {kind}\n"
    return f"{text}  PR generation=0x5, Reservation follows:\n{reservation}"


def test_what_it_says_is_read() -> None:
    text = told("disk0", (MINE, OTHER), OTHER, "Exclusive Access") + told("disk1", (), None)
    assert parse(text) == (
        Reserved("disk0", (MINE, OTHER), OTHER, "Exclusive Access"),
        Reserved("disk1", (), None, ""),
    )


def test_disks_that_one_has_alone_are_no_complaint() -> None:
    found = parse(told("disk0", (MINE,), MINE) + told("disk1", (MINE,), MINE))
    assert complaints(found, ("disk0", "disk1"), Side.A) == []
    assert len(complaints(found, ("disk0", "disk1"), Side.B)) == 2


def test_a_disk_that_the_other_can_write_is_found() -> None:
    good = told("disk0", (MINE,), MINE)
    for bad in (
        told("disk1", (MINE, OTHER), MINE),
        told("disk1", (OTHER,), OTHER),
        told("disk1", (MINE,), MINE, "Write Exclusive"),
        told("disk1", (MINE,), None),
        told("disk1", (), None),
        told("disk1", (Key(Side.A, 6),), Key(Side.A, 6)),
    ):
        (line,) = complaints(parse(good + bad), ("disk0", "disk1"), Side.A)
        assert line.startswith("disk1: held by ") and line.endswith("should be a/7 of a alone")


def test_a_disk_that_was_not_told_of_is_found() -> None:
    assert complaints(parse(told("disk0", (MINE,), MINE)), ("disk0", "disk1"), Side.A) == [
        "asked for disk0, disk1, told of disk0"
    ]
