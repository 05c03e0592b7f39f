"""The clients of NFS version 4, from /proc/fs/nfsd/clients, and what removes those that will not come back.

What a client calls itself is hostile: the kernel escapes it, and here it is cut and cleaned. Clients of version 3 are
not listed, because the kernel keeps none. Source: client_info_show() and client_ctl_write() in fs/nfsd/nfs4state.c of
Linux 6.1.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from reconciler.core.shares.ports import ConnectedClient
from reconciler.core.shares.shares import Protocol
from reconciler.printing import cut, printable
from reconciler.system.shares.nfs.kernel_server import NFSD

CLIENTS: Final = NFSD / "clients"
CLIENTS_MAX: Final = 1_024
#: Directories that are read at most.
READ_MAX: Final = 16_384
INFO_BYTES_MAX: Final = 8_192
NAME_MAX: Final = 128
#: Files of clients are read for so many clients at most, and so much of each.
STATES_MAX: Final = 256
STATES_BYTES_MAX: Final = 32_768
_SUPER_BLOCK: Final = re.compile(rb'superblock: "([0-9a-f]{1,3}):([0-9a-f]{1,5}):')
#: A courtesy client (linux 5.19 and later) that has been silent for so long after its lease is removed: its record
#: would make the grace period of the next failover last its full time. The kernel itself keeps it for a day.
COURTESY_S: Final = 180
COURTESY: Final = ("courtesy", "expirable")


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One client as the kernel tells it. `minor`: of its version. `silent_s`: since it renewed its lease."""

    directory: Path
    address: str
    name: str
    minor: int
    status: str
    silent_s: int

    def connected(self, shares: tuple[str, ...] = ()) -> ConnectedClient:
        """Return it in the words of the port. `shares`: names of those in which it has files open."""
        return ConnectedClient(
            Protocol.NFS, self.address, self.name, shares, detail=f"NFS 4.{self.minor}, {self.status}"
        )


def parse_info(directory: Path, text: str) -> ClientRecord | None:
    """Return the client that an `info` file describes, None if the text is no such file. Pure."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if colon:
            fields.setdefault(name, value.strip())
    minor, silent = fields.get("minor version", ""), fields.get("seconds from last renew", "")
    if not minor.isdigit() or "status" not in fields:
        return None
    return ClientRecord(
        directory,
        _clean(fields.get("address", "").strip('"')),
        _clean(fields.get("name", "").strip('"')),
        int(minor),
        _clean(fields["status"]),
        int(silent) if silent.lstrip("-").isdigit() else 0,
    )


def clients() -> list[ClientRecord]:
    """Return the clients that the kernel knows, at most `READ_MAX`, ordered by address."""
    found = []
    for directory in islice(_directories(), READ_MAX):
        # One that leaves meanwhile cannot be read any more.
        with contextlib.suppress(OSError), (directory / "info").open("rb") as file:
            record = parse_info(directory, file.read(INFO_BYTES_MAX).decode(errors="replace"))
            if record is not None:
                found.append(record)
    return sorted(found, key=lambda record: (record.address, record.name))


def parse_devices(data: bytes) -> set[int]:
    """Return the devices of the file systems in which a client has opens, locks or delegations. Pure."""
    return {os.makedev(int(major, 16), int(minor, 16)) for major, minor in _SUPER_BLOCK.findall(data)}


def devices_in_use(record: ClientRecord) -> set[int]:
    """Return the devices of the file systems in which this client has files open now, as far as `STATES_BYTES_MAX`."""
    try:
        with (record.directory / "states").open("rb") as file:
            return parse_devices(file.read(STATES_BYTES_MAX))
    except OSError:
        return set()


def expire_old(records: list[ClientRecord], lease_s: int) -> int:
    """Remove courtesy clients that have been silent for long, with their records in nfsdcld. Returns how many.

    Waits for the kernel, which first ends the requests of such a client.
    """
    removed = 0
    for record in records:
        if record.status in COURTESY and record.silent_s > lease_s + COURTESY_S:
            with contextlib.suppress(OSError):
                handle = os.open(record.directory / "ctl", os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(handle, b"expire\n")
                    removed += 1
                finally:
                    os.close(handle)
    return removed


def _directories() -> Iterator[Path]:
    try:
        yield from (entry for entry in CLIENTS.iterdir() if entry.name.isdigit())
    except OSError:
        return


def _clean(text: str) -> str:
    return cut(printable(text), NAME_MAX)
