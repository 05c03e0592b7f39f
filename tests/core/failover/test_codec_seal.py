"""Seals: the derivation is RFC 5869's, and no two purposes or contexts share a key."""

from itertools import combinations

import pytest

from reconciler.core.failover.heartbeats.authentication import Purpose, derive, expand, extract, seal, sealed
from reconciler.errors import NodeFileError
from tests.core.failover.beats import OTHER_SECRET, SECRET

# RFC 5869, appendix A, test cases 1 and 3.
VECTORS = [
    (
        bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA)),
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes([0x0B] * 22), b"", b"",
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "salt", "info", "extracted", "expanded"), VECTORS)
def test_hkdf_is_that_of_the_rfc(secret: bytes, salt: bytes, info: bytes, extracted: str, expanded: str) -> None:
    assert extract(salt, secret).hex() == extracted
    assert expand(bytes.fromhex(extracted), info, 42).hex() == expanded


def test_every_purpose_context_and_secret_has_its_own_key() -> None:
    contexts = [(), ("",), ("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ("a", "bc", "")]
    keys = [
        derive(secret, purpose, *parts)
        for secret in (SECRET, OTHER_SECRET)
        for purpose in Purpose
        for parts in contexts
    ]
    assert all(one.material != other.material for one, other in combinations(keys, 2))


def test_a_seal_is_of_its_key_and_its_bytes() -> None:
    key, other = derive(SECRET, Purpose.ORDERS), derive(OTHER_SECRET, Purpose.ORDERS)
    tag = seal(key, b"orders")
    assert sealed(key, b"orders", tag)
    assert not sealed(key, b"order", tag)
    assert not sealed(other, b"orders", tag)
    assert not sealed(key, b"orders", tag[:-1])
    assert not sealed(key, b"orders", b"")


@pytest.mark.parametrize("length", [0, 31, 4_097])
def test_an_unfit_secret_is_refused_without_showing_it(length: int) -> None:
    with pytest.raises(NodeFileError, match=f"the pair's secret has {length} bytes, outside 32..4096") as refused:
        derive(b"s" * length, Purpose.DATAGRAM)
    assert "ssss" not in str(refused.value)


def test_a_key_does_not_show_itself() -> None:
    key = derive(SECRET, Purpose.RECORD)
    assert repr(key) == "SealKey()"
