"""Sense data in both formats: what is repeated, what means that somebody fenced us, what a disk cannot do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.system.reservation.sense import Sense, decode_sense


def fixed(key: int, code: int, qualifier: int) -> bytes:
    return bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0])


def descriptor(key: int, code: int, qualifier: int) -> bytes:
    return bytes([0x72, key, code, qualifier, 0, 0, 0, 0])


@pytest.mark.parametrize("form", [fixed, descriptor])
@pytest.mark.parametrize(
    ("codes", "attention", "preempted", "unsupported", "words"),
    [
        ((6, 0x2A, 0x03), True, True, False, "unit attention 2a/03, the reservation was preempted"),
        ((6, 0x2A, 0x04), True, False, False, "unit attention 2a/04, a reservation was released"),
        ((6, 0x2A, 0x05), True, True, False, "unit attention 2a/05, the registration was preempted"),
        ((6, 0x29, 0x00), True, False, False, "unit attention 29/00, power on or reset"),
        ((6, 0x29, 0x07), True, False, False, "unit attention 29/07, power on or reset"),
        ((6, 0x2A, 0x09), True, False, False, "unit attention 2a/09, something was changed"),
        ((5, 0x20, 0x00), False, False, True, "illegal request 20/00, no such command"),
        ((5, 0x24, 0x00), False, False, True, "illegal request 24/00, a field of the command that it does not support"),
        ((5, 0x26, 0x00), False, False, True,
         "illegal request 26/00, a field of the parameters that it does not support"),
        ((5, 0x26, 0x04), False, False, False, "illegal request 26/04, release of a reservation that it does not have"),
        ((5, 0x55, 0x04), False, False, False, "illegal request 55/04, no room for another registration"),
        ((2, 0x04, 0x02), False, False, False, "not ready 04/02, the disk is not started"),
        ((0xE, 0x1D, 0x00), False, False, False, "sense key e 1d/00"),
    ],
)  # fmt: skip
def test_what_sense_data_means(
    form: object, codes: tuple[int, int, int], attention: bool, preempted: bool, unsupported: bool, words: str
) -> None:
    assert callable(form)
    sense = decode_sense(form(*codes))
    assert sense == Sense(*codes)
    assert (sense.attention, sense.preempted, sense.unsupported) == (attention, preempted, unsupported)
    assert str(sense) == words


@given(st.integers(0, 15), st.integers(0, 255), st.integers(0, 255), st.sampled_from([0x00, 0x80]))
def test_both_formats_say_the_same(key: int, code: int, qualifier: int, valid: int) -> None:
    data = fixed(key, code, qualifier)
    assert decode_sense(bytes([data[0] | valid, *data[1:]])) == decode_sense(descriptor(key, code, qualifier))


def test_what_the_length_does_not_cover_was_not_said() -> None:
    assert decode_sense(bytes([0x70, 0, 6, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0x29, 1])) == Sense(6, 0, 0)
    assert decode_sense(fixed(6, 0x29, 1)[:13]) == Sense(6, 0x29, 0)


@pytest.mark.parametrize("data", [b"", b"\x00" * 18, b"\x70", b"\x72\x06", b"\x7f" * 18])
def test_no_sense_data(data: bytes) -> None:
    assert decode_sense(data) is None


@given(st.binary(max_size=96))
def test_no_bytes_raise(data: bytes) -> None:
    decode_sense(data)
