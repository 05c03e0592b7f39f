"""CARP's packets between two namespaces: what is sent, what is taken, and what becomes of it when interfaces go."""

from __future__ import annotations

import select
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest

from reconciler.system.carp import GROUP4, GROUP6, PROTOCOL, RECEIVED_MAX, CarpSocket, Family, Packet
from tests.system.carp.segment import DEADLINE_S, Segment

DATA = bytes(range(36))
OWN = {Family.IPV4: IPv4Address("10.9.0.1"), Family.IPV6: None}
FROM = {Family.IPV4: IPv4Address("10.9.0.1"), Family.IPV6: IPv6Address("fe80::1")}
families = pytest.mark.parametrize("family", Family, ids=lambda family: family.name)


@pytest.fixture
def network(segment: Segment) -> Segment:
    return segment.up(ipv6=True)


def opened(segment: Segment, end: str, family: Family) -> CarpSocket:
    index = segment.index(end)
    carp = segment.within(end, lambda: CarpSocket(family, index))
    segment.stack.callback(carp.close)
    return carp


def arrived(carp: CarpSocket) -> tuple[Packet, ...]:
    """What comes first, waited for."""
    assert select.select([carp], [], [], DEADLINE_S)[0], "nothing came"
    return carp.receive()


@families
def test_a_packet_arrives_and_not_at_its_sender(network: Segment, family: Family) -> None:
    here, there = (opened(network, end, family) for end in (network.a, network.b))
    assert here.send(DATA, OWN[family]) is None
    assert arrived(there) == (Packet(DATA, FROM[family]),)
    assert there.receive() == () and here.receive() == ()


@families
def test_on_the_wire_it_is_as_carp_has_it(network: Segment, family: Family) -> None:
    wire = network.wire(network.b)
    opened(network, network.a, family).send(DATA, OWN[family])
    while True:
        frame = wire.recv(2_048)
        if frame.endswith(DATA):
            break
    if family is Family.IPV4:
        assert frame[:6] == bytes.fromhex("01005e000012")
        assert frame[14:24] == bytes.fromhex("4510003800004000ff70")
        assert frame[26:34] == bytes((10, 9, 0, 1, 224, 0, 0, 18))
        words = struct.unpack(">10H", frame[14:34])
        assert sum(words) % 0xFFFF == 0
    else:
        assert frame[:6] == bytes.fromhex("333300000012")
        assert frame[18:22] == bytes.fromhex("002470ff")
        assert frame[22:54] == IPv6Address("fe80::1").packed + GROUP6.packed


@families
@pytest.mark.parametrize("hops", [1, 64, 254])
def test_packets_that_came_over_a_router_are_dropped(network: Segment, family: Family, hops: int) -> None:
    there = opened(network, network.b, family)
    group = str(GROUP4) if family is Family.IPV4 else str(GROUP6)
    by_hand(network, family, group, hops)
    by_hand(network, family, group, 255)
    assert [packet.data for packet in collected(there, 1)] == [DATA]
    assert there.strayed == 1


@families
def test_packets_to_this_machine_alone_are_dropped(network: Segment, family: Family) -> None:
    there = opened(network, network.b, family)
    by_hand(network, family, "10.9.0.2" if family is Family.IPV4 else "fe80::2", 255)
    by_hand(network, family, str(GROUP4) if family is Family.IPV4 else str(GROUP6), 255)
    assert [packet.data for packet in collected(there, 1)] == [DATA]
    assert there.strayed == 1


def by_hand(network: Segment, family: Family, destination: str, hops: int) -> None:
    """One packet of protocol 112 by the kernel's own ways."""
    index = network.index(network.a)

    def send() -> None:
        with socket.socket(family.value, socket.SOCK_RAW, PROTOCOL) as raw:
            if family is Family.IPV4:
                raw.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
                raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
                raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
                raw.sendto(DATA, (destination, 0))
            else:
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
                raw.sendto(DATA, (destination, 0, 0, index))

    network.within(network.a, send)


def collected(carp: CarpSocket, count: int) -> list[Packet]:
    found: list[Packet] = []
    while len(found) < count:
        found += arrived(carp)
    return found


def test_without_an_ipv4_address_it_sends_from_0_0_0_0(segment: Segment) -> None:
    """Neither an address of another interface is borrowed, nor does the other side drop it."""
    segment.up(ipv4=False)
    segment.ip(
        segment.a, "link add other type veth peer name far", "link set other up", "address add 192.0.2.1/24 dev other"
    )
    here, there = (opened(segment, end, Family.IPV4) for end in (segment.a, segment.b))
    assert here.send(DATA) is None
    assert arrived(there) == (Packet(DATA, IPv4Address("0.0.0.0")),)


def test_both_sides_with_the_virtual_address_and_no_other_hear_each_other(segment: Segment) -> None:
    """Sent from the virtual address this would be dropped by the other side as coming from itself."""
    segment.up(ipv4=False)
    for end in (segment.a, segment.b):
        segment.ip(end, "address add 10.9.0.100/24 dev e0")
    here, there = (opened(segment, end, Family.IPV4) for end in (segment.a, segment.b))
    here.send(DATA)
    there.send(DATA)
    assert arrived(there) == arrived(here) == (Packet(DATA, IPv4Address("0.0.0.0")),)


def test_ipv6_alone_is_enough_and_without_an_address_it_says_so(segment: Segment) -> None:
    segment.up(ipv4=False, ipv6=True)
    here, there = (opened(segment, end, Family.IPV6) for end in (segment.a, segment.b))
    assert here.send(DATA) is None
    assert arrived(there)[0].source == IPv6Address("fe80::1")
    segment.ip(segment.a, "address delete fe80::1/64 dev e0")
    assert here.send(DATA) is not None


@families
def test_it_hears_its_own_interface_only(network: Segment, family: Family) -> None:
    network.ip(network.a, f"link add e1 type veth peer name e1 netns {network.b}")
    for end in (network.a, network.b):
        network.ip(end, "link set e1 up")
    other = network.within(network.b, lambda: CarpSocket(family, socket.if_nametoindex("e1")))
    network.stack.callback(other.close)
    here, there = (opened(network, end, family) for end in (network.a, network.b))
    here.send(DATA, OWN[family])
    assert arrived(there)
    assert other.receive() == ()


@families
def test_a_flood_is_taken_in_portions(network: Segment, family: Family) -> None:
    here, there = (opened(network, end, family) for end in (network.a, network.b))
    for _ in range(2 * RECEIVED_MAX):
        here.send(DATA, OWN[family])
    # What the buffer did not take is lost, as with every datagram; what it took comes in portions.
    assert 0 < len(arrived(there)) <= RECEIVED_MAX


@families
def test_down_and_up_again_and_renamed(network: Segment, family: Family) -> None:
    here, there = (opened(network, end, family) for end in (network.a, network.b))
    network.ip(network.a, "link set e0 down")
    assert here.send(DATA, OWN[family]) is not None
    assert here.receive() == ()
    network.ip(network.a, "link set e0 name first", "link set first up")
    if family is Family.IPV6:
        network.ip(network.a, "address add fe80::1/64 dev first nodad")
    assert here.rejoin(here.ifindex) is None
    assert there.rejoin(there.ifindex) is None
    sent_until_heard(here, there, family, IPv4Address("10.9.0.1"))
    sent_until_heard(there, here, family, IPv4Address("10.9.0.2"))


@families
def test_an_interface_that_is_gone_and_back(network: Segment, family: Family) -> None:
    here, there = (opened(network, end, family) for end in (network.a, network.b))
    old = here.ifindex
    network.ip(network.a, "link delete e0")
    assert here.send(DATA, OWN[family]) is not None
    assert here.receive() == ()
    assert here.rejoin(old) is not None
    network.ip(network.a, f"link add e0 type veth peer name e0 netns {network.b}")
    network.up(ipv6=True)
    assert here.rejoin(network.index(network.a)) is None
    assert there.rejoin(network.index(network.b)) is None
    sent_until_heard(here, there, family, IPv4Address("10.9.0.1"))
    sent_until_heard(there, here, family, IPv4Address("10.9.0.2"))


def sent_until_heard(sender: CarpSocket, hearer: CarpSocket, family: Family, source: IPv4Address) -> None:
    """The carrier comes a little after the link."""
    for _ in range(200):
        sender.send(DATA, source if family is Family.IPV4 else None)
        if select.select([hearer], [], [], 0.1)[0]:
            assert hearer.receive()[0].data == DATA
            return
    raise AssertionError("nothing came")


def test_no_interface_no_socket(network: Segment) -> None:
    with pytest.raises(OSError, match="No such device"):
        network.within(network.a, lambda: CarpSocket(Family.IPV4, 99_999))
