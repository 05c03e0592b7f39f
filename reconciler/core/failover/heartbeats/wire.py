"""Wire format: the layout that the datagram and the disk record share, and the datagram around it.

Decides which datagrams are beats of the peer: right length, pair, channel and sender, a valid seal for this way, and a
form that its version allows. `replay_window` and `failure_detector` decide whether a beat is new; `layout_version`
chooses the version to write. A *way* is one direction of one channel or disk. Does not know sockets.

    offset  bytes  all integers big-endian                offset  bytes
         0      4  "hgHB"                                     40      8  echo
         4      1  version, 1 or 2                            48      8  epoch
         5      1  kind: 1 datagram, 2 record                 56      8  failover groups down, bit n is group n
         6      1  sender: 1 is a, 2 is b                     64      8  generation of the orders
         7      1  phase                                      72      8  digest of the orders
         8      8  pair, SHA-256 of its name, cut             80      8  digest of the shelf
        16      4  way, SHA-256 of channel or disk, cut       88    256  disks given up, bit n is disk n
        20      4  flags                                          version 2 only:
        24      8  incarnation                               344      8  number of the sending machine
        32      1  highest version that the sender reads     352      1  pools whose transaction groups follow
        33      7  counter                                   353      4  another secret that the sender accepts
                                                             357      3  zeros
                                                             360     64  transaction groups of up to 8 pools
                                                             424      8  digest of the policy
                                                             432      4  longest life without disks, in ms
    at the end: seal, 32 bytes over all bytes before it (datagram)

Version 1 has exactly these 344 bytes; its readers refuse every other flag. Its first release counted with all 8 bytes
from 32 on. So it wrote 0 in the byte where a later release names the version that it reads. To the first release this
byte is a part of a counter that still rises. So each release understands the other before the two have heard each
other.

Version 2 may grow. A writer of a later release may set more flags and append bytes after the last one listed, as long
as zero there means "not said" and a reader that ignores them decides nothing unsafe. A reader uses the fields that it
knows and reports others as `newer`; it never refuses a beat for them. A later release names a higher version at 32, so
a sender knows which fields its peer reads. A change that an older reader must not misunderstand, such as another phase,
needs another version in byte 4: readers refuse versions that they do not know, and `layout_version` chooses a version
only for a peer that reads it. So a writer uses version 3 for a reader of version 3, and version 2 for others.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from reconciler.core.failover.heartbeats.authentication import SEAL_BYTES, Purpose, SealKey, derive, seal, sealed
from reconciler.core.failover.heartbeats.heartbeat import TXGS_MAX, Beat
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.safety_checks import DISKS_MAX, GROUPS_MAX
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import EPOCH_MAX, Side

MAGIC: Final = b"hgHB"
#: The highest version that this release reads, and writes to a peer that reads it.
VERSION: Final = 2
LAYOUT: Final = struct.Struct(f">4sBBBBQII8Q{DISKS_MAX // 8}s")
#: Fields that version 2 appends: machine, number of transaction groups, fingerprint of a secret, transaction groups,
#: policy, life without disks.
EXTENSION: Final = struct.Struct(f">QBI3x{TXGS_MAX}QQI")
LIFE_MS_MAX: Final = (1 << 32) - 1
#: By version: number of bytes that a writer of this release fills. There is no version 0.
CONTENT_BYTES: Final = (0, LAYOUT.size, LAYOUT.size + EXTENSION.size)
#: By version: the longest datagram. Version 2 may grow as long as one Ethernet frame carries it.
DATAGRAM_BYTES_MAX: Final = (0, LAYOUT.size + SEAL_BYTES, 1_400)
#: The byte at COUNTER_AT names the highest version that the sender reads; the other seven bytes are the counter.
COUNTER_AT: Final = 32
COUNTER_BITS: Final = 56
COUNTER_MAX: Final = (1 << COUNTER_BITS) - 1

SIDE_CODES: Final = {Side.A: 1, Side.B: 2}
#: By the phase's code; 0 is none. Never give a phase the code of another.
PHASES: Final = (
    None, Phase.BOOTING, Phase.STANDBY, Phase.CLAIMING, Phase.IMPORTING, Phase.ACTIVE, Phase.RELEASING, Phase.HALTED,
)  # fmt: skip
#: By bit, of both versions. Never give a flag the bit of another.
FLAGS: Final = ("sees", "able", "handed", "dying", "enabled")
#: From version 2 on: this bit is set if `armed` is false, so that zero means "not said".
UNARMED: Final = 1 << len(FLAGS)
FLAGS_KNOWN: Final = (0, UNARMED - 1, 2 * UNARMED - 1)

assert GROUPS_MAX <= 64


class Kind(Enum):
    """The container of the layout."""

    DATAGRAM = 1
    RECORD = 2


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of one channel or disk: its sender, the header of its bytes, and the key of their seal."""

    kind: Kind
    sender: Side
    pair: int
    name: int
    key: SealKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A beat that the peer wrote for this way, in layout `version`.

    `reads`: the highest version that the sender reads. `newer`: the layout has content that this release does not know.
    """

    beat: Beat
    version: int = VERSION
    reads: int = VERSION
    newer: bool = False


@lru_cache(maxsize=4_096)
def short_digest(text: str, count: int) -> int:
    """Return the first `count` bytes of SHA-256, enough for messages. The seal's key covers the full names."""
    return int.from_bytes(sha256(text.encode()).digest()[:count])


def datagram_way(secret: bytes, pair: str, channel: str, sender: Side) -> Direction:
    """Return the way of one sender's datagrams on one network channel. Raises NodeFileError for an unfit secret."""
    key = derive(secret, Purpose.DATAGRAM, pair, channel, sender.value)
    return Direction(Kind.DATAGRAM, sender, short_digest(pair, 8), short_digest(channel, 4), key)


def encode_datagram(beat: Beat, way: Direction, version: int = VERSION, reads: int = VERSION) -> bytes:
    """Return 376 bytes in version 1, 468 in version 2. `reads`: the highest version that the sender reads."""
    content = beat_content(beat, way, version, reads)
    return content + seal(way.key, content)


def decode_datagram(data: bytes, way: Direction) -> Decoded | Refused:
    """Return the beat in a datagram that arrived on `way`, whose sender is the peer. Never raises for any bytes."""
    if not CONTENT_BYTES[1] + SEAL_BYTES <= len(data) <= DATAGRAM_BYTES_MAX[VERSION]:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, {CONTENT_BYTES[1] + SEAL_BYTES} are the least")
    content = data[:-SEAL_BYTES]
    refused = misdirected(content, way)
    if refused is not None:
        return refused
    version = content[4]
    if not CONTENT_BYTES[version] + SEAL_BYTES <= len(data) <= DATAGRAM_BYTES_MAX[version]:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes in version {version}")
    if not sealed(way.key, content, data[-SEAL_BYTES:]):
        return Refused(Refusal.SEAL)
    return beat_of(content, way)


def beat_content(beat: Beat, way: Direction, version: int, reads: int) -> bytes:
    """Return the filled layout without a seal. The beat must be the sender's own and within the layout's limits."""
    assert beat.side is way.sender, f"a beat of {beat.side} on the way of {way.sender}"
    assert version in (1, VERSION) and 0 <= reads <= 255
    assert 0 <= beat.epoch <= EPOCH_MAX, f"epoch {beat.epoch}"
    assert 0 <= beat.counter <= COUNTER_MAX, f"counter {beat.counter}"
    assert len(beat.txgs) <= TXGS_MAX, f"{len(beat.txgs)} pools"
    assert all(0 <= disk < DISKS_MAX for disk in beat.out) and all(
        0 <= group < GROUPS_MAX for group in beat.groups_down
    )
    flags = sum(getattr(beat, name) << bit for bit, name in enumerate(FLAGS))
    if version > 1 and not beat.armed:
        flags |= UNARMED
    content = LAYOUT.pack(
        MAGIC,
        version,
        way.kind.value,
        SIDE_CODES[beat.side],
        PHASES.index(beat.phase),
        way.pair,
        way.name,
        flags,
        beat.incarnation,
        reads << COUNTER_BITS | beat.counter,
        beat.echo,
        beat.epoch,
        _bits(beat.groups_down),
        beat.generation,
        beat.digest if version > 1 else beat.first_digest or beat.digest,
        beat.shelf,
        _bits(beat.out).to_bytes(DISKS_MAX // 8),
    )
    if version == 1:
        return content
    txgs = beat.txgs + (0,) * (TXGS_MAX - len(beat.txgs))
    life_ms = min(beat.lives_ms, LIFE_MS_MAX)
    return content + EXTENSION.pack(beat.machine, len(beat.txgs), beat.accepts, *txgs, beat.policy, life_ms)


def misdirected(content: bytes, way: Direction) -> Refused | None:
    """Return why the header does not fit the way, before the seal is checked; None if it fits."""
    magic, version, kind, sender, _, pair, name = struct.unpack_from(">4sBBBBQI", content)
    if magic != MAGIC:
        return Refused(Refusal.FOREIGN)
    if not 1 <= version <= VERSION:
        return Refused(Refusal.VERSION, f"version {version}, this release reads 1 to {VERSION}")
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


def beat_of(content: bytes, way: Direction) -> Decoded | Refused:
    """Return the beat in a layout with a valid seal. A defect is refused even from the peer, which may have a bug.

    `content` has at least the bytes of its version. Bytes after those of version 2 are ignored.
    """
    (_, version, _, _, phase_code, _, _, flags, *numbers, out) = LAYOUT.unpack_from(content)
    incarnation, counted, echo, epoch, groups, generation, digest, shelf = numbers
    phase = PHASES[phase_code] if phase_code < len(PHASES) else None
    if phase is None:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"phase {phase_code}")
    unknown = bool(flags & ~FLAGS_KNOWN[version])
    if unknown and version == 1:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"flags {flags:#x}")
    if epoch > EPOCH_MAX:
        return Refused(Refusal.AUTHENTIC_DEFECT, f"epoch {epoch}")
    appended, more = ({}, False) if version == 1 else _extension(content)
    appended |= {name: bool(flags >> bit & 1) for bit, name in enumerate(FLAGS)}
    beat = Beat(
        side=way.sender,
        incarnation=incarnation,
        counter=counted & COUNTER_MAX,
        echo=echo,
        phase=phase,
        epoch=epoch,
        groups_down=_members(groups),
        out=_members(int.from_bytes(out)),
        generation=generation,
        digest=digest,
        shelf=shelf,
        armed=version == 1 or not flags & UNARMED,
        **appended,
    )
    return Decoded(beat, version, counted >> COUNTER_BITS, newer=unknown or more)


def _extension(content: bytes) -> tuple[dict[str, Any], bool]:
    """Return the fields that version 2 appends, and whether there is content that this release does not know."""
    machine, count, accepts, *txgs, policy, life_ms = EXTENSION.unpack_from(content, LAYOUT.size)
    more = any(content[LAYOUT.size + 13 : LAYOUT.size + 16]) or any(content[CONTENT_BYTES[2] :]) or any(txgs[count:])
    # With more pools than this field holds, take the whole list as not said.
    told = tuple(txgs[:count]) if count <= TXGS_MAX else ()
    found = {"machine": machine, "txgs": told, "accepts": accepts, "lives_ms": life_ms, "policy": policy}
    return found, more or count > TXGS_MAX


def _bits(members: frozenset[int]) -> int:
    return sum(1 << member for member in members)


def _members(bits: int) -> frozenset[int]:
    found = []
    while bits:
        found.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return frozenset(found)
