"""The messages packed and read here mean the same to pyroute2, which has the numbers from another hand."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from reconciler.core.facts.fact import (
    BondMode,
    BondOptions,
    HashPolicy,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Route,
)
from reconciler.core.facts.ownership import AGENT_PROTOCOL, Owner
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import AddressRecord, new_address, read_address
from reconciler.system.netlink.links import BOND_MODES, HASH_POLICIES, link_facts, read_link
from reconciler.system.netlink.routes import RouteRecord, read_route, route_message


def unpacked(kind: type[nlmsg], body: bytes) -> nlmsg:
    message = kind(wire.HEADER.pack(16 + len(body), 0, 0, 0, 0) + body)
    message.decode()
    return message


def packed(kind: type[nlmsg], attrs: list[tuple[str, Any]], **fields: int) -> bytes:
    message = kind()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attrs
    message.encode()
    return bytes(message.data[16:])


@pytest.mark.parametrize("address", ["10.0.0.1/24", "10.0.0.1/32", "169.254.1.1/16", "fd00::1/64"])
def test_an_address(address: str) -> None:
    body = new_address(7, address)
    message = unpacked(ifaddrmsg, body)
    plain, _, prefix = address.partition("/")
    assert (message["index"], message["prefixlen"], message["family"]) == (7, int(prefix), 10 if ":" in plain else 2)
    assert (message.get_attr("IFA_LOCAL"), message.get_attr("IFA_ADDRESS")) == (plain, plain)
    assert message.get_attr("IFA_PROTO") == AGENT_PROTOCOL
    assert message.get_attr("IFA_BROADCAST") == {24: "10.0.0.255", 16: "169.254.255.255"}.get(int(prefix))
    assert read_address(body) == AddressRecord(7, address, Owner.AGENT)


@pytest.mark.parametrize(
    "route",
    [
        Route("0.0.0.0/0", "10.0.0.9", "e0", 0),
        Route("10.9.0.0/16", None, "e0", 50),
        Route("fd09::/48", "fe80::9", "e0", 1024),
        Route("::/0", "fd00::9", "e0", 1024),
    ],
    ids=lambda route: route.destination,
)
def test_a_route(route: Route) -> None:
    body = route_message(route, 7)
    message = unpacked(rtmsg, body)
    plain, _, prefix = route.destination.partition("/")
    assert (message["table"], message["proto"], message["type"], message["dst_len"]) == (
        254,
        AGENT_PROTOCOL,
        1,
        int(prefix),
    )
    assert message.get_attr("RTA_DST") == (plain if int(prefix) else None)
    assert (message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_OIF")) == (route.gateway, 7)
    assert message.get_attr("RTA_PRIORITY") == route.metric
    assert read_route(body, {7: "e0"}) == RouteRecord(route, Owner.AGENT)


def test_a_link_with_everything() -> None:
    attrs = [
        ("IFLA_IFNAME", "eth0"),
        ("IFLA_ADDRESS", "02:00:00:00:00:99"),
        ("IFLA_PERM_ADDRESS", bytes.fromhex("020000000001")),
        ("IFLA_MTU", 9000),
        ("IFLA_MIN_MTU", 60),
        ("IFLA_MAX_MTU", 9710),
        ("IFLA_CARRIER", 1),
        ("IFLA_IFALIAS", "hagit storage0"),
        ("IFLA_MASTER", 9),
        ("IFLA_PARENT_DEV_NAME", "0000:ff:00.0"),
        ("IFLA_PARENT_DEV_BUS_NAME", "pci"),
    ]
    record = read_link(packed(ifinfmsg, attrs, index=7, flags=1))
    nic = record.nic
    assert (nic.mac, nic.mtu_min, nic.mtu_max, nic.carrier, nic.virtual) == ("02:00:00:00:00:01", 60, 9710, True, False)
    assert list(link_facts(record, {7: "eth0", 9: "bond0"})) == [
        Link("eth0", LinkKind.PHYSICAL),
        Power("eth0", True),
        Mtu("eth0", 9000),
        Mark("eth0", "hagit storage0"),
        Port("eth0", "bond0"),
    ]


@pytest.mark.parametrize("mode", BondMode)
@pytest.mark.parametrize("policy", HashPolicy)
def test_a_bond_as_packed_for_the_kernel(mode: BondMode, policy: HashPolicy) -> None:
    from reconciler.system.netlink.creation import link_message

    rate = LacpRate.FAST if mode is BondMode.LACP else None
    link = Link("bond0", LinkKind.BOND, bond=BondOptions(mode, 250, policy, rate))
    body = link_message(link, 0)
    assert next(iter(link_facts(read_link(body), {}))) == link
    data = unpacked(ifinfmsg, body).get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    numbers = (data.get_attr("IFLA_BOND_MODE"), data.get_attr("IFLA_BOND_XMIT_HASH_POLICY"))
    assert numbers == (BOND_MODES.index(mode), HASH_POLICIES.index(policy))


def test_a_member_of_a_bond_is_known_by_its_own_mac() -> None:
    slave = {"attrs": [("IFLA_BOND_SLAVE_PERM_HWADDR", "02:00:00:00:00:01")]}
    info = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bond"), ("IFLA_INFO_SLAVE_DATA", slave)]}
    attrs = [("IFLA_IFNAME", "e0"), ("IFLA_ADDRESS", "02:00:00:00:00:99"), ("IFLA_LINKINFO", info)]
    assert read_link(packed(ifinfmsg, attrs, index=7)).nic.mac == "02:00:00:00:00:01"


def test_a_parent_in_another_namespace_is_nobody_here() -> None:
    info = {"attrs": [("IFLA_INFO_KIND", "vlan"), ("IFLA_INFO_DATA", {"attrs": [("IFLA_VLAN_ID", 7)]})]}
    attrs = [("IFLA_IFNAME", "v7"), ("IFLA_LINK", 2), ("IFLA_LINK_NETNSID", 0), ("IFLA_LINKINFO", info)]
    facts = list(link_facts(read_link(packed(ifinfmsg, attrs, index=7)), {2: "e0"}))
    assert facts[0] == Link("v7", LinkKind.VLAN, parent=None, vlan_id=7)


def test_an_option_without_a_name_makes_the_link_unknown() -> None:
    data = {"attrs": [("IFLA_BOND_MODE", 0), ("IFLA_BOND_XMIT_HASH_POLICY", 5)]}
    info = {"attrs": [("IFLA_INFO_KIND", "bond"), ("IFLA_INFO_DATA", data)]}
    unknown = next(iter(link_facts(read_link(packed(ifinfmsg, [("IFLA_IFNAME", "b"), ("IFLA_LINKINFO", info)])), {})))
    assert not isinstance(unknown, Link)
    assert "hash policy 5" in str(unknown)
