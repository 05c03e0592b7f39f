"""Beats as bytes: the one layout that the datagram and the disk record share, and the datagram around it.

Decides which datagrams are beats of the peer: right length, pair, channel and sender, sealed for just this way, in the
only form allowed. Whether a beat is new is said by `window` and `detector`. Does not know sockets.

    offset  bytes  all integers big-endian                offset  bytes
         0      4  "hgHB"                                     40      8  echo
         4      1  version, 1                                 48      8  epoch
         5      1  kind: 1 datagram, 2 record                 56      8  failover groups down, bit n is group n
         6      1  sender: 1 is a, 2 is b                     64      8  generation of the orders
         7      1  phase                                      72      8  digest of the orders
         8      8  pair, SHA-256 of its name, cut             80      8  digest of the shelf
        16      4  way, SHA-256 of channel or disk, cut       88    256  disks given up, bit n is disk n
        20      4  flags                                     344     32  seal over all that is before (datagram)
        24     16  incarnation, counter
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from reconciler.core.failover.heartbeat import Beat
from reconciler.core.failover.key import EPOCH_MAX, Side
from reconciler.core.failover.phase import Phase
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.seal import SEAL_BYTES, Purpose, SealKey, derive, seal, sealed
from reconciler.core.failover.unsafe import DISKS_MAX, GROUPS_MAX

MAGIC: Final = b"hgHB"
VERSION: Final = 1
LAYOUT: Final = struct.Struct(f">4sBBBBQII8Q{DISKS_MAX // 8}s")
DATAGRAM_BYTES: Final = LAYOUT.size + SEAL_BYTES
COUNTER_MAX: Final = (1 << 64) - 1

SIDE_CODES: Final = {Side.A: 1, Side.B: 2}
#: By the phase's code; 0 is none. A phase is never given another's code.
PHASES: Final = (
    None, Phase.BOOTING, Phase.STANDBY, Phase.CLAIMING, Phase.IMPORTING, Phase.ACTIVE, Phase.RELEASING, Phase.HALTED,
)  # fmt: skip
#: By bit. A flag is never given another's bit.
FLAGS: Final = ("sees", "able", "handed", "dying", "enabled")

assert GROUPS_MAX <= 64


class Kind(Enum):
    """What is around the layout."""

    DATAGRAM = 1
    RECORD = 2


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of one channel or disk: who sends, what the bytes must say of it, and the key that seals them."""

    kind: Kind
    sender: Side
    pair: int
    name: int
    key: SealKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A beat that the peer wrote for this way."""

    beat: Beat


@lru_cache(maxsize=4_096)
def short_digest(text: str, count: int) -> int:
    """The first `count` bytes of SHA-256: enough to tell names apart for the message; the seal's key has them whole."""
    return int.from_bytes(sha256(text.encode()).digest()[:count])


def datagram_way(secret: bytes, pair: str, channel: str, sender: Side) -> Way:
    """The way of datagrams of one sender on one network channel. Raises NodeFileError for an unfit secret."""
    key = derive(secret, Purpose.DATAGRAM, pair, channel, sender.value)
    return Way(Kind.DATAGRAM, sender, short_digest(pair, 8), short_digest(channel, 4), key)


def encode_datagram(beat: Beat, way: Way) -> bytes:
    """376 bytes."""
    content = beat_content(beat, way)
    return content + seal(way.key, content)


def decode_datagram(data: bytes, way: Way) -> Decoded | Refused:
    """The beat in a datagram that arrived on `way`, whose sender is the peer. Never raises, whatever the bytes."""
    if len(data) != DATAGRAM_BYTES:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, a datagram has {DATAGRAM_BYTES}")
    content = data[: LAYOUT.size]
    refused = misdirected(content, way)
    if refused is not None:
        return refused
    if not sealed(way.key, content, data[LAYOUT.size :]):
        return Refused(Refusal.SEAL)
    return beat_of(content, way)


def beat_content(beat: Beat, way: Way) -> bytes:
    """The layout filled in, 344 bytes, not sealed. The beat must be the sender's own and within the layout's limits."""
    assert beat.side is way.sender, f"a beat of {beat.side} on the way of {way.sender}"
    assert 0 <= beat.epoch <= EPOCH_MAX, f"epoch {beat.epoch}"
    assert all(0 <= disk < DISKS_MAX for disk in beat.out) and all(
        0 <= group < GROUPS_MAX for group in beat.groups_down
    )
    return LAYOUT.pack(
        MAGIC,
        VERSION,
        way.kind.value,
        SIDE_CODES[beat.side],
        PHASES.index(beat.phase),
        way.pair,
        way.name,
        sum(getattr(beat, name) << bit for bit, name in enumerate(FLAGS)),
        beat.incarnation,
        beat.counter,
        beat.echo,
        beat.epoch,
        _bits(beat.groups_down),
        beat.generation,
        beat.digest,
        beat.shelf,
        _bits(beat.out).to_bytes(DISKS_MAX // 8),
    )


def misdirected(content: bytes, way: Way) -> Refused | None:
    """What the first bytes say against the way, before the seal is looked at; None when they fit."""
    magic, version, kind, sender, _, pair, name = struct.unpack_from(">4sBBBBQI", content)
    if magic != MAGIC:
        return Refused(Refusal.FOREIGN)
    if version != VERSION:
        return Refused(Refusal.VERSION, f"version {version}, this is {VERSION}")
    if kind != way.kind.value:
        return Refused(Refusal.KIND, f"kind {kind}")
    if pair != way.pair:
        return Refused(Refusal.PAIR, f"pair {pair:016x}, this is {way.pair:016x}")
    if name != way.name:
        return Refused(Refusal.WAY, f"{name:08x}, this is {way.name:08x}")
    if sender == SIDE_CODES[way.sender.other]:
        return Refused(Refusal.REFLECTED)
    if sender != SIDE_CODES[way.sender]:
        return Refused(Refusal.SENDER, f"sender {sender}")
    return None


def beat_of(content: bytes, way: Way) -> Decoded | Refused:
    """The beat in a layout that the seal vouches for. A peer with a bug is refused like a stranger."""
    (_, _, _, _, phase_code, _, _, flags, *numbers, out) = LAYOUT.unpack(content)
    incarnation, counter, echo, epoch, groups, generation, digest, shelf = numbers
    phase = PHASES[phase_code] if phase_code < len(PHASES) else None
    if phase is None:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"phase {phase_code}")
    if flags >> len(FLAGS):
        return Refused(Refusal.AUTHENTIC_DEFECT, f"flags {flags:#x}")
    if epoch > EPOCH_MAX:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"epoch {epoch}")
    return Decoded(
        Beat(
            side=way.sender,
            incarnation=incarnation,
            counter=counter,
            echo=echo,
            phase=phase,
            epoch=epoch,
            groups_down=_members(groups),
            out=_members(int.from_bytes(out)),
            generation=generation,
            digest=digest,
            shelf=shelf,
            **{name: bool(flags >> bit & 1) for bit, name in enumerate(FLAGS)},
        )
    )


def _bits(members: frozenset[int]) -> int:
    return sum(1 << member for member in members)


def _members(bits: int) -> frozenset[int]:
    found = []
    while bits:
        found.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return frozenset(found)
