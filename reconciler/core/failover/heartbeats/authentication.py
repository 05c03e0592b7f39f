"""Authentication: seals that prove the writer and the purpose of bytes.

A seal is HMAC-SHA-256 (RFC 2104) under a key derived with HKDF (RFC 5869). Every purpose, direction and channel or disk
has a key of its own, so bytes written for one are invalid in any other. Knows no format and no file; `wire`,
`disk_record` and `orders.document` define the sealed bytes.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from reconciler.errors import NodeFileError

HASH: Final = "sha256"
SEAL_BYTES: Final = 32
#: RFC 2104, section 3: a key shorter than the output of the hash weakens the seal.
SECRET_BYTES_MIN: Final = 32
SECRET_BYTES_MAX: Final = 4_096
#: RFC 5869, section 3.1: a salt that is not secret and always the same separates hagit from other users of a secret.
SALT: Final = b"hagit/1"


class Purpose(StrEnum):
    """Purpose of a key."""

    DATAGRAM = "datagram"
    RECORD = "record"
    ORDERS = "orders"
    CARP = "carp"
    FINGERPRINT = "fingerprint"


@dataclass(frozen=True, slots=True)
class SealKey:
    """A derived key, 32 bytes. Its `repr` does not show it."""

    material: bytes = field(repr=False)


def extract(salt: bytes, secret: bytes) -> bytes:
    """Return HKDF-Extract (RFC 5869, section 2.2): 32 bytes. An empty salt counts as 32 zero bytes."""
    return hmac.digest(salt or bytes(SEAL_BYTES), secret, HASH)


def expand(extracted: bytes, info: bytes, length: int) -> bytes:
    """Return HKDF-Expand (RFC 5869, section 2.3): `length` bytes, at most 255 × 32."""
    assert 0 < length <= 255 * SEAL_BYTES
    block = result = b""
    for number in range(1, -(-length // SEAL_BYTES) + 1):
        block = hmac.digest(extracted, block + info + bytes((number,)), HASH)
        result += block
    return result[:length]


def derive(secret: bytes, purpose: Purpose, *context: str) -> SealKey:
    """Return the key for one purpose in one context, derived from the secret that both controllers share.

    Each part is encoded with its length, so that different contexts never give the same bytes. Raises NodeFileError for
    a secret shorter than 32 bytes or longer than 4,096.
    """
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise NodeFileError(
            f"the pair's secret has {len(secret)} bytes, outside {SECRET_BYTES_MIN}..{SECRET_BYTES_MAX}",
            remedy="make one with `openssl rand -hex 32` and put the same on both controllers",
        )
    info = b"".join(len(part).to_bytes(2) + part for part in (text.encode() for text in (purpose.value, *context)))
    return SealKey(expand(extract(SALT, secret), info, SEAL_BYTES))


def seal(key: SealKey, data: bytes) -> bytes:
    """Return the 32 bytes that prove that a program with the key wrote `data`."""
    return hmac.digest(key.material, data, HASH)


def sealed(key: SealKey, data: bytes, tag: bytes) -> bool:
    """Whether `tag` is the seal of `data`. Takes the same time wherever they differ."""
    return hmac.compare_digest(seal(key, data), tag)
