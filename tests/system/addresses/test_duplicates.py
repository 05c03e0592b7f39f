"""Whoever else has one of our addresses is heard: by the probe at once, and by whatever they announce later."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.system.addresses.announcer import ASKED_AGAIN_MS, DEFEND_MS, Announcer, Target
from reconciler.system.addresses.duplicates import DUPLICATES_MAX, REMEMBERED_MS, Duplicate, DuplicateWatch
from reconciler.system.addresses.frame import announcements
from tests.system.addresses.segment import (
    WAIT_S,
    Room,
    Segment,
    ear,
    ip,
    is_placed,
    mac_of,
    now_ms,
    placed,
    placing,
    run_until,
)

V4, V6 = "10.0.0.10/24", "fd00::10/64"


def mac_in(room: Room) -> str:
    said = room.run("ip", "-o", "link", "show", "dev", "e0").split()
    return said[said.index("link/ether") + 1]


def say(room: Room, *frames: bytes) -> None:
    """Frames that go out of a room."""

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            for frame in frames:
                out.sendto(frame, ("e0", 0))

    room.inside(send)


def hear_until(watch: DuplicateWatch, condition: Callable[[], bool], moment_ms: int) -> None:
    deadline_ms = now_ms() + WAIT_S * 1000
    while not condition():
        assert now_ms() < deadline_ms
        select.select(watch.sockets(), [], [], 0.2)
        watch.drain(moment_ms)


@pytest.mark.parametrize("on_virtual_mac", [False, True])
@pytest.mark.parametrize("address", [V4, V6])
def test_one_that_has_it_already_is_found_by_the_probe(
    segment: Segment, tmp_path: Path, address: str, on_virtual_mac: bool
) -> None:
    segment.peer.ip(f"address add {address} dev e0" + (" nodad" if ":" in address else ""))
    host = address.partition("/")[0]
    with placing(tmp_path, address, on_virtual_mac=on_virtual_mac) as placement:
        run_until(placement, lambda: bool(placed(placement).duplicates))
        seen = {(duplicate.address, duplicate.mac) for duplicate in placed(placement).duplicates}
        assert seen == {(host, mac_in(segment.peer))}
        # It does not keep us from serving.
        assert is_placed(placement)()


@pytest.mark.parametrize("address", [V4, V6])
def test_one_that_comes_later_is_heard_and_answered(segment: Segment, tmp_path: Path, address: str) -> None:
    host = address.partition("/")[0]
    client, stranger = segment.client, "02:00:00:00:66:66"
    with placing(tmp_path, address) as placement:
        run_until(placement, is_placed(placement))
        assert client.pings(host)
        assert placed(placement).duplicates == ()
        say(segment.peer, *announcements(host, stranger))
        run_until(placement, lambda: bool(placed(placement).duplicates))
        assert {seen.mac for seen in placed(placement).duplicates} == {stranger}
        run_until(placement, lambda: client.neighbour(host) == mac_of("e0"))


def test_what_is_no_duplicate(segment: Segment, tmp_path: Path) -> None:
    """Our own frames come back, the peer uses the virtual MAC, others announce what is theirs, and some only ask."""
    with placing(tmp_path, V4, V6, on_virtual_mac=True) as placement:
        run_until(placement, is_placed(placement))
        for host in ("10.0.0.10", "fd00::10"):
            say(segment.peer, *announcements(host, mac_of("e0")), *announcements(host, "00:00:5e:00:01:14"))
        say(segment.peer, *announcements("10.0.0.77", "02:00:00:00:66:66"))
        say(segment.peer, *announcements("10.0.0.10", "02:00:00:00:77:77"))
        # The last one is heard, so all before it were.
        run_until(placement, lambda: bool(placed(placement).duplicates))
        assert {(seen.address, seen.mac) for seen in placed(placement).duplicates} == {
            ("10.0.0.10", "02:00:00:00:77:77")
        }


def test_a_virtual_router_is_one_where_the_pair_uses_no_virtual_mac(segment: Segment, tmp_path: Path) -> None:
    """VRRP and CARP of others answer with the MAC of their virtual host id."""
    with placing(tmp_path, V4) as placement:
        run_until(placement, is_placed(placement))
        say(segment.peer, *announcements("10.0.0.10", "00:00:5e:00:01:14"))
        run_until(placement, lambda: bool(placed(placement).duplicates))
        (seen,) = placed(placement).duplicates
        assert seen.mac == "00:00:5e:00:01:14"
        assert 0 <= placed(placement).ages_ms[seen] < REMEMBERED_MS


def test_one_that_was_heard_is_asked_again_and_forgotten_when_it_is_gone(segment: Segment) -> None:
    index = socket.if_nametoindex("e0")
    with closing(Announcer()) as announcer:
        target = Target(index, "10.0.0.10", mac_of("e0"))
        announcer.follow([target], 0)
        announcer.ask({"10.0.0.10"}, 0)
        assert announcer.sent == 0
        announcer.ask({"10.0.0.10"}, ASKED_AGAIN_MS)
        announcer.ask({"10.0.0.10"}, ASKED_AGAIN_MS + 1)
        assert announcer.sent == 1
        announcer.ask((), 2 * ASKED_AGAIN_MS)
        announcer.ask({"10.0.0.10"}, 2 * ASKED_AGAIN_MS)
        assert announcer.sent == 1


def test_evidence_ages_and_is_bounded(segment: Segment) -> None:
    index = socket.if_nametoindex("e0")
    with closing(DuplicateWatch()) as watch:
        watch.watch({"10.0.0.10": {index}}, {mac_of("e0")})
        say(segment.peer, *announcements("10.0.0.10", "02:00:00:00:66:66"))
        hear_until(watch, lambda: bool(watch.present(1_000)), 1_000)
        expected = (Duplicate("10.0.0.10", "02:00:00:00:66:66", index),)
        assert watch.present(1_000 + REMEMBERED_MS - 1) == expected
        assert watch.present(1_000 + REMEMBERED_MS) == ()
        for first in range(0, DUPLICATES_MAX + 20, 50):
            macs = [f"02:00:00:01:{at >> 8:02x}:{at & 255:02x}" for at in range(first, first + 50)]
            say(segment.peer, *(announcements("10.0.0.10", mac)[0] for mac in macs))
            watch.drain(2_000)
        hear_until(watch, lambda: len(watch.present(2_000)) == DUPLICATES_MAX, 2_000)
        watch.watch({}, ())
        assert watch.present(2_000) == ()


def test_the_kernel_drops_what_is_about_other_addresses(segment: Segment) -> None:
    index = socket.if_nametoindex("e0")
    with closing(DuplicateWatch()) as watch:
        watch.watch({"10.0.0.10": {index}}, ())
        watch.drain(0)
        say(segment.peer, *announcements("10.0.0.77", "02:00:00:00:66:66"))
        say(segment.peer, *announcements("10.0.0.10", "02:00:00:00:66:66"))
        select.select(watch.sockets()[:1], [], [], WAIT_S)
        opened = watch.sockets()[0]
        assert opened.recv(64)[14:18] == socket.inet_aton("10.0.0.10")


def received(hearing: socket.socket, address: str) -> list[bytes]:
    """The ARP frames about an address that are waiting."""
    found = []
    while True:
        try:
            frame = hearing.recv(2048)
        except BlockingIOError:
            return found
        if frame[12:14] == b"\x08\x06" and socket.inet_aton(address) in frame:
            found.append(frame)


def arrived(hearing: socket.socket, address: str, count: int) -> int:
    """How many ARP frames about an address have come when so many should: a busy kernel hands them over when it likes.

    Frames come in their order, so that one too many would be one too many of the next."""
    found = len(received(hearing, address))
    while found < count and select.select([hearing], [], [], WAIT_S)[0]:
        found += len(received(hearing, address))
    return found


def test_announcements_go_out_as_scheduled_and_a_late_one_once(segment: Segment) -> None:
    target = Target(socket.if_nametoindex("e0"), "10.0.0.10", "02:00:00:00:00:07")
    hearing = ear(segment.client)
    with closing(hearing), closing(Announcer()) as announcer:
        announcer.follow([target], 1_000)
        moments_ms = (1_000, 1_001, 1_050, 1_200, 5_900, 6_000, 65_999, 66_000, 999_000)
        # Two forms each; a probe with the first, and with all from a second on.
        for moment_ms, count in zip(moments_ms, (3, 0, 2, 2, 3, 3, 0, 3, 3), strict=True):
            announcer.send_due(moment_ms)
            assert arrived(hearing, "10.0.0.10", count) == count, moment_ms
        assert announcer.next_ms() == 1_000 + 5_000 + 17 * 60_000
        announcer.defend("10.0.0.10", 999_000)
        announcer.defend("10.0.0.10", 999_000 + DEFEND_MS - 1)
        assert arrived(hearing, "10.0.0.10", 2) == 2
        announcer.defend("10.0.0.10", 999_000 + DEFEND_MS)
        assert arrived(hearing, "10.0.0.10", 2) == 2
        assert announcer.lost == 0


def test_a_frame_that_cannot_be_sent_is_counted(segment: Segment) -> None:
    target = Target(socket.if_nametoindex("e0"), "10.0.0.10", "02:00:00:00:00:07")
    with closing(Announcer()) as announcer:
        announcer.follow([target, Target(9_999, "10.0.0.11", target.mac)], 0)
        ip("link set e0 down")
        announcer.send_due(0)
        assert (announcer.sent, announcer.lost) == (0, 6)
        ip("link del e0")
        announcer.send_due(50)
        assert (announcer.sent, announcer.lost) == (0, 10)


def test_a_link_that_comes_back_is_announced_again(segment: Segment, tmp_path: Path) -> None:
    hearing = ear(segment.client)
    with closing(hearing), placing(tmp_path, V4) as placement:
        run_until(placement, is_placed(placement))
        segment.switch.ip("link set here down")
        index = socket.if_nametoindex("e0")
        run_until(placement, lambda: placement.snapshot is not None and not placement.snapshot.links[index].carrier)
        received(hearing, "10.0.0.10")
        assert placement.announcer.next_ms() is None
        segment.switch.ip("link set here up")
        run_until(placement, lambda: bool(received(hearing, "10.0.0.10")))
