"""Which directories lie in a dataset: real directories and links on this host's file system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.system.shares.nfs.directory_check import directory_fault
from reconciler.system.shares.nfs.mounted_datasets import MountedDataset, parse_mounts


@pytest.fixture
def home(tmp_path: Path) -> MountedDataset:
    (tmp_path / "home/alpha/beta").mkdir(parents=True)
    (tmp_path / "home/file").touch()
    (tmp_path / "secret").mkdir()
    (tmp_path / "home/out").symlink_to(tmp_path / "secret")
    (tmp_path / "home/inside").symlink_to("alpha")
    return MountedDataset(str(tmp_path / "home"), tmp_path.stat().st_dev)


@pytest.mark.parametrize("path", [None, "alpha", "alpha/beta", "alpha/"])
def test_directories_of_the_dataset_have_no_fault(home: MountedDataset, path: str | None) -> None:
    assert directory_fault(home, path) == ""


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("out", "it leads over a symbolic link"),
        ("inside/beta", "it leads over a symbolic link"),
        ("../secret", "it leads out of its dataset"),
        ("/etc", "it leads out of its dataset"),
        ("gone", "it does not exist"),
        ("file", "it is no directory"),
        ("", "its path is empty or has a zero byte"),
        ("alpha\0", "its path is empty or has a zero byte"),
    ],
)
def test_what_is_no_directory_of_the_dataset_is_told(home: MountedDataset, path: str, fault: str) -> None:
    assert directory_fault(home, path) == fault


def test_another_file_system_over_the_dataset_is_told(home: MountedDataset) -> None:
    assert directory_fault(replace(home, device=home.device + 1), None) == (
        "another file system is mounted over its dataset"
    )
    assert directory_fault(replace(home, place="/nowhere"), None) == "it does not exist"


def test_mounted_datasets_are_read_from_the_list_of_mounts() -> None:
    text = (
        b"36 35 0:52 / /srv/two\\040words rw,noatime shared:1 - zfs tank/two\\040words rw,xattr\n"
        b"37 35 0:52 /part /bind rw - zfs tank/two\\040words rw\n"
        b"38 35 0:53 / /srv/home rw - zfs tank/home rw\n"
        b"39 35 0:53 / /again rw - zfs tank/home rw\n"
        b"40 35 8:1 / / rw - ext4 /dev/sda1 rw\n"
        b"damaged\n"
    )
    assert parse_mounts(text) == {
        "tank/two words": MountedDataset("/srv/two words", 52),
        "tank/home": MountedDataset("/srv/home", 53),
    }
