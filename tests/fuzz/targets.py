"""What is fuzzed: each target takes any bytes, gives them to a decoder and asserts what must hold whatever they are.

The `-sealed` targets put the right seal on the bytes first: no stranger gets behind the seal, but a peer with a bug
does, and only so is the code behind it reached. `orders-edited` takes the bytes as a list of edits to a whole document.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from reconciler.core.failover.carp.advertisement import (
    Advertisement,
    carp_key,
    decode_advertisement,
    encode_advertisement,
)
from reconciler.core.failover.carp.checksum import checksum
from reconciler.core.failover.heartbeats.authentication import seal
from reconciler.core.failover.heartbeats.disk_record import (
    RECORD_BYTES,
    SEAL_AT,
    decode_record,
    encode_record,
    record_way,
)
from reconciler.core.failover.heartbeats.wire import (
    CONTENT_BYTES,
    VERSION,
    Decoded,
    datagram_way,
    decode_datagram,
    encode_datagram,
)
from reconciler.core.failover.orders.document import decode_orders, orders_document, orders_key, seal_orders
from reconciler.core.failover.orders.orders import Orders, digest, shelf_digest
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.core.failover.reservations.key import Side
from reconciler.core.shares.difference import removed_shares, share_changes
from reconciler.core.shares.document import decode_shares, shares_document
from reconciler.core.shares.shares import (
    Chap,
    Initiator,
    IscsiServer,
    IscsiTarget,
    Lun,
    NfsClients,
    NfsExport,
    NfsServer,
    Shares,
)
from tests.core.failover.beats import BEAT, ORDERS, PAIR, SECRET

DATAGRAM = datagram_way(SECRET, PAIR, "interlink", Side.A)
RECORD = record_way(SECRET, PAIR, "wwn-1", Side.A)
ORDERS_KEY = orders_key(SECRET)
CARP_KEY = carp_key(b"geheim", 7, ["10.9.0.100/24", "fd00::100/64"])


@dataclass(frozen=True)
class Target:
    """`seeds` are where mutation begins; `words` are pieces worth inserting; no input is longer than `bytes_max`.

    `share` is the weight among the targets: what lies behind the seal gets more.
    """

    test: Callable[[bytes], bool]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    bytes_max: int = 600
    share: int = 1


def refused(decoded: object) -> None:
    """A refusal is whole: its reason has a sentence, its detail is short and prints."""
    assert isinstance(decoded, Refused) and isinstance(decoded.why, Refusal), decoded
    assert len(decoded.detail) <= 200 and (decoded.detail.isprintable()), decoded


def datagram(data: bytes) -> bool:
    """Accepted only if it is what the encoder writes, or says more. Tells whether it was, like all targets."""
    decoded = decode_datagram(data, DATAGRAM)
    if isinstance(decoded, Decoded):
        written = encode_datagram(decoded.beat, DATAGRAM, decoded.version, decoded.reads)
        assert written == data or (decoded.version == VERSION and (decoded.newer or len(data) > len(written)))
        return True
    refused(decoded)
    return False


def datagram_sealed(data: bytes) -> bool:
    least = CONTENT_BYTES[VERSION if data[4:5] == b"\x02" else 1]
    content = (data if least > CONTENT_BYTES[1] else data[:least]).ljust(least, b"\0")
    return datagram(content + seal(DATAGRAM.key, content))


def record(data: bytes) -> bool:
    decoded = decode_record(data, RECORD)
    if isinstance(decoded, Decoded):
        written = encode_record(decoded.beat, RECORD, decoded.version, decoded.reads)
        assert written == data or (decoded.version == VERSION and decoded.newer)
        return True
    refused(decoded)
    return False


def record_sealed(data: bytes) -> bool:
    data = data[:RECORD_BYTES].ljust(RECORD_BYTES, b"\0")
    content, tail = data[:SEAL_AT], data[32:40]
    return record(content + seal(RECORD.key, content + tail) + tail)


def carp(data: bytes) -> bool:
    decoded = decode_advertisement(data, CARP_KEY)
    if isinstance(decoded, Advertisement):
        assert encode_advertisement(decoded, CARP_KEY) == data
        return True
    refused(decoded)
    return False


def carp_sealed(data: bytes) -> bool:
    """The bytes before the HMAC as they are, but for the checksum; the HMAC is the right one of their counter."""
    head = data[:16].ljust(16, b"\0")
    whole = encode_advertisement(Advertisement(CARP_KEY.vhid, 1, 0, int.from_bytes(head[8:])), CARP_KEY)
    blank = head[:6] + bytes(2) + head[8:] + whole[16:]
    return carp(blank[:6] + checksum(blank).to_bytes(2) + blank[8:])


def orders(data: bytes) -> bool:
    """Accepted only if it means what the encoder writes; then nothing that judges orders may raise either."""
    decoded = decode_orders(data, ORDERS_KEY)
    if isinstance(decoded, Orders):
        assert decode_orders(orders_document(decoded, ORDERS_KEY), ORDERS_KEY) == decoded
        unsafe(decoded)
        assert digest(decoded) >= 0 and shelf_digest(decoded) >= 0
        return True
    refused(decoded)
    return False


def orders_sealed(data: bytes) -> bool:
    return orders(seal_orders(data, ORDERS_KEY))


def shares(data: bytes) -> bool:
    """Accepted only if it means what the encoder writes; then its changes can be told, from nothing and to nothing."""
    decoded = decode_shares(data, ORDERS_KEY)
    if isinstance(decoded, Shares):
        assert decode_shares(shares_document(decoded, ORDERS_KEY), ORDERS_KEY) == decoded
        share_changes(None, decoded)
        removed_shares(decoded, Shares(decoded.pair))
        assert not share_changes(decoded, decoded)
        return True
    refused(decoded)
    return False


def shares_sealed(data: bytes) -> bool:
    return shares(seal_orders(data, ORDERS_KEY))


#: What an edit puts in some place of the document.
PIECES = (
    None, True, False, 0, 1, -1, 3, 255, 2**31, 2**63 - 1, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", "a", "b",
    "carp", "interlink", "x" * 255, "x" * 256, "\0", "\ud800", "\u202e", "é", [], {}, [0], [0, 0], ["a"], {"a": 0},
)  # fmt: skip


def orders_edited(data: bytes) -> bool:
    """Three bytes are one edit: how deep to go and where, and what to put, add or remove there."""
    document = json.loads(ORDERS_BODY)
    for way, piece, how in zip(data[0::3], data[1::3], data[2::3], strict=False):
        edit(document["orders"], way, PIECES[piece % len(PIECES)], how)
    body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
    return orders(seal_orders(body, ORDERS_KEY))


def edit(node: Any, way: int, piece: Any, how: int) -> None:
    """One change somewhere in a document, in place."""
    for _ in range(how % 4):
        children = [child for child in (node.values() if isinstance(node, dict) else node) if child and inner(child)]
        if not children:
            break
        node = children[way % len(children)]
    if isinstance(node, list):
        if how & 64:
            node.append(deepcopy(piece))
        elif node and how & 32:
            node.pop(way % len(node))
        elif node:
            node[way % len(node)] = deepcopy(piece)
        return
    names = sorted(node)
    name = names[way % len(names)]
    if how & 128:
        node[str(piece)] = 0
    elif how & 32 and len(node) > 1:
        del node[name]
    else:
        node[name] = deepcopy(piece)


def inner(value: object) -> bool:
    return isinstance(value, dict | list)


ORDERS_FILE = orders_document(ORDERS, ORDERS_KEY)
ORDERS_BODY = ORDERS_FILE[: ORDERS_FILE.index(b"\n") + 1]
#: Deeper than Python recurses, and than a fuzzer that never saw such a thing would go.
ORDERS_DEEP = b'{"format":"hagit.orders/1","orders":' + b"[" * 2_000
ORDERS_WORDS = (
    *(f'"{name}":'.encode() for name in Orders.__slots__), b'"disks":[', b'{"', b'":', b"},{", b"[", b"]", b",", b'""',
    b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e9", b"-0", b"0.0", b"9223372036854775808", b"\\u0000",
    b"\\ud800", b"\\u202e", b"[" * 64, b'{"":' * 32, b'"carp"', b'"interlink"', b'"a"', b'"b"', b"\n",
)  # fmt: skip
SHARES = Shares(
    "tank",
    "storage",
    "tank/hagit-state",
    NfsServer(("10.0.9.10",)),
    (NfsExport("home", "tank/home", (NfsClients("10.0.9.0/24"),), "films"),),
    IscsiServer(),
    (
        IscsiTarget(
            "vm",
            "iqn.2026-11.com.example:vm",
            ("10.0.9.10",),
            (Lun(0, "tank/vm0"),),
            (Initiator("iqn.1993-08.org.debian:01:1", Chap("vm", "in"), Chap("tank", "out")),),
        ),
    ),
)
SHARES_FILE = shares_document(SHARES, ORDERS_KEY)
SHARES_BODY = SHARES_FILE[: SHARES_FILE.index(b"\n") + 1]
SHARES_WORDS = (
    *(f'"{name}":'.encode() for name in (*Shares.__slots__, *NfsExport.__slots__, *IscsiTarget.__slots__)), b'{"',
    b'":', b"},{", b"[", b"]", b",", b'""', b"null", b"true", b"-1", b"0.0", b"9223372036854775808", b"\\u0000",
    b"\\u202e", b"[" * 64, b'"rw"', b'"ro"', b"\n",
)  # fmt: skip
BEAT_WORDS = (b"hgHB\x01\x01\x01\x05", b"hgHB\x01\x02\x01\x05", b"\xff" * 8, b"\0" * 8, b"\0\0\x01\0\0\0\0\0")

CARP_WORDS = (b"\x21\x07\0\x07\0\x01", b"\x31\x07", b"\xff" * 8, b"\0" * 8)
CARP_SEED = encode_advertisement(Advertisement(7, 1, 100, 4_711), CARP_KEY)

TARGETS = {
    "datagram": Target(datagram, tuple(encode_datagram(BEAT, DATAGRAM, version) for version in (1, 2)), BEAT_WORDS),
    "datagram-sealed": Target(
        datagram_sealed,
        tuple(encode_datagram(BEAT, DATAGRAM, version)[:-32] for version in (1, 2)),
        BEAT_WORDS,
        CONTENT_BYTES[VERSION] + 8,
        3,
    ),
    "record": Target(
        record, (*(encode_record(BEAT, RECORD, version) for version in (1, 2)), bytes(RECORD_BYTES)), BEAT_WORDS
    ),
    "record-sealed": Target(
        record_sealed,
        tuple(encode_record(BEAT, RECORD, version)[:SEAL_AT] for version in (1, 2)),
        BEAT_WORDS,
        SEAL_AT,
        3,
    ),
    "carp": Target(carp, (CARP_SEED,), CARP_WORDS, 64),
    "carp-sealed": Target(carp_sealed, (CARP_SEED[:16],), CARP_WORDS, 16),
    "orders": Target(orders, (ORDERS_FILE,), ORDERS_WORDS, 4_096),
    "orders-sealed": Target(orders_sealed, (ORDERS_BODY, ORDERS_DEEP), ORDERS_WORDS, 4_096, 3),
    "shares": Target(shares, (SHARES_FILE,), SHARES_WORDS, 4_096),
    "shares-sealed": Target(shares_sealed, (SHARES_BODY,), SHARES_WORDS, 4_096, 2),
    "orders-edited": Target(orders_edited, (b"", b"\1\4\1", b"\2\5\2\3\6\3"), (), 24, 2),
}
