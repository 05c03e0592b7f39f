"""The path of a NIC is what udev calls ID_PATH; the sysfs trees are those of real machines, reduced to what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.system.netlink.device import device_of


def plant(sysfs: Path, *steps: tuple[str, str]) -> None:
    """Devices one inside the other, each with its subsystem; the innermost one is listed under its bus."""
    device = sysfs / "devices"
    for name, subsystem in steps:
        device = device / name
        device.mkdir(parents=True)
        if subsystem:
            bus = sysfs / "bus" / subsystem
            (bus / "devices").mkdir(parents=True, exist_ok=True)
            (device / "subsystem").symlink_to(bus)
            (bus / "devices" / name).symlink_to(device)


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([("pci0000:00", ""), ("0000:00:1c.4", "pci"), ("0000:03:00.0", "pci")], "pci-0000:03:00.0"),
        ([("pci0000:00", ""), ("0000:00:03.0", "pci"), ("virtio0", "virtio")], "pci-0000:00:03.0"),
        (
            [("pci0000:00", ""), ("0000:00:14.0", "pci"), ("usb1", "usb"), ("1-2", "usb"), ("1-2:1.0", "usb")],
            "pci-0000:00:14.0-usb-0:2:1.0",
        ),
        ([("platform", ""), ("fd580000.ethernet", "platform")], "platform-fd580000.ethernet"),
        (
            [("platform", ""), ("fd500000.pcie", "platform"), ("pci0000:00", ""), ("0000:01:00.0", "pci")],
            "platform-fd500000.pcie-pci-0000:01:00.0",
        ),
    ],
    ids=["behind-a-bridge", "virtio", "usb", "soldered", "pci-of-a-board"],
)
def test_paths_of_machines(tmp_path: Path, steps: list[tuple[str, str]], path: str) -> None:
    plant(tmp_path, *steps)
    name, bus = steps[-1]
    assert device_of(bus, name, tmp_path) == (path, "")


def test_the_driver(tmp_path: Path) -> None:
    plant(tmp_path, ("pci0000:00", ""), ("0000:03:00.0", "pci"))
    (tmp_path / "bus/pci/drivers/ixgbe").mkdir(parents=True)
    (tmp_path / "devices/pci0000:00/0000:03:00.0/driver").symlink_to(tmp_path / "bus/pci/drivers/ixgbe")
    assert device_of("pci", "0000:03:00.0", tmp_path) == ("pci-0000:03:00.0", "ixgbe")


@pytest.mark.parametrize(("bus", "name"), [("pci", "0000:99:00.0"), ("", ""), ("pci", "../../x"), ("pci", "x" * 5000)])
def test_what_is_not_there(tmp_path: Path, bus: str, name: str) -> None:
    plant(tmp_path, ("pci0000:00", ""), ("0000:03:00.0", "pci"))
    assert device_of(bus, name, tmp_path) == ("", "")
