"""JSON lines over a socket pair."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.lab.channel import Channel, ChannelError


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    near, far = socket.socketpair()
    channel = Channel(near)
    with far:
        yield channel, far
    channel.close()


def test_objects_arrive_in_order_however_they_are_cut(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    far.sendall(b'{"a": 1}\n{"b"')
    assert channel.receive(5) == {"a": 1}
    far.sendall(b": 2}\n")
    assert channel.receive(5) == {"b": 2}


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [(b"", "silent for 0 s"), (b"half", "silent for 0 s"), (b"nonsense\n", "not JSON"), (b"[1]\n", "not an object")],
)
def test_silence_and_nonsense_are_told(ends: tuple[Channel, socket.socket], sent: bytes, complaint: str) -> None:
    channel, far = ends
    far.sendall(sent)
    with pytest.raises(ChannelError, match=complaint):
        channel.receive(0)


def test_the_end_of_the_other_side_is_told(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    far.close()
    with pytest.raises(ChannelError, match="has ended"):
        channel.receive(5)
    with pytest.raises(ChannelError, match="cannot send"):
        channel.send({"a": 1})
