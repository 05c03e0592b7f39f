"""Messages on a stream: whole ones whatever the pieces, and nothing for bytes that nobody framed."""

import pytest

from reconciler.errors import StateError
from reconciler.system.message_stream import FRAME_BYTES_MAX, Frames, Message, frame

MESSAGES: list[Message] = [{"do": "look"}, {}, {"text": "ä\u2028", "numbers": [1, None, True]}, {"long": "x" * 70_000}]


@pytest.mark.parametrize("size", [1, 3, 4, 1_000, 1 << 20])
def test_messages_come_whole_whatever_the_pieces(size: int) -> None:
    data = b"".join(frame(message) for message in MESSAGES)
    frames = Frames()
    found = [message for at in range(0, len(data), size) for message in frames.take(data[at : at + size])]
    assert found == MESSAGES


def test_a_piece_is_no_message() -> None:
    assert Frames().take(frame({"a": 1})[:-1]) == []


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x00\x40\x00\x01", "allowed"),
        (b"\x00\x00\x00\x02[]", "a list, not an object"),
        (b"\x00\x00\x00\x01{", "no JSON"),
        (b"\x00\x00\x00\x04\xc3\xa4{}", "no JSON"),
        (b"\x00\x00\x00\x00", "no JSON"),
        ((60_000).to_bytes(4) + b"[" * 60_000, "no JSON"),
    ],
)
def test_other_bytes_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(StateError, match=what):
        Frames().take(data)


def test_what_is_too_long_is_not_sent() -> None:
    with pytest.raises(StateError, match="allowed"):
        frame({"long": "x" * FRAME_BYTES_MAX})


def test_what_is_no_number_is_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        frame({"number": float("nan")})
