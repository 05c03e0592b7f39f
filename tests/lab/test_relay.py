"""The relay to a disk: it carries, it holds back, it ends with either side, and it names ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0
#: No data arrives within this time; a longer wait would only make a defect more certain to show.
QUIET_S = 0.3
#: A Login Request (immediate) with its own identifier and five bytes of text, then a NOP-Out with two.
LOGIN = bytes([0x43, 0x87, 0, 0, 0, 0, 0, 5]) + b"random" + bytes(34) + b"A=bcd\0\0\0"
PING = bytes([0x40, 0x80, 0, 0, 0, 0, 0, 2]) + b"random" + bytes(34) + b"hi\0\0"
NAMED = LOGIN.replace(b"random", b"\x80\x00\x00\x07\x00\x00")


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WAIT_S)
        yield listening


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def relay(far: socket.socket, port: int) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "tests.lab.relay", str(port), f"127.0.0.1:{far.getsockname()[1]}", "7"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def connected(far: socket.socket, port: int) -> tuple[socket.socket, socket.socket]:
    near = socket.create_connection(("127.0.0.1", port), WAIT_S)
    other = far.accept()[0]
    other.settimeout(WAIT_S)
    return near, other


def comes(one: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := one.recv(count - len(data))):
        data += more
    return data


def ends(one: socket.socket) -> bool:
    """Whether the other side is gone, in an orderly way or not."""
    one.settimeout(WAIT_S)
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_login_gets_the_name_and_all_else_stays_as_it_is(
    relay: subprocess.Popen[bytes], far: socket.socket, port: int
) -> None:
    near, other = connected(far, port)
    with near:
        with other:
            near.sendall(LOGIN + LOGIN + PING + LOGIN)
            expected = NAMED + NAMED + PING + LOGIN
            assert comes(other, len(expected)) == expected, "after the login nothing is touched any more"
            other.sendall(LOGIN)
            assert comes(near, len(LOGIN)) == LOGIN
        assert ends(near)


def test_stopped_it_carries_nothing_and_loses_nothing(
    relay: subprocess.Popen[bytes], far: socket.socket, port: int
) -> None:
    near, other = connected(far, port)
    with near, other:
        relay.send_signal(signal.SIGSTOP)
        near.sendall(LOGIN)
        other.settimeout(QUIET_S)
        with pytest.raises(TimeoutError):
            other.recv(64)
        relay.send_signal(signal.SIGCONT)
        other.settimeout(WAIT_S)
        assert comes(other, len(NAMED)) == NAMED


def test_where_nobody_listens_a_connection_ends_at_once(
    relay: subprocess.Popen[bytes], far: socket.socket, port: int
) -> None:
    far.close()
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as near:
        assert ends(near)
