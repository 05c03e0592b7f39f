"""PERSISTENT RESERVE IN and OUT, byte by byte, and answers of every kind."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.system.reservation.registration_state import Malformed
from reconciler.system.reservation.scsi import (
    In,
    Keys,
    Out,
    Reservation,
    decode_capabilities,
    decode_full_status,
    decode_keys,
    decode_reservation,
    is_supported,
    parameters,
    report_supported,
    reserve_in,
    reserve_out,
    transport_id,
)

KEYS = st.lists(st.integers(0, 2**64 - 1), max_size=40)
#: As `sg_persist -n --in` shows them for a disk of the kernel's own target, with -H.
CAPABILITIES = bytes.fromhex("0008 1581 ea01 0000")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (reserve_in(In.READ_KEYS, 520), "5e00 0000 0000 0002 0800"),
        (reserve_in(In.READ_RESERVATION, 24), "5e01 0000 0000 0000 1800"),
        (reserve_in(In.REPORT_CAPABILITIES, 8), "5e02 0000 0000 0000 0800"),
        (reserve_in(In.READ_FULL_STATUS, 65535), "5e03 0000 0000 00ff ff00"),
        (reserve_out(Out.REGISTER_AND_IGNORE_EXISTING_KEY), "5f06 0000 0000 0000 1800"),
        (reserve_out(Out.REGISTER), "5f00 0000 0000 0000 1800"),
        (reserve_out(Out.RESERVE), "5f01 0500 0000 0000 1800"),
        (reserve_out(Out.PREEMPT), "5f04 0500 0000 0000 1800"),
        (reserve_out(Out.PREEMPT_AND_ABORT), "5f05 0500 0000 0000 1800"),
        (report_supported(0x5F, 5, 32), "a30c 025f 0005 0000 0020 0000"),
        (parameters(0x0102030405060708, 0x1112131415161718), "0102030405060708 1112131415161718 00000000 00 000000"),
        (parameters(0, 0xFF, aptpl=True), "0000000000000000 00000000000000ff 00000000 01 000000"),
    ],
)
def test_commands_byte_by_byte(made: bytes, expected: str) -> None:
    assert made == bytes.fromhex(expected)


@given(st.integers(0, 2**32 - 1), KEYS)
def test_keys_are_read_as_they_were_written(generation: int, keys: list[int]) -> None:
    data = struct.pack(f">II{len(keys)}Q", generation, 8 * len(keys), *keys)
    assert decode_keys(data) == Keys(generation, tuple(keys), 0)


@given(KEYS, st.integers(8, 400))
def test_a_list_that_found_no_room_says_how_much_is_missing(keys: list[int], room: int) -> None:
    data = struct.pack(f">II{len(keys)}Q", 7, 8 * len(keys), *keys)
    found = decode_keys(data[:room])
    assert found.more == max(0, len(data) - room)
    assert found.keys == tuple(keys)[: (room - 8) // 8]


@given(st.integers(0, 2**64 - 1), st.integers(0, 15), st.integers(0, 15))
def test_a_reservation_is_read_as_it_was_written(key: int, scope: int, kind: int) -> None:
    data = struct.pack(">IIQ4xBBH", 3, 16, key, 0, scope << 4 | kind, 0)
    assert decode_reservation(data) == Reservation(3, key, scope, kind)


def test_no_reservation() -> None:
    assert decode_reservation(struct.pack(">II", 9, 0)) == Reservation(9)


def test_capabilities() -> None:
    said = decode_capabilities(CAPABILITIES)
    assert (said.persists, said.persisting) == (True, True)
    assert said.types == {1, 3, 5, 6, 7, 8}
    nothing = decode_capabilities(bytes.fromhex("0008 0000 0000 0000"))
    assert (nothing.persists, nothing.persisting, nothing.types) == (False, False, None)
    only = decode_capabilities(bytes.fromhex("0008 0080 2000 0000"))
    assert only.types == {5}


def registration(key: int, holds: bool, identity: bytes) -> bytes:
    return struct.pack(">Q4xBB4xHI", key, holds, 5 if holds else 0, 1, len(identity)) + identity


ISCSI = bytes.fromhex("0500 0018") + b"iqn.2026-01.x:a\0".ljust(24, b"\0")
ISCSI_SESSION = bytes.fromhex("4500 0018") + b"iqn.2026-01.x:b,i,0x12\0".ljust(24, b"\0")
SAS = bytes.fromhex("0600 0000 5000c50012345678") + bytes(12)


def test_full_status_names_the_initiators() -> None:
    body = registration(1, True, ISCSI) + registration(2, False, ISCSI_SESSION) + registration(3, False, SAS)
    generation, found, more = decode_full_status(struct.pack(">II", 4, len(body)) + body)
    assert (generation, more) == (4, 0)
    assert [(one.key, one.holds, one.who) for one in found] == [
        (1, True, "iqn.2026-01.x:a"),
        (2, False, "iqn.2026-01.x:b"),
        (3, False, "sas 5000c50012345678"),
    ]


def test_full_status_without_room() -> None:
    body = registration(1, True, ISCSI) + registration(2, False, SAS)
    _, found, more = decode_full_status((struct.pack(">II", 4, len(body)) + body)[:70])
    assert [one.key for one in found] == [1]
    assert more == 8 + len(body) - 70


@pytest.mark.parametrize(
    ("identity", "who"),
    [
        (b"", ""),
        (bytes(24), "fc 0000000000000000"),
        (bytes.fromhex("0400000000000000") + bytes(range(16)), "srp 000102030405060708090a0b0c0d0e0f"),
        (bytes([5, 0, 0, 20]) + b"\xff\0" * 10, "�"),
        (bytes([5, 0, 0, 20]) + b"\n" * 20, ""),
        (bytes([0xE]) + bytes(23), ""),
    ],
)
def test_initiators_of_every_kind(identity: bytes, who: str) -> None:
    assert transport_id(identity) == who


@pytest.mark.parametrize(("second", "says"), [(0x03, True), (0x05, True), (0x01, False), (0x00, None), (0x83, True)])
def test_what_is_supported(second: int, says: bool | None) -> None:
    assert is_supported(bytes([0, second, 0, 10]) + bytes(10)) is says
    assert is_supported(b"") is None


@given(st.binary(max_size=200))
def test_nonsense_is_malformed_and_nothing_else(data: bytes) -> None:
    for decode in (decode_keys, decode_reservation, decode_capabilities, decode_full_status):
        with contextlib.suppress(Malformed):
            decode(data)
    transport_id(data)
    is_supported(data)


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (decode_keys, "00000001 000000"),
        (decode_keys, "00000001 00000007 00000000000000"),
        (decode_reservation, "00000001 00000010 0000"),
        (decode_capabilities, "0008 00"),
        (decode_capabilities, "0007 0000 0000 0000"),
        (decode_full_status, "00000001 00000018" + "00" * 20 + "00000010"),
    ],
)
def test_answers_that_are_cut_off_are_refused(decode: object, data: str) -> None:
    assert callable(decode)
    with pytest.raises(Malformed):
        decode(bytes.fromhex(data))
