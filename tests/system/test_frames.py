"""Heartbeat frames over a real cable: type and address on the wire, no own echo, and interfaces that go and come."""

import json
import socket
import subprocess
from collections.abc import Callable
from select import select

import pytest

from reconciler.errors import ObservationError
from reconciler.system.frames import ETHER_TYPE, GROUP, FrameSocket
from tests.system.network.namespaces import in_namespace, ip
from tests.wait import until

ETH_P_ALL = 3


def plugged(function: Callable[[FrameSocket, FrameSocket], None]) -> None:
    """Run where `left` and `right` are the ends of a cable."""

    def run() -> None:
        ip("link add left type veth peer name right", "link set left up", "link set right up")
        # Until then what is sent is lost.
        until(lambda: all(state_of(name) == "UP" for name in ("left", "right")))
        ends = [FrameSocket(socket.if_nametoindex(name)) for name in ("left", "right")]
        try:
            function(*ends)
        finally:
            for end in ends:
                end.close()

    in_namespace(run)


def state_of(name: str) -> str:
    """The operational state of a link (RFC 2863)."""
    shown = subprocess.run(["ip", "-json", "link", "show", name], check=True, capture_output=True)
    return str(json.loads(shown.stdout)[0]["operstate"])


def heard(end: FrameSocket) -> list[bytes]:
    """The next frames. A socket is readable for other reasons, too: its link came up."""
    while True:
        readable, _, _ = select([end], [], [], 10)
        assert readable
        if frames := list(end.frames()):
            return frames


def test_frames_go_both_ways_and_never_back_to_the_sender() -> None:
    def check(left: FrameSocket, right: FrameSocket) -> None:
        assert left.send(b"beat" * 90)
        assert heard(right) == [b"beat" * 90]
        assert right.send(b"answer" * 60)
        assert heard(left) == [b"answer" * 60]
        assert list(left.frames()) == list(right.frames()) == []

    plugged(check)


def test_the_wire_shows_the_group_and_the_type() -> None:
    def check(left: FrameSocket, right: FrameSocket) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
            tap.bind(("right", ETH_P_ALL))
            tap.settimeout(10)
            assert left.send(b"x" * 376)
            while (frame := tap.recv(2_000))[:6] != GROUP:
                pass
        assert frame[12:14] == ETHER_TYPE.to_bytes(2)
        assert frame[14:] == b"x" * 376

    plugged(check)


def test_an_interface_that_is_down_loses_frames_and_nothing_else() -> None:
    def check(left: FrameSocket, right: FrameSocket) -> None:
        ip("link set left down")
        assert not left.send(b"lost")
        assert list(left.frames()) == []
        ip("link set left name renamed", "link set renamed up")
        assert left.send(b"renamed")
        assert heard(right)[-1] == b"renamed"
        ip("link del renamed")
        assert not left.send(b"gone")
        assert list(left.frames()) == []

    plugged(check)


def test_an_interface_that_is_not_there_is_an_error_in_words() -> None:
    with pytest.raises(ObservationError, match="no heartbeats on interface 99999"):
        in_namespace(lambda: FrameSocket(99_999))
