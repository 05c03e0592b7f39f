"""hagit and Debian's ucarp on one segment: they understand each other's advertisements and elect one master.

Most of it at intervals of a tenth of a second, with an advbase of 0; the rest at CARP's own second. ucarp sends that
often, but its capture hands over what it hears up to a second late: as the backup of such a master it takes over at
times.
"""

from __future__ import annotations

import socket
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from reconciler.core.failover.carp.advertisement import Advertisement, carp_key, encode_advertisement
from reconciler.system.carp import CarpSocket, Family
from tests.system.carp.segment import Program, Segment

UCARP, HAGIT = "10.9.0.1", "10.9.0.2"
VIRTUAL = "10.9.0.100"
MASTER, BACKUP = "Switching to state: MASTER", "Switching to state: BACKUP"
FAST, SLOW = (0, 25), (0, 150)


@pytest.fixture
def network(segment: Segment) -> Segment:
    return segment.up()


def ucarp(network: Segment, tmp_path: Path, pace: tuple[int, int], *options: str, password: str = "geheim") -> Program:
    script, secret = tmp_path / "script", tmp_path / f"password-{password}"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    secret.write_text(password)
    return network.start(
        network.a, "ucarp", "-i", "e0", "-s", UCARP, "-v", "7", "-o", secret, "-a", VIRTUAL, "-f", "none", "-b",
        str(pace[0]), "-k", str(pace[1]), "-u", script, "-d", script, *options,
    )  # fmt: skip


def hagit(network: Segment, pace: tuple[int, int], *options: str, peer: str = UCARP) -> Program:
    arguments = ["e0", "7", "geheim", VIRTUAL, *map(str, pace), HAGIT, peer, *options]
    return network.start(network.b, sys.executable, "-m", "tests.system.carp.participant", *arguments)


def test_the_better_hagit_is_master_and_when_it_dies_ucarp_is(network: Segment, tmp_path: Path) -> None:
    other = ucarp(network, tmp_path, SLOW)
    other.wait(MASTER)
    since = len(other.lines)
    us = hagit(network, FAST, "preempt")
    us.wait("role MASTER")
    other.wait("Preferred master advertised", since=since)
    other.wait(BACKUP, since=since)
    since = len(other.lines)
    us.kill()
    other.wait(MASTER, since=since)


def test_the_better_ucarp_is_master_and_when_it_dies_hagit_is(network: Segment, tmp_path: Path) -> None:
    us = hagit(network, SLOW)
    us.wait("role MASTER")
    other = ucarp(network, tmp_path, FAST, "-P")
    other.wait(MASTER)
    us.wait("role BACKUP", since=1)
    us.wait("heard good", since=len(us.lines))
    since = len(us.lines)
    other.kill()
    us.wait("role MASTER", since=since)


def test_at_the_second_of_carp_ucarp_stays_backup(network: Segment, tmp_path: Path) -> None:
    wire = network.wire(network.a)
    us = hagit(network, (1, 0))
    other = ucarp(network, tmp_path, (1, 100))
    us.wait("role MASTER")
    for _ in range(3):
        recorded(wire, HAGIT)
    us.say("leave")
    told = other.wait("going to time out")
    assert [MASTER in line for line in other.lines[: other.lines.index(told)]].count(True) == 1
    assert us.lines == ["role BACKUP", "role MASTER"]


def test_at_the_second_of_carp_hagit_stays_backup(network: Segment, tmp_path: Path) -> None:
    other = ucarp(network, tmp_path, (1, 0))
    other.wait(MASTER)
    us = hagit(network, (1, 100))
    for _ in range(4):
        us.wait("heard good", since=len(us.lines))
    assert [line for line in us.lines if line.startswith("role")] == ["role BACKUP"]
    since = len(us.lines)
    other.kill()
    us.wait("role MASTER", since=since)


def test_a_hagit_that_leaves_is_not_waited_for(network: Segment, tmp_path: Path) -> None:
    """By itself this ucarp would wait for three minutes."""
    other = ucarp(network, tmp_path, (60, 0))
    other.wait(BACKUP)
    us = hagit(network, SLOW)
    us.wait("role MASTER")
    us.say("leave")
    other.wait("going to time out")
    other.wait(MASTER)


def test_with_another_password_neither_follows_and_both_say_so(network: Segment, tmp_path: Path) -> None:
    us = hagit(network, FAST)
    us.wait("role MASTER")
    other = ucarp(network, tmp_path, FAST, password="anders")
    other.wait("Bad digest")
    other.wait(MASTER)
    us.wait(f"heard password {UCARP}")
    assert [line for line in us.lines if line.startswith("role")] == ["role BACKUP", "role MASTER"]


@pytest.mark.parametrize("password", ["geheim", "anders"])
def test_who_is_not_the_peer_is_a_stranger_with_the_password_or_without(
    network: Segment, tmp_path: Path, password: str
) -> None:
    us = hagit(network, SLOW, peer="10.9.0.77")
    us.wait("role MASTER")
    ucarp(network, tmp_path, FAST, "-P", password=password)
    us.wait(f"heard stranger {UCARP}")
    assert [line for line in us.lines if line.startswith("role")] == ["role BACKUP", "role MASTER"]


def test_a_recorded_ucarp_keeps_nobody_backup(network: Segment, tmp_path: Path) -> None:
    wire = network.wire(network.a)
    us = hagit(network, SLOW)
    us.wait("role BACKUP")
    other = ucarp(network, tmp_path, FAST)
    us.wait("heard good")
    other.kill()
    frame = recorded(wire, UCARP)
    since = len(us.lines)
    for _ in range(3):
        wire.send(frame)
    us.wait(f"heard replayed {UCARP}", since=since)
    us.wait("role MASTER", since=since)
    wire.send(frame)
    us.wait("heard replayed", since=len(us.lines))
    assert us.lines[-1].startswith("heard") and not any(line == "role BACKUP" for line in us.lines[since:])


def recorded(wire: socket.socket, source: str) -> bytes:
    """The next frame with an advertisement of `source`."""
    while True:
        frame = wire.recv(2_048)
        if frame[12:14] == b"\x08\x00" and frame[23] == 112 and frame[26:30] == IPv4Address(source).packed:
            return frame


def test_who_must_rise_and_does_not_does_so_after_one_advertisement(network: Segment, tmp_path: Path) -> None:
    """As if ucarp had been at a high counter in its last life: what it draws now is below, whatever its chance.

    hagit takes over; ucarp hears that and goes on from hagit's counter, which went on from the high one.
    """
    us = hagit(network, SLOW, "rising")
    key = carp_key(b"geheim", 7, [VIRTUAL])
    earlier = network.within(network.a, lambda: CarpSocket(Family.IPV4, network.index(network.a)))
    us.wait("role BACKUP")
    high = encode_advertisement(Advertisement(7, 0, 25, 2**64 - 2**33), key)
    while not any("heard good" in line for line in us.lines):
        assert earlier.send(high, IPv4Address(UCARP)) is None
        us.wait("heard", since=len(us.lines))
    earlier.close()
    ucarp(network, tmp_path, FAST)
    us.wait("heard replayed")
    us.wait("role MASTER")
    us.wait("role BACKUP", since=us.lines.index("role MASTER"))
    us.wait("heard good", since=len(us.lines))
