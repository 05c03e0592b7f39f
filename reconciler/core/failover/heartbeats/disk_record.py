"""Disk record: a beat in one 512-byte sector, told apart from a blank, torn, foreign or copied one.

Each controller writes a sector of its own on every arbitration disk and reads the other's. Layout: as in `wire`, then
zeros, the seal at 472 and, in the last 8 bytes, the bytes of the counter again. A write that stopped within the sector
leaves the two counters different, which tells more than a broken seal. Version 2 may grow up to the seal. Does not know
the place of the sectors on a disk. On a drive with larger sectors the record is the first 512 bytes of one, and the
rest is zeros.
"""

from __future__ import annotations

from typing import Final

from reconciler.core.failover.heartbeats.authentication import SEAL_BYTES, Purpose, derive, seal, sealed
from reconciler.core.failover.heartbeats.heartbeat import Beat
from reconciler.core.failover.heartbeats.wire import (
    CONTENT_BYTES,
    COUNTER_AT,
    VERSION,
    Decoded,
    Direction,
    Kind,
    beat_content,
    beat_of,
    misdirected,
    short_digest,
)
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side

RECORD_BYTES: Final = 512
TAIL_AT: Final = RECORD_BYTES - 8
SEAL_AT: Final = TAIL_AT - SEAL_BYTES

assert max(CONTENT_BYTES) <= SEAL_AT


def record_way(secret: bytes, pair: str, disk: str, sender: Side) -> Direction:
    """Return the way of one sender's records on one disk (its name in the orders).

    A reader refuses a record that was copied to another disk. Raises NodeFileError for an unfit secret.
    """
    key = derive(secret, Purpose.RECORD, pair, disk, sender.value)
    return Direction(Kind.RECORD, sender, short_digest(pair, 8), short_digest(disk, 4), key)


def encode_record(beat: Beat, way: Direction, version: int = VERSION, reads: int = VERSION) -> bytes:
    """Return 512 bytes in either version. `reads`: the highest version that the sender reads."""
    content = beat_content(beat, way, version, reads).ljust(SEAL_AT, b"\0")
    tail = content[COUNTER_AT : COUNTER_AT + 8]
    return content + seal(way.key, content + tail) + tail


def decode_record(data: bytes, way: Direction) -> Decoded | Refused:
    """Return the beat in the peer's sector. Never raises for any bytes. BLANK and TORN do not point to an intruder."""
    if len(data) != RECORD_BYTES:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, a record has {RECORD_BYTES}")
    if not any(data):
        return Refused(Refusal.BLANK)
    content, tail = data[:SEAL_AT], data[TAIL_AT:]
    refused = misdirected(content, way)
    if refused is not None:
        return refused
    if content[COUNTER_AT : COUNTER_AT + 8] != tail:
        return Refused(Refusal.TORN)
    if not sealed(way.key, content + tail, data[SEAL_AT:TAIL_AT]):
        return Refused(Refusal.SEAL)
    if content[4] == 1 and any(content[CONTENT_BYTES[1] :]):
        return Refused(Refusal.AUTHENTIC_DEFECT, "something where zeros belong")
    return beat_of(content, way)
