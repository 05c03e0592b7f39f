"""The sysfs side of a NIC: its path in the form of udev's ID_PATH, and its driver.

Starts from the bus and device that netlink names (IFLA_PARENT_DEV_*), not from /sys/class/net, which may show another
network namespace than the one this process runs in. Does not know USB hubs by port, only by the interface's own name,
as udev's path_id does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_SYSFS: Final = Path("/sys")
#: Subsystems that count once, for the innermost device, with the word that ID_PATH puts before its name.
_WORDS: Final = {"pci": "pci-", "platform": "platform-", "acpi": "acpi-", "xen": "xen-", "vmbus": "vmbus-"}


def device_of(bus: str, name: str, sysfs: Path = _SYSFS) -> tuple[str, str]:
    """Path and driver of the device `name` on `bus`; each is empty when sysfs does not tell it."""
    if not bus or not name or "/" in bus + name:
        return "", ""
    try:
        device = (sysfs / "bus" / bus / "devices" / name).resolve(strict=True)
        driver = device / "driver"
        return path_of(device, sysfs.resolve()), driver.resolve().name if driver.exists() else ""
    except (OSError, RuntimeError):
        return "", ""


def path_of(device: Path, sysfs: Path) -> str:
    """ID_PATH of a device directory, from the innermost device outwards (systemd's udev-builtin-path_id)."""
    parts: list[str] = []
    inner = ""
    while device != sysfs and sysfs in device.parents:
        link = device / "subsystem"
        subsystem = link.resolve().name if link.exists() else ""
        # Bridges above a PCI device, hubs above a USB device and the like do not count again.
        if subsystem != inner:
            if subsystem in _WORDS:
                parts.insert(0, _WORDS[subsystem] + device.name)
            elif subsystem == "usb":
                parts.insert(0, "usb-0:" + device.name.partition("-")[2])
            inner = subsystem
        device = device.parent
    return "-".join(parts)
