"""What a person, another program or the kernel can do wrong: one clear message each, and nothing half done."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.facts.fact import Address, BondMode, BondOptions, Link, LinkKind, Mark, Mtu, Power, Route
from reconciler.core.facts.host_setting import Hostname
from reconciler.errors import ObservationError, PerformError
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import addresses_request, read_address
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.netlink.links import ALL_LINKS, read_link
from reconciler.system.netlink.live_network import LiveNetwork
from reconciler.system.netlink.routes import read_route
from tests.system.network.conformance import features, live_network
from tests.system.network.namespaces import in_namespace, ip
from tests.system.network.scenarios import BONDING

ROOT = Path(__file__).parents[3]


def refused(tell: Callable[[LiveNetwork], None], pattern: str) -> None:
    def run() -> None:
        with live_network() as network, pytest.raises(PerformError, match=pattern):
            tell(network)

    in_namespace(run)


def test_an_mtu_the_driver_refuses_names_its_limits() -> None:
    refused(
        lambda network: network.perform(Mtu("e0", 1500), Mtu("e0", 70000)),
        r"(?s)e0: .* set the MTU of e0 to 70000: mtu greater than device maximum.*68 to 65535 bytes",
    )


def test_a_link_that_vanished() -> None:
    def tell(network: LiveNetwork) -> None:
        ip("link delete e0")
        network.perform(None, Address("e0", "10.0.0.1/24"))

    refused(tell, r"(?s)add 10\.0\.0\.1/24 to e0: No such device.*vanished or was renamed")


def test_a_link_that_was_renamed() -> None:
    def tell(network: LiveNetwork) -> None:
        ip("link set e0 name lan0")
        network.perform(Mtu("e0", 1500), Mtu("e0", 9000))

    refused(tell, r"(?s)e0: .*No such device.*renamed")


def test_an_alternative_name_is_not_the_link_of_that_name() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link property add dev e0 altname lan0")
            assert network.observe_keys([("link", "lan0"), ("link", "e0")]) == {
                ("link", "lan0"): None,
                ("link", "e0"): Link("e0", LinkKind.PHYSICAL),
            }

    in_namespace(tell)


def test_a_kernel_without_the_kind_of_link() -> None:
    if BONDING in features():
        # Where bonds can be made, a name that cannot be one is refused instead.
        link, pattern = Link("a/b", LinkKind.BOND, bond=BondOptions(BondMode.BALANCE_RR, 100)), "Invalid argument"
    else:
        link, pattern = Link("bond0", LinkKind.BOND, bond=BondOptions(BondMode.BALANCE_RR, 100)), "modprobe bonding"
    refused(lambda network: network.perform(None, link), pattern)


def test_a_gateway_that_nobody_reaches_says_what_to_check() -> None:
    refused(lambda network: network.perform(None, Route("0.0.0.0/0", "10.0.0.9", None, 0)), "(?s)gateway.*check both")


UNPRIVILEGED = """
import sys
from pathlib import Path
from reconciler.core.facts.fact import Address, Mtu
from reconciler.core.facts.host_setting import Hostname
from reconciler.errors import PerformError
from reconciler.system.netlink.live_network import LiveNetwork

network = LiveNetwork(Path(sys.argv[1]), Path(sys.argv[1]).with_name("resolv.conf"), Path(sys.argv[1]).parent)
print(len(network.observe().nics))
for change in (Address("e0", "10.0.0.1/24"), Mtu("e0", 1400), Hostname("other")):
    try:
        network.perform(None, change)
    except PerformError as problem:
        print(problem)
print(Path(sys.argv[1]).read_text())
"""


def test_without_permission_it_looks_and_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "hostname"
    file.write_text("scenario\n")

    def tell() -> str:
        with live_network():
            command = [
                "setpriv",
                "--bounding-set=-all",
                "--inh-caps=-all",
                sys.executable,
                "-c",
                UNPRIVILEGED,
                str(file),
            ]
            return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    said = in_namespace(tell)
    assert said.startswith("6\n"), "looking needs no permission"
    assert said.count("Operation not permitted") == 3
    assert said.count("CAP_NET_ADMIN") == 2
    assert said.endswith("scenario\n\n"), "the file stays when the kernel refuses the name"


class Disturbed(NetlinkChannel):
    """A channel where an address is made or removed after each datagram it reads, as long as `left` is not used up."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left
        self.deed = "delete"

    def _receive(self) -> bytes:
        data = super()._receive()
        if self.left:
            self.left -= 1
            ip(f"address {self.deed} 10.9.0.1/24 dev e1")
            self.deed = "add" if self.deed == "delete" else "delete"
        return data


@pytest.mark.parametrize(("disturbances", "whole"), [(0, True), (1, True), (7, True), (1000, False)])
def test_a_dump_that_the_kernel_calls_interrupted_is_read_again(disturbances: int, whole: bool) -> None:
    """The kernel marks a dump that it could not read in one go (NLM_F_DUMP_INTR)."""

    def tell() -> None:
        with live_network() as network:
            ip("address add 10.9.0.1/24 dev e1")
            for number in range(1000):
                network.perform(None, Address("e0", f"10.0.{number // 250}.{number % 250 + 1}/16"))
            channel = Disturbed(disturbances)
            try:
                if whole:
                    held = [read_address(p) for p in channel.dump(wire.GET_ADDRESS, addresses_request(socket.AF_INET))]
                    assert sum(record.address.endswith("/16") for record in held) == 1000
                    assert channel.left == 0
                else:
                    with pytest.raises(Unreadable, match="kept changing"):
                        channel.dump(wire.GET_ADDRESS, addresses_request(socket.AF_INET))
            finally:
                channel.close()

    in_namespace(tell)


def test_two_answers_to_one_question_are_there_and_are_not_the_desired_one() -> None:
    def tell() -> None:
        with live_network() as network:
            ip("link set e0 up", "link set e1 up", "address add 10.0.0.1/24 dev e0", "address add 10.1.0.1/24 dev e1")
            ip("route add 10.9.0.0/16 nexthop via 10.0.0.9 nexthop via 10.1.0.9")
            ip("route add 10.8.0.0/16 via 10.0.0.9", "route append 10.8.0.0/16 via 10.1.0.9")
            look = network.observe()
            for destination, trait in (("10.9", "2 next hops"), ("10.8", "2 routes")):
                fact = look.facts["route", f"{destination}.0.0/16", "0"]
                assert isinstance(fact, Route) and fact.traits == (trait,)
                with pytest.raises(PerformError, match=re.escape(f"{destination}.0.0/16")) as refused:
                    network.perform(None, Route(f"{destination}.0.0/16", "10.0.0.7", "e0", 0))
                assert "another route is in its place" in refused.value.remedy

    in_namespace(tell)


def test_a_link_whose_alias_is_not_text() -> None:
    def tell() -> None:
        with live_network() as network:
            channel = NetlinkChannel()
            body = wire.LINK_HEADER.pack(0, 0, channel.index_of("e0"), 0, 0)
            channel.request(wire.SET_LINK, 0, body + wire.attribute(wire.IFLA_IFALIAS, b"\xff\xfe"))
            channel.close()
            assert network.observe().facts["mark", "e0"] == Mark("e0", r"\xff\xfe")

    in_namespace(tell)


def test_messages_that_contradict_themselves() -> None:
    whole = wire.LINK_HEADER.pack(0, 0, 1, 0, 0) + wire.text(wire.IFLA_IFNAME, "e0")
    assert read_link(whole).name == "e0"
    for bad in (whole[:10], whole[:-3], whole[:16] + b"\xff\xff\x03\x00e0\0\0", whole[:16] + b"\x02\x00\x03\x00"):
        with pytest.raises(wire.MalformedMessage):
            read_link(bad)
    address = wire.ADDRESS_HEADER.pack(2, 24, 0, 0, 1) + wire.attribute(wire.IFA_LOCAL, b"\n\0\0")
    with pytest.raises(wire.MalformedMessage, match="3 bytes"):
        read_address(address)
    with pytest.raises(wire.MalformedMessage):
        read_route(b"\x02\x18", {})
    with pytest.raises(wire.MalformedMessage):
        list(wire.messages(wire.HEADER.pack(64, 16, 0, 1, 0)))


def test_a_dump_of_more_than_one_datagram_arrives_whole() -> None:
    def tell() -> None:
        with live_network() as network:
            for number in range(3000):
                network.perform(None, Address("e0", f"10.0.{number // 250}.{number % 250 + 1}/16"))
            assert sum(key[0] == "address" for key in network.observe().facts) == 3000

    in_namespace(tell)


def test_a_channel_goes_on_after_a_refusal() -> None:
    def tell() -> None:
        channel = NetlinkChannel()
        with pytest.raises(KernelRefused, match="No such device"):
            channel.index_of("nowhere")
        with pytest.raises(KernelRefused):
            channel.dump(wire.GET_ADDRESS, addresses_request(socket.AF_INET, 4711))
        assert len(channel.dump(wire.GET_LINK, ALL_LINKS)) == 1
        channel.close()
        with pytest.raises(Unreadable):
            channel.dump(wire.GET_LINK, ALL_LINKS)

    in_namespace(tell)


def test_no_descriptors_left_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(ObservationError, match="limit of open files"):
            LiveNetwork(tmp_path / "hostname", tmp_path / "resolv.conf", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.300/24", "fd00::1/129", "10.0.0.1/-1", "", "x/y"])
def test_text_that_is_no_address(address: str) -> None:
    refused(lambda network: network.perform(None, Address("e0", address)), "prefix length")


def test_facts_that_cannot_be_taken_away() -> None:
    refused(lambda network: network.perform(Mtu("e0", 1500), None), "changed, not removed")
    refused(lambda network: network.perform(Power("e0", True), None), "changed, not removed")
    refused(lambda network: network.perform(Hostname("scenario"), None), "changed, not removed")
