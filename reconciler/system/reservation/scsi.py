"""PERSISTENT RESERVE IN and OUT as bytes (SPC-4, 6.15 and 6.16), and what the answers say.

Decides the form of commands and which answers are whole. Does not know how bytes reach a disk.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from reconciler.system.reservation.registration_state import TYPE, Malformed, Registration

RESERVE_IN: Final = 0x5E
RESERVE_OUT: Final = 0x5F
#: MAINTENANCE IN, REPORT SUPPORTED OPERATION CODES (SPC-4, 6.35).
MAINTENANCE_IN: Final = 0xA3
REPORT_SUPPORTED: Final = 0x0C
PARAMETER_BYTES: Final = 24
HEADER_BYTES: Final = 8
ALLOCATION_MAX: Final = 0xFFFF


class Status(IntEnum):
    """SAM-5, 5.3.1."""

    GOOD = 0x00
    CHECK_CONDITION = 0x02
    BUSY = 0x08
    RESERVATION_CONFLICT = 0x18
    TASK_SET_FULL = 0x28
    TASK_ABORTED = 0x40


class In(IntEnum):
    """Service actions of PERSISTENT RESERVE IN (table 189)."""

    READ_KEYS = 0
    READ_RESERVATION = 1
    REPORT_CAPABILITIES = 2
    READ_FULL_STATUS = 3


class Out(IntEnum):
    """Service actions of PERSISTENT RESERVE OUT (table 205) that are used."""

    REGISTER = 0
    RESERVE = 1
    PREEMPT = 4
    PREEMPT_AND_ABORT = 5
    REGISTER_AND_IGNORE_EXISTING_KEY = 6


def reserve_in(action: In, allocation: int) -> bytes:
    """The CDB that asks; `allocation` bytes of answer at the most."""
    return struct.pack(">BB5xHB", RESERVE_IN, action, allocation, 0)


def reserve_out(action: Out) -> bytes:
    """The CDB that changes something; where there is a type it is 5, for the whole logical unit."""
    kind = 0 if action in (Out.REGISTER, Out.REGISTER_AND_IGNORE_EXISTING_KEY) else TYPE
    return struct.pack(">BBB2xIB", RESERVE_OUT, action, kind, PARAMETER_BYTES, 0)


def parameters(key: int, action_key: int, *, aptpl: bool = False) -> bytes:
    """The 24 bytes that go with it: RESERVATION KEY, SERVICE ACTION RESERVATION KEY, APTPL (table 206)."""
    return struct.pack(">QQ4xB3x", key, action_key, int(aptpl))


def report_supported(code: int, action: int, allocation: int) -> bytes:
    """The CDB that asks whether one service action is supported (REPORTING OPTIONS 010b)."""
    return struct.pack(">BBBBHIBB", MAINTENANCE_IN, REPORT_SUPPORTED, 0x02, code, action, allocation, 0, 0)


def is_supported(data: bytes) -> bool | None:
    """What the answer to `report_supported` says (table 258): None when the disk does not know now."""
    support = data[1] & 0x07 if len(data) > 1 else 0
    return {1: False, 3: True, 5: True}.get(support)


@dataclass(frozen=True, slots=True)
class Keys:
    """READ KEYS: one key for each registered path. `more`: bytes that the allocation had no room for."""

    generation: int
    keys: tuple[int, ...]
    more: int = 0


def decode_keys(data: bytes) -> Keys:
    """READ KEYS (table 191). Raises Malformed."""
    generation, length, body, more = _body(data)
    if length % 8:
        raise Malformed(f"keys of {length} bytes")
    count = len(body) // 8
    return Keys(generation, struct.unpack(f">{count}Q", body[: count * 8]), more)


@dataclass(frozen=True, slots=True)
class Reservation:
    """READ RESERVATION. `holder` None: there is no reservation; 0: everybody who is registered holds it."""

    generation: int
    holder: int | None = None
    scope: int = 0
    kind: int = TYPE


def decode_reservation(data: bytes) -> Reservation:
    """READ RESERVATION (table 193). Raises Malformed."""
    generation, length, body, _ = _body(data)
    if not length:
        return Reservation(generation)
    if len(body) < 16:
        raise Malformed(f"a reservation of {len(body)} bytes")
    return Reservation(generation, int.from_bytes(body[:8]), body[13] >> 4, body[13] & 0x0F)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """REPORT CAPABILITIES (table 196). `types`: those that it supports, if it says."""

    persists: bool
    persisting: bool
    types: frozenset[int] | None


#: TYPE MASK, bytes 4 and 5 (table 198), as bits of a big-endian number.
TYPE_BITS: Final = {7: 15, 6: 14, 5: 13, 3: 11, 1: 9, 8: 0}


def decode_capabilities(data: bytes) -> Capabilities:
    """REPORT CAPABILITIES. Raises Malformed."""
    if len(data) < 8 or int.from_bytes(data[:2]) < 8:
        raise Malformed(f"capabilities of {len(data)} bytes")
    mask = int.from_bytes(data[4:6])
    types = frozenset(kind for kind, bit in TYPE_BITS.items() if mask >> bit & 1) if data[3] & 0x80 else None
    return Capabilities(bool(data[2] & 0x01), bool(data[3] & 0x01), types)


def decode_full_status(data: bytes) -> tuple[int, tuple[Registration, ...], int]:
    """READ FULL STATUS (tables 200 and 201): generation, registrations, and bytes that found no room.

    Raises Malformed.
    """
    generation, _, body, more = _body(data)
    found = []
    while len(body) >= 24:
        follows = int.from_bytes(body[20:24])
        if len(body) < 24 + follows and not more:
            raise Malformed("a registration that is cut off")
        holds = bool(body[12] & 0x01)
        found.append(Registration(int.from_bytes(body[:8]), holds, transport_id(body[24 : 24 + follows])))
        body = body[24 + follows :]
    if body and not more:
        raise Malformed(f"{len(body)} bytes after the last registration")
    return generation, tuple(found), more


def transport_id(data: bytes) -> str:
    """An initiator in words (SPC-4, 7.6.4): `iqn... `, `sas 5000...`; empty when it cannot be told."""
    if len(data) < 24:
        return ""
    match data[0] & 0x0F:
        case 0x0:
            return f"fc {data[8:16].hex()}"
        case 0x4:
            return f"srp {data[8:24].hex()}"
        case 0x5:
            length = int.from_bytes(data[2:4])
            name = data[4 : 4 + length].split(b"\0", 1)[0].split(b",", 1)[0]
            text = name.decode("utf-8", "replace")
            return text if text.isprintable() else ""
        case 0x6:
            return f"sas {data[4:12].hex()}"
        case _:
            return ""


def _body(data: bytes) -> tuple[int, int, bytes, int]:
    """Generation, ADDITIONAL LENGTH, what is there of the body, and what is missing because there was no room."""
    if len(data) < HEADER_BYTES:
        raise Malformed(f"an answer of {len(data)} bytes")
    generation, length = struct.unpack(">II", data[:HEADER_BYTES])
    body = data[HEADER_BYTES : HEADER_BYTES + length]
    return generation, length, body, length - len(body)
