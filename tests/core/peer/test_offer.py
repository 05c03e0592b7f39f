"""What two controllers may not be to each other, and what both compare."""

from dataclasses import replace

import pytest

from reconciler.core.peer.check_words import WORDS, check_words
from reconciler.core.peer.offer import (
    CERTIFICATE_BYTES_MAX,
    Offer,
    offer_document,
    offer_from_document,
    refuse_offers,
    transcript,
)

A = Offer("a", "SERIAL-A", "shelf", b"certificate a", "1.0")
B = Offer("b", "SERIAL-B", "", b"certificate b", "1.1")


def test_an_offer_goes_through_json() -> None:
    for offer in (A, B):
        assert offer_from_document(offer_document(offer) | {"later": 1}) == offer


@pytest.mark.parametrize(
    "change",
    [
        {"side": "c"}, {"side": None}, {"serial": "x" * 200}, {"serial": "a\x1bb"}, {"certificate": "xy"},
        {"certificate": "00" * (CERTIFICATE_BYTES_MAX + 1)}, {"hagit": 5},
    ],
)  # fmt: skip
def test_a_damaged_offer_is_none(change: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        offer_from_document(offer_document(A) | change)


def test_two_that_fit() -> None:
    assert refuse_offers(A, B, {}) is None
    assert refuse_offers(B, A, {"a": "SERIAL-A", "b": "SERIAL-B"}) is None
    # Without serial numbers two machines cannot be told apart, which is no reason to refuse them.
    assert refuse_offers(replace(A, serial=""), replace(B, serial=""), {}) is None


@pytest.mark.parametrize(
    ("other", "serials", "what"),
    [
        (replace(B, side="a"), {}, "both controllers are controller a"),
        (replace(B, pair="other"), {}, "the other one belongs to 'other'"),
        (replace(B, serial="SERIAL-A"), {}, "both machines say the serial number 'SERIAL-A'"),
        (B, {"b": "SERIAL-C"}, "the other controller, b, has the serial number 'SERIAL-B', and the Pair names"),
        (B, {"a": "SERIAL-C"}, "this controller, a, has the serial number 'SERIAL-A', and the Pair names 'SERIAL-C'"),
    ],
)  # fmt: skip
def test_two_that_do_not_fit(other: Offer, serials: dict[str, str], what: str) -> None:
    refusal = refuse_offers(A, other, serials)
    assert refusal is not None and what in refusal.what and refusal.remedy


def test_every_part_of_what_was_said_changes_the_transcript() -> None:
    base = transcript(A, B, b"share a", b"share b")
    changed = [
        transcript(replace(A, side="b"), B, b"share a", b"share b"),
        transcript(replace(A, serial="SERIAL-"), replace(B, serial="ASERIAL-B"), b"share a", b"share b"),
        transcript(A, replace(B, certificate=b"x"), b"share a", b"share b"),
        transcript(A, replace(B, pair="x"), b"share a", b"share b"),
        transcript(A, B, b"share ", b"ashare b"),
        transcript(B, A, b"share a", b"share b"),
    ]
    assert len({base, *changed}) == 1 + len(changed)


def test_the_words_are_words_and_no_two_are_alike() -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
    assert all(word.isascii() and word.islower() and 3 <= len(word) <= 9 for word in WORDS)
    assert check_words(bytes([0, 1, 254, 255, 7])) == (WORDS[0], WORDS[1], WORDS[254], WORDS[255])
