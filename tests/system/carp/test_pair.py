"""Two hagit members on a segment, over IPv4 and over IPv6 alone: one master, the better one, and the other after it."""

from __future__ import annotations

import sys

import pytest

from tests.system.carp.segment import Program, Segment


@pytest.mark.parametrize(
    ("virtual", "own"),
    [("10.9.0.100", ("10.9.0.1", "10.9.0.2")), ("10.9.0.100", ("-", "-")), ("fd00::100", ("-", "-"))],
    ids=["IPv4", "IPv4 without addresses", "IPv6"],
)
def test_one_is_master(segment: Segment, virtual: str, own: tuple[str, str]) -> None:
    segment.up(ipv4=own[0] != "-", ipv6=":" in virtual)
    worse = member(segment, segment.a, virtual, own[0], "150")
    worse.wait("role MASTER")
    better = member(segment, segment.b, virtual, own[1], "25", "preempt")
    better.wait("role MASTER")
    worse.wait("role BACKUP", since=1)
    for _ in range(3):
        worse.wait("heard good", since=len(worse.lines))
    assert worse.lines[-1].startswith("heard good") and better.lines[-1] == "role MASTER"
    since = len(worse.lines)
    better.kill()
    worse.wait("role MASTER", since=since)


def member(segment: Segment, end: str, virtual: str, own: str, advskew: str, *options: str) -> Program:
    arguments = ["e0", "7", "geheim", virtual, "0", advskew, own, "-", *options, "rising"]
    return segment.start(end, sys.executable, "-m", "tests.system.carp.participant", *arguments)
