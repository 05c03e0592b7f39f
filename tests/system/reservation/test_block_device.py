"""Names, links and sysfs: what is a disk, by which paths, and what is said of everything that is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reconciler.system.reservation.block_device import BlockDevice, DiskKind, Finder, Paths, Unusable


class Tree:
    """A sysfs and a directory of names; nodes are made with the numbers that the tree gives them."""

    def __init__(self, root: Path) -> None:
        self.root, self.sysfs, self.names = root, root / "sys", root / "by-id"
        self.names.mkdir()
        (self.sysfs / "dev/block").mkdir(parents=True)
        self.count = 0

    def device(self, name: str, *, wwid: str = "", state: str = "running", inside: str = "") -> Path:
        """One block device of the kernel; its node is beside the names."""
        place = self.sysfs / "devices" / inside / name
        (place / "device").mkdir(parents=True)
        if not name.startswith(("dm", "loop", "nvme")):
            (place / "device/state").write_text(state + "\n")
            (place / "device/wwid").write_text(wwid + "\n")
        else:
            (place / "wwid").write_text(wwid + "\n")
        (self.sysfs / "block").mkdir(exist_ok=True)
        if not inside:
            (self.sysfs / "block" / name).symlink_to(place)
        self.count += 1
        # Numbers of a range for experiments (Documentation/admin-guide/devices.txt); nothing is opened.
        number = (240, self.count)
        (self.sysfs / "dev/block" / f"{number[0]}:{number[1]}").symlink_to(place)
        os.mknod(self.root / name, stat.S_IFBLK | 0o600, os.makedev(*number))
        return place

    def name(self, name: str, target: str) -> None:
        (self.names / name).symlink_to(f"../{target}")

    def find(self, name: str) -> BlockDevice:
        return Finder(self.names, self.sysfs, self.root).find(name)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_scsi_disk_with_one_path(tree: Tree) -> None:
    tree.device("sda", wwid="naa.5000c500a")
    tree.name("wwn-a", "sda")
    assert tree.find("wwn-a") == BlockDevice(DiskKind.SCSI, tree.root / "sda", (tree.root / "sda",), "naa.5000c500a")


def test_disks_with_one_world_wide_name_are_one_disk(tree: Tree) -> None:
    for name, wwid in (("sda", "naa.1"), ("sdb", "naa.2"), ("sdaa", "naa.1"), ("sdc", "naa.1")):
        tree.device(name, wwid=wwid)
    tree.name("one", "sdc")
    assert [path.name for path in tree.find("one").paths] == ["sdc", "sda", "sdaa"]


def test_a_disk_that_took_the_name_of_another_is_that_other_no_more(tree: Tree) -> None:
    for name, wwid in (("sda", "naa.1"), ("sdb", "naa.1")):
        tree.device(name, wwid=wwid)
    paths = Paths(tree.sysfs)
    assert paths.of("naa.1") == ("sda", "sdb")
    place = tree.device("sdc", wwid="naa.1")
    paths.forget()
    assert paths.of("naa.1") == ("sda", "sdb", "sdc")
    (place / "device/wwid").write_text("naa.2\n")
    link = tree.sysfs / "block/sdc"
    # A new entry for the same name: the old one still exists, so that its number is not given again.
    link.rename(tree.root / "old")
    link.symlink_to(place)
    paths.forget()
    assert paths.of("naa.1") == ("sda", "sdb")
    assert paths.of("naa.2") == ("sdc",)
    assert paths.of("naa.3") == ()


def test_what_was_found_holds_until_the_kernel_tells_of_an_event(tree: Tree) -> None:
    (tree.sysfs / "kernel").mkdir()
    events = tree.sysfs / "kernel/uevent_seqnum"
    events.write_text("7\n")
    finder = Finder(tree.names, tree.sysfs, tree.root)

    def paths(name: str) -> list[str]:
        return [path.name for path in finder.find(name).paths]

    first = tree.device("sda", wwid="naa.1")
    tree.name("one", "sda")
    assert paths("one") == ["sda"]
    tree.device("sdb", wwid="naa.1")
    assert paths("one") == ["sda"]
    events.write_text("8\n")
    assert paths("one") == ["sda", "sdb"]
    # Another name for the same device, and one that leads to another now: no event comes between.
    tree.name("alias", "sdb")
    assert paths("alias") == ["sdb", "sda"]
    (tree.names / "one").unlink()
    tree.name("one", "sdb")
    assert paths("one") == ["sdb", "sda"]
    # Of states there are no events.
    (first / "device/state").write_text("offline\n")
    assert paths("one") == ["sdb"]


def test_members_of_a_multipath_device_are_read_each_time(tree: Tree) -> None:
    (tree.sysfs / "kernel").mkdir()
    (tree.sysfs / "kernel/uevent_seqnum").write_text("7\n")
    finder = Finder(tree.names, tree.sysfs, tree.root)
    for name in ("sda", "sdb"):
        tree.device(name, wwid="t10.ATA     MODEL")
    place = tree.device("dm-0")
    (place / "dm").mkdir()
    (place / "dm/uuid").write_text("mpath-35000c500\n")
    (place / "slaves/sda").mkdir(parents=True)
    tree.name("one", "dm-0")
    assert [path.name for path in finder.find("one").paths] == ["sda"]
    (place / "slaves/sdb").mkdir()
    assert [path.name for path in finder.find("one").paths] == ["sda", "sdb"]


def test_a_path_that_is_not_in_the_table_of_its_multipath_device_is_a_path_as_well(tree: Tree) -> None:
    for name, wwid in (("sda", "naa.1"), ("sdb", "naa.2"), ("sdc", "naa.1"), ("sdd", "naa.1")):
        tree.device(name, wwid=wwid, state="offline" if name == "sdd" else "running")
    place = tree.device("dm-0")
    (place / "dm").mkdir()
    (place / "dm/uuid").write_text("mpath-35000c500\n")
    (place / "slaves/sdc").mkdir(parents=True)
    tree.name("one", "dm-0")
    found = tree.find("one")
    assert found.node == tree.root / "dm-0"
    assert [path.name for path in found.paths] == ["sdc", "sda"]
    assert [path.name for path in found.down] == ["sdd"]


def test_a_name_that_many_disks_may_share_groups_nothing(tree: Tree) -> None:
    for name in ("sda", "sdb"):
        tree.device(name, wwid="t10.ATA     MODEL")
    tree.name("one", "sda")
    assert [path.name for path in tree.find("one").paths] == ["sda"]


def test_a_path_that_the_kernel_holds_back_is_not_asked(tree: Tree) -> None:
    tree.device("sda", wwid="naa.1", state="blocked")
    tree.device("sdb", wwid="naa.1")
    tree.name("one", "sda")
    assert [path.name for path in tree.find("one").paths] == ["sdb"]


def test_a_partition_stands_for_its_disk(tree: Tree) -> None:
    tree.device("sda", wwid="naa.1")
    (tree.device("sda1", inside="sda") / "partition").write_text("1\n")
    tree.name("one-part1", "sda1")
    assert tree.find("one-part1").node == tree.root / "sda"


def test_an_nvme_namespace(tree: Tree) -> None:
    tree.device("nvme0n1", wwid="eui.0011")
    tree.name("nvme-x", "nvme0n1")
    assert tree.find("nvme-x") == BlockDevice(
        DiskKind.NVME, tree.root / "nvme0n1", (tree.root / "nvme0n1",), "eui.0011"
    )


def test_a_multipath_device_has_its_members(tree: Tree) -> None:
    for name in ("sda", "sdb"):
        tree.device(name, wwid="naa.1")
    place = tree.device("dm-0")
    (place / "dm").mkdir()
    (place / "dm/uuid").write_text("mpath-35000c500\n")
    (place / "slaves").mkdir()
    tree.name("dm-uuid-mpath", "dm-0")
    with pytest.raises(Unusable, match="a multipath device without a path"):
        tree.find("dm-uuid-mpath")
    for name in ("sda", "sdb"):
        (place / "slaves" / name).mkdir()
    found = tree.find("dm-uuid-mpath")
    assert (found.node, found.wwid) == (tree.root / "dm-0", "35000c500")
    assert [path.name for path in found.paths] == ["sda", "sdb"]


def test_everything_that_is_no_disk_has_its_own_message(tree: Tree) -> None:
    tree.device("loop0")
    tree.name("loop", "loop0")
    (tree.root / "file").write_text("")
    tree.name("file", "file")
    tree.name("directory", "sys")
    tree.name("gone", "sdz")
    tree.name("circle", "by-id/circle")
    (tree.names / "zero").symlink_to("/dev/zero")
    os.mknod(tree.root / "unknown", stat.S_IFBLK | 0o600, os.makedev(240, 99))
    tree.name("unknown", "unknown")
    for name, words in {
        "loop": r"\(loop0\) is neither a SCSI nor an NVMe disk: it knows no reservations",
        "file": "is a regular file, not a disk",
        "directory": "is a directory, not a disk",
        "zero": "is a character device, not a disk",
        "gone": r"points to \.\./sdz, which does not exist: the disk is gone",
        "circle": "is a loop of symbolic links",
        "absent": "does not exist: the disk is absent, or its name is wrong",
        "unknown": "is a device 240:99 that the kernel does not know",
        "../sda": "leads out of",
        "/dev/sda": "leads out of",
        "": "leads out of",
        "x" * 300: "cannot be looked at: File name too long",
    }.items():
        with pytest.raises(Unusable, match=words):
            tree.find(name)
