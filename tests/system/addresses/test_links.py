"""Links hears what changes, counts lost events as a change, and tells which interface a device is."""

from __future__ import annotations

import select
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.facts.ownership import Owner
from reconciler.core.failover.orders.orders import Device, DeviceKey
from reconciler.system.addresses.links import Links
from reconciler.system.addresses.resolve import resolve
from reconciler.system.addresses.snapshot import Blind, LinkSeen, NetworkSnapshot, address_seen, link_seen, route_seen
from reconciler.system.netlink import wire
from tests.system.addresses.segment import WAIT_S, ip


def drain_until_quiet(links: Links) -> None:
    while select.select([links], [], [], 0.05)[0]:
        links.drain()


@pytest.mark.parametrize(
    "command",
    [
        "link set e0 down",
        "link set e0 name eth7",
        "link set e0 address 02:00:00:00:00:55",
        "link set far0 down",
        "link del e0",
        "address add 10.0.0.1/24 dev e0",
        "address add fd00::1/64 dev e0 nodad",
    ],
    ids=lambda command: command.replace(" ", "-"),
)
def test_a_change_is_heard(bare_network: None, command: str) -> None:
    ip("link add e0 type veth peer name far0", "link set far0 up", "link set e0 up")
    with closing(Links()) as links:
        drain_until_quiet(links)
        assert not links.drain()
        ip(command)
        assert select.select([links], [], [], WAIT_S)[0]
        assert links.drain()


def test_lost_events_are_a_change(bare_network: None) -> None:
    ip("link add e0 type veth peer name far0")
    with closing(Links(receive_buffer_bytes=1)) as links:
        drain_until_quiet(links)
        ip(*(f"link set e0 mtu {1_400 + number % 2}" for number in range(60)))
        # What did not fit is gone; that it is gone is the change.
        assert links.drain()
        drain_until_quiet(links)
        assert not links.drain()


def test_a_look(bare_network: None) -> None:
    ip(
        "link add e0 address 02:00:00:00:00:07 type veth peer name far0",
        "link set far0 up",
        "link set e0 up",
        "address add 10.0.0.1/24 dev e0",
        "address add fd00::1/64 dev e0",
    )
    with closing(Links()) as links:
        snapshot = links.snapshot()
        assert isinstance(snapshot, NetworkSnapshot)
        seen = next(link for link in snapshot.links.values() if link.name == "e0")
        assert (seen.mac, seen.permanent, seen.up, seen.carrier) == ("02:00:00:00:00:07",) * 2 + (True, True)
        held = {address.address: address for address in snapshot.on(seen.index)}
        assert (held["10.0.0.1"].prefix, held["10.0.0.1"].owner) == (24, Owner.FOREIGN)
        assert held["fd00::1"].tentative
        assert not held["fd00::1"].failed
        assert snapshot.routes == ()


def test_a_look_that_cannot_be_had_is_a_value(bare_network: None) -> None:
    links = Links()
    links.close()
    assert isinstance(links.snapshot(), Blind)


def link(index: int, name: str, permanent: str, kind: str = "") -> LinkSeen:
    return LinkSeen(index, name, permanent, permanent, True, True, "up", kind)


def test_a_device_is_found_by_what_the_orders_say() -> None:
    mac = "02:00:00:00:00:07"
    snapshot = NetworkSnapshot(
        {
            seen.index: seen
            for seen in (
                link(2, "eth0", mac),
                link(3, "bond0", mac, "bond"),
                link(4, "bond0.7", mac, "vlan"),
                link(5, "twin1", "02:00:00:00:00:08"),
                link(6, "twin2", "02:00:00:00:00:08"),
            )
        }
    )
    devices = [
        Device("nic", DeviceKey.MAC, mac.upper()),
        Device("bond", DeviceKey.NAME, "bond0"),
        Device("vlan", DeviceKey.NAME, "bond0.7"),
        Device("twins", DeviceKey.MAC, "02:00:00:00:00:08"),
        Device("nowhere", DeviceKey.PATH, "pci-0000:03:00.0"),
        Device("nothing", DeviceKey.NAME, "eth9"),
    ]
    assert resolve(devices, snapshot) == {
        "nic": 2, "bond": 3, "vlan": 4, "twins": None, "nowhere": None, "nothing": None,
    }  # fmt: skip


def test_a_member_of_a_bond_is_known_by_its_own_mac() -> None:
    """Written down, because a bond gives its members its MAC and not every kernel has bonds."""
    own, shared = bytes.fromhex("020000000007"), bytes.fromhex("020000000099")
    member = wire.attribute(wire.INFO_SLAVE_KIND, b"bond\0") + wire.attribute(
        wire.INFO_SLAVE_DATA, wire.attribute(wire.BOND_SLAVE_PERM_ADDRESS, own)
    )
    seen = link_seen(
        wire.LINK_HEADER.pack(0, 1, 2, wire.IFF_UP, 0)
        + wire.text(wire.IFLA_IFNAME, "eth0")
        + wire.attribute(wire.IFLA_ADDRESS, shared)
        + wire.attribute(wire.IFLA_LINKINFO, member)
    )
    assert (seen.mac, seen.permanent) == ("02:00:00:00:00:99", "02:00:00:00:00:07")
    snapshot = NetworkSnapshot({2: seen, 3: link(3, "bond0", "02:00:00:00:00:99", "bond")})
    assert resolve([Device("nic", DeviceKey.MAC, "02:00:00:00:00:07")], snapshot) == {"nic": 2}


@given(st.binary(max_size=120))
def test_any_message_is_read_or_malformed(data: bytes) -> None:
    for read in (link_seen, address_seen, lambda payload: route_seen(payload, 73)):
        with suppress(wire.MalformedMessage):
            read(data)
