"""Paths as ZFS writes them, and the disks of the orders; which of them the pools have given up."""

from pathlib import Path

import pytest

from reconciler.system.zfs.devices import Names, data_path, kernel_name, without_part
from reconciler.system.zfs.faulted_devices import faulted_disks

STATUS = """\
  pool: tank
 state: DEGRADED
config:

\tNAME                    STATE     READ WRITE CKSUM
\ttank                    DEGRADED     0     0     0
\t  mirror-0              DEGRADED     0     0     0
\t    {0}    REMOVED      0     0     0
\t    {1}    ONLINE       0     0     0
\t  mirror-1              DEGRADED     0     0     0
\t    4711                UNAVAIL      3    28     0  was {2}
\t    {3}    FAULTED      0    28     0  too many errors
\tlogs
\t  {4}    OFFLINE      0     0     0
\tcache
\t  {5}    UNAVAIL      0     0     0
\tspares
\t  {6}    UNAVAIL

errors: No known data errors
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Names of disks as udev makes them; `dev` has what they lead to. Disk 2 is gone."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "by-id").mkdir()
    for number, letter in enumerate("abcdefg"):
        if number != 2:
            for suffix, part in (("", ""), ("1", "-part1")):
                (tmp_path / "dev" / f"sd{letter}{suffix}").touch()
                (tmp_path / "by-id" / f"wwn-0x{number}{part}").symlink_to(f"../dev/sd{letter}{suffix}")
    (tmp_path / "by-id" / "scsi-other").symlink_to("../dev/sdb")
    return tmp_path / "by-id"


def test_every_word_for_a_disk_leads_to_its_name(place: Path) -> None:
    names = Names(place, ["wwn-0x1", "wwn-0x2"], {4711: "wwn-0x1"})
    assert names.disk(str(place / "wwn-0x1")) == "wwn-0x1"
    assert names.disk(str(place / "wwn-0x1-part1")) == "wwn-0x1"
    assert names.disk(str(place / "scsi-other")) == "wwn-0x1", "another name of the same disk"
    assert names.disk(str(place.parent / "dev/sdb")) == "wwn-0x1"
    assert names.disk(str(place / "wwn-0x2-part1")) == "wwn-0x2", "gone, but known by name"
    assert names.disk("/dev/sdz1", 4711) == "wwn-0x1", "its label said so"
    assert names.disk(str(place / "wwn-0x3-part1")) == "wwn-0x3", "not asked for, but named in the directory"
    assert names.disk(str(place.parent / "dev/sdd")) == "wwn-0x3", "the name that the directory has for it"
    assert names.disk("/somewhere/else") == "/somewhere/else"


def test_where_a_disk_has_gone_its_old_path_means_nothing(place: Path) -> None:
    # What is there now may be another disk: a device with a GUID is one that ZFS does not find.
    assert Names(place, ["wwn-0x9"], {}).disk(str(place.parent / "dev/sdb"), 99) == str(place.parent / "dev/sdb")
    assert Names(place, ["wwn-0x1"]).disk("/dev/sdq1", 99) == "/dev/sdq1"


def test_small_words(place: Path) -> None:
    assert without_part("wwn-0x1-part1") == without_part("wwn-0x1") == "wwn-0x1"
    assert without_part("a-part1-b") == "a-part1-b"
    assert kernel_name(place / "wwn-0x1") == "sdb" and kernel_name(place / "wwn-0x2") == ""
    assert data_path(place, "wwn-0x1") == place / "wwn-0x1-part1"
    assert data_path(place, "wwn-0x2") == place / "wwn-0x2", "whoever opens it will see that it is not there"
    assert data_path(place, "scsi-other") == place / "scsi-other"


def test_disks_that_are_written_no_more(place: Path) -> None:
    disks = [f"wwn-0x{number}" for number in range(7)]
    text = STATUS.format(*(place / f"{disk}-part1" for disk in disks))
    assert faulted_disks(text, Names(place, disks), disks) == {0, 2, 3, 4, 5, 6}, "spares and caches, too"
    assert faulted_disks("no pools available", Names(place, disks), disks) == frozenset()


def test_a_pool_that_cannot_write_gives_no_further_disk_up(place: Path) -> None:
    """What it had given up while it wrote stands: the others are lost to this controller, and no writes went on."""
    disks = [f"wwn-0x{number}" for number in range(7)]
    text = STATUS.format(*(place / f"{disk}-part1" for disk in disks))
    state = next(line for line in text.splitlines() if line.strip().startswith("state:"))
    for word in ("SUSPENDED", "UNAVAIL"):
        lost = text.replace(state, f" state: {word}", 1)
        assert faulted_disks(lost, Names(place, disks), disks, frozenset({3})) == {3}
