"""NVMe's reservation commands as bytes (NVM Express Base Specification 2.0, 7.2 to 7.5), and what the answers say.

Everything is little-endian here, and types of reservations have other numbers than in SCSI. Decides the form of
commands. Does not know how they reach a disk.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from reconciler.system.reservation.registration_state import TYPE, Malformed, Registration, RegistrationState

REGISTER: Final = 0x0D
REPORT: Final = 0x0E
ACQUIRE: Final = 0x11
#: Admin commands, and the feature that is the host identifier (5.27.1.25).
SET_FEATURES: Final = 0x09
GET_FEATURES: Final = 0x0A
HOST_IDENTIFIER_FEATURE: Final = 0x81

HEADER_BYTES: Final = 24
EXTENDED_HEADER_BYTES: Final = 64
#: More controllers than any namespace has attached.
REPORT_BYTES_MAX: Final = 1 << 18

#: Type of SPC-4, by that of NVMe (figure 421).
SCSI_TYPES: Final = {1: 1, 2: 3, 3: 5, 4: 6, 5: 7, 6: 8}
NVME_TYPES: Final = {scsi: nvme for nvme, scsi in SCSI_TYPES.items()}

IGNORE_KEY: Final = 1 << 3
#: CPTPL 11b: registrations and reservation outlive a loss of power.
PERSIST: Final = 0b11 << 30


class Registering(IntEnum):
    """RREGA."""

    REGISTER = 0
    UNREGISTER = 1
    REPLACE = 2


class Acquiring(IntEnum):
    """RACQA."""

    ACQUIRE = 0
    PREEMPT = 1
    PREEMPT_AND_ABORT = 2


class StatusCode(IntEnum):
    """Generic command status values, with the status code type 0 (figure 95)."""

    GOOD = 0x00
    INVALID_OPCODE = 0x01
    INVALID_FIELD = 0x02
    ABORTED = 0x07
    HOST_IDENTIFIER = 0x18
    RESERVATION_CONFLICT = 0x83


#: Type and code in what the ioctl returns; the bits above say whether to repeat (struct nvme_completion).
STATUS_MASK: Final = 0x7FF


@dataclass(frozen=True, slots=True)
class NvmeCommand:
    """One command: what is sent, or how many bytes are wanted. `admin`: to the controller, not to a namespace."""

    opcode: int
    cdw10: int = 0
    cdw11: int = 0
    send: bytes = b""
    receive: int = 0
    admin: bool = False


def get_host(length: int) -> NvmeCommand:
    """Get Features, Host Identifier, of 8 or 16 bytes."""
    return NvmeCommand(GET_FEATURES, HOST_IDENTIFIER_FEATURE, int(length == 16), receive=length, admin=True)


def set_host(identifier: bytes) -> NvmeCommand:
    """Set Features, Host Identifier, of 8 or 16 bytes."""
    extended = int(len(identifier) == 16)
    return NvmeCommand(SET_FEATURES, HOST_IDENTIFIER_FEATURE, extended, send=identifier, admin=True)


def register(action: Registering, key: int, new: int, *, ignore: bool = False, persist: bool = False) -> NvmeCommand:
    """Reservation Register: `key` is the current one, which `ignore` makes irrelevant."""
    cdw10 = action | (IGNORE_KEY if ignore else 0) | (PERSIST if persist else 0)
    return NvmeCommand(REGISTER, cdw10, send=struct.pack("<QQ", key, new))


def acquire(action: Acquiring, key: int, victim: int = 0) -> NvmeCommand:
    """Reservation Acquire, of the type that is 5 in SCSI."""
    return NvmeCommand(ACQUIRE, action | NVME_TYPES[TYPE] << 8, send=struct.pack("<QQ", key, victim))


def report(count: int, *, extended: bool = True) -> NvmeCommand:
    """Reservation Report of `count` bytes, a multiple of 4. `extended`: with host identifiers of 128 bits."""
    assert count % 4 == 0 and count >= EXTENDED_HEADER_BYTES
    return NvmeCommand(REPORT, count // 4 - 1, int(extended), receive=count)


@dataclass(frozen=True, slots=True)
class Report:
    """A decoded report. `wanted`: how many bytes it has in all; more than were asked for, when some are missing.

    There is an entry for each controller of a registered host. `hosts`: each host identifier with its key, once; they
    are what `standing` counts.
    """

    standing: RegistrationState
    registrations: tuple[Registration, ...]
    persisting: bool
    wanted: int
    hosts: tuple[tuple[bytes, int], ...] = ()


def decode_report(data: bytes, *, extended: bool = True) -> Report:
    """A Reservation Status data structure (figures 425 to 428). Raises Malformed."""
    header, entry = (EXTENDED_HEADER_BYTES, "<HB5xQ16s32x") if extended else (HEADER_BYTES, "<HB5x8sQ")
    if len(data) < header:
        raise Malformed(f"a report of {len(data)} bytes")
    generation, kind, count = struct.unpack_from("<IBH", data)
    persisting = bool(data[9] & 1)
    size = struct.calcsize(entry)
    found, hosts = [], []
    for at in range(min(count, (len(data) - header) // size)):
        _, status, first, second = struct.unpack_from(entry, data, header + at * size)
        key, host = (first, second) if extended else (second, first)
        found.append(Registration(key, bool(status & 1), f"host {host.hex()}" if any(host) else ""))
        if not any(host) or (host, key) not in hosts:
            hosts.append((host, key))
    holder = next((one.key for one in found if one.holds), None) if kind else None
    scsi = SCSI_TYPES.get(kind, 0)
    if scsi in (7, 8):
        holder = 0
    standing = RegistrationState(generation, tuple(key for _, key in hosts), holder, scsi if kind else TYPE)
    return Report(standing, tuple(found), persisting, header + count * size, tuple(hosts))
