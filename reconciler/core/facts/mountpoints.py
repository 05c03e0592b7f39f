"""Where a dataset must not be mounted: over, above or below what makes up the system and hagit itself.

Files on a pool belong to clients. A dataset over /etc or /usr/lib/hagit would let them say what root runs, and one over
/ or /run would end the machine. Decides by the path alone; who resolves links first is told the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Nothing is mounted at these, below them, or above them. Debian's directories that programs of root are read from,
#: that the kernel fills, or that hold what a service of the system believes.
SYSTEM: Final = (
    "/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/proc", "/root",
    "/run", "/sbin", "/sys", "/tmp", "/usr", "/var/backups", "/var/cache", "/var/lib/AccountsService",
    "/var/lib/NetworkManager", "/var/lib/apt", "/var/lib/corosync", "/var/lib/dbus", "/var/lib/dhcp", "/var/lib/dpkg",
    "/var/lib/hagit", "/var/lib/initramfs-tools", "/var/lib/misc", "/var/lib/pam", "/var/lib/polkit-1",
    "/var/lib/private", "/var/lib/python", "/var/lib/shim-signed", "/var/lib/sudo", "/var/lib/systemd", "/var/lib/ucf",
    "/var/local", "/var/lock", "/var/log", "/var/mail", "/var/run", "/var/spool", "/var/tmp",
)  # fmt: skip
#: Nothing is mounted at these; below them there is room for data.
WHOLE: Final = ("/opt", "/var/opt")


def system_place(path: str, own: Iterable[str] = ()) -> str:
    """What of the system a dataset at this absolute path would cover or lie in; "" when nothing.

    `own`: directories of this controller that count like those of the system.
    """
    parts = _parts(path)
    for place in (*SYSTEM, *own):
        other = _parts(place)
        if parts[: len(other)] == other or other[: len(parts)] == parts:
            return place
    return next((place for place in WHOLE if _parts(place) == parts), "")


def _parts(path: str) -> tuple[str, ...]:
    """The names on the way; `..` is as good as unresolved and leads anywhere, so it leads to the root."""
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    return () if ".." in parts else parts
