"""The NVMe host identifier of this machine (NVM Express Base Specification 2.0, 5.27.1.25): whose a registration is.

Reads the identifier of a controller, sets it where there is none, and reads it back. A drive registers hosts by this
identifier: without one it refuses reservation commands, and two machines with one identifier are one registrant, so
neither can be fenced from the other. Over PCIe the identifier is lost when the controller is reset; over fabrics it
belongs to the connection and cannot be set. Does not know who else is registered; `nvme_port` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from reconciler.system.reservation.nvme import NvmeCommand, StatusCode, get_host, set_host

#: nvme-cli(1) reads the identifier of this machine from here.
HOSTID_FILE: Final = "etc/nvme/hostid"
#: What tells this machine from every other one: the main board first, because disks of a system may be copies.
MACHINE_FILES: Final = ("sys/class/dmi/id/product_uuid", "etc/machine-id")
#: Many boards say this in the place of a UUID.
EMPTY_UUIDS: Final = frozenset({UUID(int=0), UUID(int=(1 << 128) - 1), UUID("03000200-0400-0500-0006-000700080009")})
TEXT_BYTES: Final = 4096
LONG, SHORT = 16, 8

#: Sends one admin command: status and data. Raises OSError.
Execute = Callable[[NvmeCommand], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class NvmeHost:
    """What a controller has for an identifier: 16 bytes, or 8 where it knows no longer ones. `why`: why it has none."""

    identifier: bytes = b""
    why: str = ""

    @property
    def extended(self) -> bool:
        """Whether it has 128 bits."""
        return len(self.identifier) != SHORT


def machine_identifier(root: Path = Path("/")) -> bytes:
    """16 bytes that stand for this machine and for no disk; empty when nothing here tells it from another one."""
    configured = _uuid(root / HOSTID_FILE)
    if configured is not None:
        return configured.bytes
    for name in MACHINE_FILES:
        found = _uuid(root / name)
        if found is not None:
            return hashlib.sha256(f"hagit NVMe host {name} {found}".encode()).digest()[:LONG]
    return b""


def ensure_host(execute: Execute, ours: bytes) -> NvmeHost:
    """The identifier of a controller, read back after it was set to `ours` where there was none. Raises OSError."""
    length, found = _read(execute)
    if found is None:
        return NvmeHost(why="the controller does not tell its host identifier")
    if any(found):
        return NvmeHost(found)
    if not ours:
        return NvmeHost(why=f"no host identifier is set, and none can be derived: write a UUID into /{HOSTID_FILE}")
    status, _ = execute(set_host(ours[:length]))
    if status != StatusCode.GOOD:
        return NvmeHost(why=f"the controller refuses a host identifier (status {status:#x})")
    _, again = _read(execute)
    if again != ours[:length]:
        return NvmeHost(why="the controller does not keep the host identifier that it was given")
    return NvmeHost(again)


def _read(execute: Execute) -> tuple[int, bytes | None]:
    for length in (LONG, SHORT):
        status, data = execute(get_host(length))
        if status == StatusCode.GOOD and len(data) == length:
            return length, data
        if status != StatusCode.INVALID_FIELD:
            break
    return LONG, None


def _uuid(path: Path) -> UUID | None:
    try:
        with path.open("rb") as file:
            found = UUID(file.read(TEXT_BYTES).decode().strip())
    except (OSError, ValueError):
        return None
    return None if found in EMPTY_UUIDS else found
