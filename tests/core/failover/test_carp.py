"""CARP's bytes: one advertisement that ucarp sent, HMACs written out by hand, every flipped bit, other protocols."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.carp.advertisement import (
    Advertisement,
    CarpKey,
    carp_key,
    decode_advertisement,
    encode_advertisement,
)
from reconciler.core.failover.carp.checksum import checksum
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.errors import NodeFileError

#: The payload of a packet of Debian's ucarp 1.5.2: -v 7 -p geheim -a 10.9.0.100 -b 0 -k 50
CAPTURED = bytes.fromhex("210732070000274e1f98c17fa93d8cf6cb34c00b3584352930680bc9cd4f302ca0519e6a")
KEY = carp_key(b"geheim", 7, ["10.9.0.100/24"])
ADVERTISEMENT = Advertisement(vhid=7, advbase=0, advskew=50, counter=0x1F98C17FA93D8CF6)
MIXED = carp_key(
    b"pass", 9, ["fe80::1%5/64", "10.0.0.9/24", "2001:db8::10/64", "9.255.0.1", "10.0.0.9/32", "10.0.0.100"]
)

advertisements = st.builds(
    Advertisement, st.just(7), st.integers(0, 255), st.integers(1, 255), st.integers(0, 2**64 - 1), st.integers(0, 255)
)


def seal_by_hand(password: bytes, under: bytes) -> bytes:
    """As ip_carp.c does it: the password in 20 bytes, these in 64, and SHA-1 twice."""
    padded = password.ljust(20, b"\0").ljust(64, b"\0")
    inner = hashlib.sha1(bytes(byte ^ 0x36 for byte in padded) + under).digest()
    return hashlib.sha1(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def test_what_ucarp_sent_is_understood_and_would_be_sent_the_same() -> None:
    assert decode_advertisement(CAPTURED, KEY) == ADVERTISEMENT
    assert encode_advertisement(ADVERTISEMENT, KEY) == CAPTURED


def test_the_seal_covers_ipv4_before_ipv6_each_rising_and_once() -> None:
    data = encode_advertisement(Advertisement(9, 1, 0, 0x0102030405060708), MIXED)
    assert data[:6] == bytes((0x21, 9, 0, 7, 0, 1))
    assert data[8:16] == bytes((1, 2, 3, 4, 5, 6, 7, 8))
    under = bytes((2, 1, 9)) + bytes((9, 255, 0, 1)) + bytes((10, 0, 0, 9)) + bytes((10, 0, 0, 100))
    under += bytes.fromhex("20010db8000000000000000000000010") + bytes.fromhex("fe800000000000000000000000000001")
    assert data[16:] == seal_by_hand(b"pass", under + data[8:16])


@pytest.mark.parametrize("password", [b"x", b"nineteen-characters", b"twenty-characters-xx"])
def test_passwords_are_padded_as_the_others_do(password: bytes) -> None:
    data = encode_advertisement(replace(ADVERTISEMENT, vhid=1), carp_key(password, 1, ["10.0.0.1"]))
    assert data[16:] == seal_by_hand(password, bytes((2, 1, 1, 10, 0, 0, 1)) + data[8:16])


@pytest.mark.parametrize("password", [b"", b"x" * 21, b"a\0b"])
def test_a_password_that_carp_cannot_carry_is_refused(password: bytes) -> None:
    with pytest.raises(NodeFileError, match="1 to 20 bytes"):
        carp_key(password, 1, ["10.0.0.1"])


def test_no_password_is_shown() -> None:
    assert "geheim" not in repr(KEY)


@given(advertisements)
def test_every_advertisement_comes_back(advertisement: Advertisement) -> None:
    data = encode_advertisement(advertisement, KEY)
    assert checksum(data) == 0
    assert decode_advertisement(data, KEY) == advertisement


@pytest.mark.parametrize("bit", range(36 * 8))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    flipped = (int.from_bytes(CAPTURED) ^ 1 << bit).to_bytes(36)
    assert isinstance(decode_advertisement(flipped, KEY), Refused)


@pytest.mark.parametrize("bit", [bit for bit in range(36 * 8) if bit // 8 not in (2, 4, 5, 6, 7)])
def test_every_flipped_bit_that_is_sealed_is_refused_with_a_right_checksum_too(bit: int) -> None:
    flipped = with_checksum((int.from_bytes(CAPTURED) ^ 1 << (36 * 8 - 1 - bit)).to_bytes(36))
    refused = decode_advertisement(flipped, KEY)
    assert isinstance(refused, Refused) and refused.why is not Refusal.CHECKSUM


def test_what_carp_leaves_open_is_known() -> None:
    better = with_checksum(CAPTURED[:2] + b"\x01" + CAPTURED[3:])
    assert decode_advertisement(better, KEY) == replace(ADVERTISEMENT, advskew=1)


def with_checksum(data: bytes) -> bytes:
    blank = data[:6] + bytes(2) + data[8:]
    return data[:6] + checksum(blank).to_bytes(2) + data[8:]


def without_checksum() -> bytes:
    """An advertisement whose checksum is 0, written as 0xffff, which adds up to the same."""
    sent = (encode_advertisement(replace(ADVERTISEMENT, counter=number), KEY) for number in range(2**20))
    found = next(data for data in sent if data[6:8] == b"\0\0")
    return found[:6] + b"\xff\xff" + found[8:]


WITH_ANOTHER_ZERO = without_checksum()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", Refusal.LENGTH),
        (CAPTURED[:-1], Refusal.LENGTH),
        (CAPTURED + b"\0", Refusal.LENGTH),
        # keepalived: VRRPv2 with one address and no password; VRRPv3; VRRPv2 with five addresses and a password.
        (bytes.fromhex("2107640100012ac80a0000640000000000000000"), Refusal.VRRP),
        (bytes.fromhex("2108640100012ac80a0000640000000000000000"), Refusal.LENGTH),
        (b"\x31" + CAPTURED[1:], Refusal.VRRP),
        (b"\x31\x07\x64\x01" + bytes(20), Refusal.VRRP),
        (b"\x31\x07\x64\x02" + bytes(20), Refusal.LENGTH),
        (b"\x41" + CAPTURED[1:], Refusal.VERSION),
        (with_checksum(b"\x21\x07\x64\x05\x01\x01\0\0" + bytes(28)), Refusal.VRRP),
        (with_checksum(b"\x21\x07\x64\x06\x01\x01\0\0" + bytes(28)), Refusal.KIND),
        (with_checksum(b"\x22" + CAPTURED[1:]), Refusal.KIND),
        (CAPTURED[:6] + b"\0\0" + CAPTURED[8:], Refusal.CHECKSUM),
        (WITH_ANOTHER_ZERO, Refusal.CHECKSUM),
        (with_checksum(b"\x21\x08" + CAPTURED[2:]), Refusal.WAY),
        (with_checksum(CAPTURED[:-1] + b"\0"), Refusal.SEAL),
        (with_checksum(CAPTURED[:2] + b"\0" + CAPTURED[3:]), Refusal.AUTHENTIC_DEFECT),
    ],
)
def test_everything_else_is_refused_for_its_reason(data: bytes, why: Refusal) -> None:
    refused = decode_advertisement(data, KEY)
    assert isinstance(refused, Refused) and refused.why is why
    assert len(refused.detail) <= 200


@pytest.mark.parametrize(
    "key",
    [
        carp_key(b"Geheim", 7, ["10.9.0.100"]),
        carp_key(b"geheim", 7, ["10.9.0.101"]),
        carp_key(b"geheim", 7, ["10.9.0.100", "fd00::1"]),
        carp_key(b"geheim", 7, []),
    ],
)
def test_another_password_or_other_addresses_do_not_fit(key: CarpKey) -> None:
    refused = decode_advertisement(CAPTURED, key)
    assert isinstance(refused, Refused) and refused.why is Refusal.SEAL


@given(st.binary(max_size=80))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(decode_advertisement(data, KEY), Refused)
