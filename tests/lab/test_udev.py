"""Debian's udev for machines: which files are kept, and what happens if apt does not know the package."""

from __future__ import annotations

import pytest

from tests.lab.step import ImageError
from tests.lab.udev import udev


def test_the_daemon_its_rules_and_units_are_in_the_tree() -> None:
    usr = udev() / "usr"
    assert (usr / "bin/udevadm").is_file()
    assert (usr / "lib/udev/rules.d/60-persistent-storage.rules").is_file()
    assert (usr / "lib/systemd/system/sysinit.target.wants/systemd-udevd.service").is_symlink()


def test_lists_without_udev_are_told(empty_lists: None) -> None:
    with pytest.raises(ImageError, match="run `apt-get update` as root"):
        udev()
