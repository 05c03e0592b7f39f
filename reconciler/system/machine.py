"""Which machine this is: its number, another one on any two machines and after each boot, and its serial number.

The kernel draws a random boot id at every start, so a machine that was cloned with its boot disk has another number as
soon as it runs. A daemon that starts again within one boot comes to the same number. Decides nothing.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.system.files import read_bytes

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
NET_NAMESPACE: Final = Path("/proc/thread-self/ns/net")
SERIAL_BYTES_MAX: Final = 256


def boot_id() -> str:
    """Names this boot of the kernel."""
    return BOOT_ID.read_text().strip()


def boot_identity() -> str:
    """Which boot, and which network namespace, this thread lives in (random(4), namespaces(7))."""
    return f"{boot_id()}/{NET_NAMESPACE.readlink()}"


def machine_number(boot: str, serial: str) -> int:
    """64 bits over the boot id and the serial number, never 0.

    The serial number tells a running machine that was copied with its memory from its copy, if the copy has another.
    """
    return int.from_bytes(sha256(f"{boot}\n{serial}".encode()).digest()[:8]) or 1


def machine_serial(path: Path) -> str:
    """What the hardware says of itself in this file (DMI); empty where it says nothing that can be read."""
    try:
        return (read_bytes(path, SERIAL_BYTES_MAX) or b"").decode(errors="replace").strip()
    except StateError:
        return ""
