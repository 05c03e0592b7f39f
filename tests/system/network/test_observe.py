"""What one look tells: whose things are, what NICs there are, and in which words."""

from __future__ import annotations

import contextlib
import errno
import json
import subprocess
from ipaddress import ip_interface
from pathlib import Path

import pytest

from reconciler.core.facts.fact import Address, Link, LinkKind, Mark, Port, Power, Route
from reconciler.core.facts.ownership import AGENT_PROTOCOL, WATCHDOG_PROTOCOL, Owner
from reconciler.core.facts.state import Unknown
from reconciler.errors import ObservationError, PerformError
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import new_address, text_form
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel
from reconciler.system.netlink.live_network import LiveNetwork
from reconciler.system.netlink.look import look_at_all
from tests.system.network.conformance import live_network
from tests.system.network.namespaces import in_namespace, ip


def place_virtual(link: str, address: str) -> None:
    """An address with the watchdog's stamp; ip(8) of Debian 12 cannot set stamps."""
    channel = NetlinkChannel()
    stamp, others = (wire.attribute(wire.IFA_PROTO, bytes([owner])) for owner in (WATCHDOG_PROTOCOL, AGENT_PROTOCOL))
    body = new_address(channel.index_of(link), address)
    assert others in body
    channel.request(wire.NEW_ADDRESS, wire.CREATE, body.replace(others, stamp))
    channel.close()


def test_whose_addresses_and_routes_are() -> None:
    def tell() -> None:
        with live_network() as network:
            ip(
                "link set e0 up",
                "address add 10.0.0.1/24 dev e0",
                "address add fe80::7/64 dev e0",
                "route add 10.9.0.0/16 via 10.0.0.9",
                f"route add 10.8.0.0/16 via 10.0.0.9 proto {AGENT_PROTOCOL}",
                f"route add 10.7.0.0/16 via 10.0.0.9 proto {WATCHDOG_PROTOCOL}",
                "route add 10.6.0.0/16 via 10.0.0.9 proto ra",
            )
            network.perform(None, Address("e0", "10.0.0.2/24"))
            place_virtual("e0", "10.0.0.3/24")
            look = network.observe()
            owners = {key[-2] if key[0] == "route" else key[-1]: look.owner(key) for key in look.facts}
            assert [owners[f"10.0.0.{n}/24"] for n in (1, 2, 3)] == [Owner.FOREIGN, Owner.AGENT, Owner.WATCHDOG]
            assert owners["fe80::7/64"] is Owner.KERNEL
            assert [owners[f"10.{n}.0.0/16"] for n in (9, 8, 7, 6)] == [
                Owner.FOREIGN,
                Owner.AGENT,
                Owner.WATCHDOG,
                Owner.KERNEL,
            ]
            assert not any(key[0] == "route" and key[1] == "10.0.0.0/24" for key in look.facts), "the kernel's own"

    in_namespace(tell)


def test_whose_links_and_memberships_are() -> None:
    def tell() -> None:
        with live_network() as network:
            ours = Link("br0", LinkKind.BRIDGE, stp=False)
            for fact in (ours, Port("e0", "br0"), Port("e1", "br0"), Mark("e0", "hagit a"), Mark("e1", "by hand")):
                network.perform(None, fact)
            ip("link add br1 type bridge")
            look = network.observe()
            asked = [("link", "br0"), ("link", "br1"), ("port", "e0"), ("port", "e1"), ("mark", "e0"), ("mark", "e1")]
            assert [look.owner(key) for key in asked] == [Owner.AGENT, Owner.FOREIGN] * 3

    in_namespace(tell)


def test_nics_by_everything_they_may_be_called() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link set e0 address 02:00:00:00:0A:01", "link set e0 up", "link set e0-far down")
            ip("link add wan link e1 type macvlan", "link add tap9 type veth peer name tap8")
            nics = network.observe().nics
            assert (nics["e0"].mac, nics["e0"].driver, nics["e0"].virtual) == ("02:00:00:00:0a:01", "veth", True)
            assert (nics["e0"].carrier, nics["e1"].carrier) == (False, None)
            assert (nics["e0"].mtu_min, nics["e0"].mtu_max, nics["e0"].path) == (68, 65535, "")
            assert "lo" not in nics
            assert network.observe().facts["link", "wan"] == Link("wan", LinkKind.PHYSICAL)

    in_namespace(tell)


def test_the_same_as_ip_shows() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link set e0 up", "link set e1 up", "address add 10.0.0.1 peer 10.0.0.2/32 dev e0")
            ip("address add 10.1.0.1/24 dev e1 label e1:x", "address add ::ffff:10.0.0.1/96 dev e1")
            ip("address add fd00:0:0:1::1:0/64 dev e1", "route add 10.9.0.0/16 via inet6 fe80::9 dev e1")
            look = network.observe()
            shown = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
            expected = {
                Address(
                    link["ifname"],
                    str(ip_interface(f"{entry['local']}/{entry['prefixlen']}")),
                    (f"peer {entry['address']}",) if "address" in entry else (),
                )
                for link in shown
                for entry in link["addr_info"]
                if link["ifname"] != "lo"
            }
            assert {fact for fact in look.facts.values() if isinstance(fact, Address)} == expected
            assert look.facts["route", "10.9.0.0/16", "0"] == Route("10.9.0.0/16", "fe80::9", "e1", 0)
            assert ("address", "e0", "10.0.0.1/32") in look.facts

    in_namespace(tell)


def test_what_sets_an_address_apart_is_told_and_does_not_change_by_the_second() -> None:
    def tell() -> None:
        with live_network() as network:
            ip(
                "link set e0 up",
                "link set e1 up",
                "address add 10.0.0.1/24 dev e0 valid_lft 900 preferred_lft 600",
                "address add 10.0.0.2/24 dev e0 valid_lft forever preferred_lft 0",
                "address add 10.0.0.3/24 dev e0 noprefixroute",
                "address add 10.0.0.4 peer 10.0.0.254/24 dev e0",
                "address add 10.0.0.5/24 dev e0",
                "address add 10.0.0.5 peer 10.8.0.9/24 dev e0",
                "address add fd00::1/64 dev e0 nodad valid_lft 900 preferred_lft 0",
                "address add fd00::2/64 dev e0 nodad noprefixroute",
                "address add fd00::3 peer fd01::3/64 dev e0 nodad",
            )
            look = network.observe()
            found = {fact.address: fact.traits for fact in look.facts.values() if isinstance(fact, Address)}
            assert {address: traits for address, traits in found.items() if not address.startswith("fe80")} == {
                "10.0.0.1/24": ("leased",),
                "10.0.0.2/24": ("deprecated",),
                "10.0.0.3/24": ("noprefixroute",),
                "10.0.0.4/24": ("peer 10.0.0.254",),
                "10.0.0.5/24": (),
                "fd00::1/64": ("leased", "deprecated"),
                "fd00::2/64": ("noprefixroute",),
                "fd00::3/64": ("peer fd01::3",),
            }
            keys = [key for key in look.facts if key[0] == "address"]
            assert network.observe_keys(keys) == {key: look.facts[key] for key in keys}

    in_namespace(tell)


@pytest.mark.parametrize("address", ["10.0.0.1/24", "fd00::1/64"])
def test_a_leased_address_becomes_permanent_and_ours_without_going(address: str) -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link set e0 up", f"address add {address} dev e0 valid_lft 900 preferred_lft 0")
            seen = network.observe().facts["address", "e0", address]
            with pytest.raises(PerformError, match=r"exists|assigned"):
                network.perform(None, Address("e0", address))
            network.perform(seen, Address("e0", address))
            look = network.observe()
            assert look.facts["address", "e0", address] == Address("e0", address)
            assert look.owner(("address", "e0", address)) is Owner.AGENT

    in_namespace(tell)


def test_what_sets_a_route_apart_is_told() -> None:
    def tell() -> None:
        with live_network() as network:
            ip(
                "link set e0 up",
                "address add 10.0.0.1/24 dev e0",
                "address add fd00::1/64 dev e0 nodad",
                "route add blackhole 10.1.0.0/16 metric 5",
                "route add prohibit 10.2.0.0/16",
                "route add throw 10.3.0.0/16",
                "route add 10.4.0.0/16 via 10.0.0.9 src 10.0.0.1",
                "route add 10.5.0.0/16 nexthop via 10.0.0.8 nexthop via 10.0.0.9",
                f"route add 10.6.0.0/16 via 10.0.0.9 tos 0x10 proto {AGENT_PROTOCOL}",
                "route add 10.6.0.0/16 via 10.0.0.9",
                "route add 10.7.0.0/16 via 10.0.0.8",
                "route append 10.7.0.0/16 via 10.0.0.9",
                "route add unreachable fd01::/64 metric 7",
                "route add fd02::/64 via fd00::9 expires 900",
                f"route add fd03::/64 via fd00::8 proto {AGENT_PROTOCOL}",
                "route append fd03::/64 via fd00::9",
            )
            look = network.observe()
            assert not look.unknown
            found = {key[1:]: (fact.traits, look.owner(key)) for key, fact in look.facts.items() if key[0] == "route"}
            special = {
                ("10.1.0.0/16", "5"): ("blackhole",),
                ("10.2.0.0/16", "0"): ("prohibit",),
                ("10.3.0.0/16", "0"): ("throw",),
                ("10.4.0.0/16", "0"): ("src 10.0.0.1",),
                ("10.5.0.0/16", "0"): ("2 next hops",),
                ("10.6.0.0/16", "0", "tos 0x10"): ("tos 0x10",),
                ("10.6.0.0/16", "0"): (),
                ("10.7.0.0/16", "0"): ("2 routes",),
                ("fd01::/64", "7"): ("unreachable",),
                ("fd02::/64", "1024"): ("expires",),
                ("fd03::/64", "1024"): ("2 next hops",),
            }
            assert found == {key: (traits, Owner.FOREIGN) for key, traits in special.items()}
            for key in special:
                if len(key) == 2 and special[key] != ("2 routes",):
                    asked = ("route", *key)
                    assert network.observe_keys([asked]) == {asked: look.facts[asked]}

    in_namespace(tell)


def test_altnames_and_ipv6_that_is_off() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link property add dev e0 altname enp1s0", "link property add dev e0 altname eno7")
            with contextlib.suppress(FileNotFoundError):
                Path("/proc/sys/net/ipv6/conf/e1/disable_ipv6").write_text("1")
            nics = network.observe().nics
            assert (nics["e0"].altnames, nics["e0"].ipv6) == (("eno7", "enp1s0"), True)
            assert (nics["e1"].altnames, nics["e1"].ipv6) == ((), False)
            with pytest.raises(PerformError) as refused:
                network.perform(None, Address("e1", "fd00::1/64"))
            assert "disable_ipv6=0" in refused.value.remedy
            with pytest.raises(PerformError) as refused:
                network.perform(None, Link("eno7", LinkKind.BRIDGE, stp=False))
            assert "alternative name" in refused.value.remedy

    in_namespace(tell)


def test_addresses_and_routes_of_unusual_form_can_be_removed() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link set e0 up", "link set e1 up", "address add 10.0.0.1 peer 10.0.0.2/32 dev e0")
            ip("address add 10.1.0.1/24 dev e1", "route add 10.9.0.0/16 via inet6 fe80::9 dev e1")
            ip("route add 10.8.0.0/16 via 10.1.0.9 src 10.1.0.1 mtu 1400")
            for key in (("address", "e0", "10.0.0.1/32"), ("route", "10.9.0.0/16", "0"), ("route", "10.8.0.0/16", "0")):
                network.perform(network.observe().facts[key], None)
                assert key not in network.observe().facts
            network.perform(None, Route("10.9.0.0/16", "fe80::9", "e1", 0))
            assert network.observe().facts["route", "10.9.0.0/16", "0"] == Route("10.9.0.0/16", "fe80::9", "e1", 0)

    in_namespace(tell)


def test_an_address_whose_duplicate_was_found_is_still_there() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link set e0 up", "address add fd00::1/64 dev e0-far nodad")
            network.perform(None, Address("e0", "fd00::1/64"))
            network.perform(None, Address("e0", "fd00::1/64"))
            assert network.observe().owner(("address", "e0", "fd00::1/64")) is Owner.AGENT

    in_namespace(tell)


def test_removing_an_address_leaves_a_virtual_one_of_the_same_subnet() -> None:
    """Linux would remove the secondary addresses together with the first one."""

    def tell() -> None:
        with live_network() as network:
            network.perform(None, Address("e0", "10.0.0.1/24"))
            place_virtual("e0", "10.0.0.10/24")
            network.perform(Address("e0", "10.0.0.1/24"), None)
            held = [key for key in network.observe().facts if key[:2] == ("address", "e0")]
            assert held == [("address", "e0", "10.0.0.10/24")]

    in_namespace(tell)


class Deaf(NetlinkChannel):
    """A channel on which the kernel refuses the dumps of some kinds."""

    def __init__(self, *kinds: int) -> None:
        super().__init__()
        self.kinds = kinds

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        if kind in self.kinds:
            raise KernelRefused(errno.ENOBUFS, "")
        return super().dump(kind, body)


@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        (18, {"link", "port", "power", "mtu", "mark", "address", "route"}),
        (22, {"address"}),
        (26, {"route"}),
    ],
)
def test_what_cannot_be_read_is_unknown_and_the_rest_is_there(kind: int, lost: set[str]) -> None:
    def tell() -> None:
        with live_network() as network:
            for fact in (Power("e0", True), Address("e0", "10.0.0.1/24"), Route("10.9.0.0/16", "10.0.0.9", "e0", 0)):
                network.perform(None, fact)
            channel = Deaf(kind)
            look = look_at_all(channel)
            channel.close()
            whole = {key[0] for key in network.observe().facts if key[0] != "hostname"}
            assert {key[0] for key in look.facts} == whole - lost
            assert {scope.scope[0] for scope in look.unknown} == lost
            assert all("No buffer space" in scope.why for scope in look.unknown)

    in_namespace(tell)


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    network = LiveNetwork(tmp_path, tmp_path, tmp_path)
    network.close()
    with pytest.raises(ObservationError, match="Bad file descriptor"):
        network.observe()
    with pytest.raises(PerformError, match="cannot tell whether"):
        network.perform(None, Power("lo", True))


def test_a_part_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    def tell() -> None:
        network = LiveNetwork(tmp_path, tmp_path / "resolv.conf", tmp_path)
        look = network.observe()
        network.close()
        assert [scope.scope for scope in look.unknown] == [("hostname",)]
        assert isinstance(look.unknown[0], Unknown)

    in_namespace(tell)


@pytest.mark.parametrize("text", ["::", "fd00::1", "1:0:0:2::", "::ffff:1.2.3.4", "::1.2.3.4", "0:1:1:1:1:1:1:1"])
def test_one_text_for_each_address(text: str) -> None:
    address = ip_interface(text).ip
    assert text_form(address.packed) == str(address)
