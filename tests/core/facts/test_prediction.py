"""What the kernel makes of one change, rule by rule; the network adapter's tests hold the same rules to the kernel."""

import pytest

from reconciler.core.facts.fact import Address, BondMode, BondOptions, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.prediction import Prediction, predict
from reconciler.core.facts.state import Nic, Observed, facts_by_key

BOND = Link("bond0", LinkKind.BOND, bond=BondOptions(BondMode.ACTIVE_BACKUP, 100))
BRIDGE = Link("br0", LinkKind.BRIDGE, stp=False)
VLAN = Link("v5", LinkKind.VLAN, parent="eth0", vlan_id=5)
V4, V4_TOO, V6 = Address("eth0", "10.0.0.1/24"), Address("eth0", "10.1.0.1/24"), Address("eth0", "fd00::1/64")
R4 = Route("10.5.0.0/16", "10.0.0.254", "eth0", 0)
R6 = Route("fd05::/64", "fd00::ff", "eth0", 1024)


def live(*facts, up=True) -> Prediction:
    """One NIC with these facts, and another that is up and bare."""
    base = [
        Link("eth0", LinkKind.PHYSICAL), Mtu("eth0", 1500), Power("eth0", up=up), Mark("eth0", ""),
        Link("eth1", LinkKind.PHYSICAL), Mtu("eth1", 1500), Power("eth1", up=True), Mark("eth1", ""),
    ]  # fmt: skip
    nics = {name: Nic(name, "02:00:00:00:00:01") for name in ("eth0", "eth1")}
    return Prediction(Observed(facts=facts_by_key([*base, *facts]), nics=nics))


def keys(facts) -> set:
    return {fact.key for fact in facts}


def test_a_link_going_down_loses_ipv6_addresses_and_every_route():
    world = live(V4, V6, R4, R6)
    assert keys(world.perform(Power("eth0", up=True), Power("eth0", up=False))) == keys([V6, R4, R6])
    assert world.facts[V4.key] == V4


def test_the_last_ipv4_address_takes_the_ipv4_routes_along_and_the_last_ipv6_address_none():
    world = live(V4, V4_TOO, V6, R4, R6)
    assert world.perform(V4, None) == ()
    assert keys(world.perform(V4_TOO, None)) == keys([R4])
    assert world.perform(V6, None) == ()
    assert R6.key in world.facts


def test_a_small_mtu_takes_ipv6_away():
    world = live(V4, V6, R4, R6)
    assert keys(world.perform(Mtu("eth0", 1500), Mtu("eth0", 1279))) == keys([V6, R6])


@pytest.mark.parametrize(("link", "mtu"), [(BOND, 1500), (BRIDGE, 1500), (VLAN, 9000)])
def test_a_new_link_is_down_stamped_and_as_large_as_its_parent(link, mtu):
    world = live()
    world.perform(None, Mtu("eth0", 9000))
    world.perform(None, link)
    assert world.facts["power", link.name] == Power(link.name, up=False)
    assert world.facts["mtu", link.name] == Mtu(link.name, mtu)
    assert world.facts["mark", link.name] == Mark(link.name, f"hagit {link.name}")
    assert world.owners["mark", link.name] is Owner.AGENT
    assert world.nics[link.name].virtual


def test_vlans_go_up_down_smaller_and_away_with_their_parent():
    world = live(up=False)
    world.perform(None, VLAN)
    world.perform(None, Power("eth0", up=True))
    assert world.is_up("v5")
    world.perform(None, Address("v5", "fd05::1/64"))
    assert ("address", "v5", "fd05::1/64") in keys(world.perform(None, Power("eth0", up=False)))
    assert not world.is_up("v5")
    world.perform(None, Mtu("eth0", 1400))
    assert world.mtu("v5") == 1400
    world.perform(None, Mtu("eth0", 9000))
    assert world.mtu("v5") == 1400
    gone = world.perform(Link("eth0", LinkKind.PHYSICAL), None)
    assert VLAN in gone
    assert not [key for key in world.facts if "v5" in key]


def test_a_port_of_a_bond_goes_down_and_up_and_takes_its_mtu():
    world = live(V4, V6, R4)
    world.perform(None, BOND)
    world.perform(None, Mtu("bond0", 9000))
    gone = world.perform(None, Port("eth0", "bond0"))
    assert {V6.key, R4.key} <= keys(gone)
    assert world.is_up("eth0") and world.mtu("eth0") == 9000
    world.perform(None, Mtu("bond0", 2000))
    assert world.mtu("eth0") == 2000
    world.perform(Port("eth0", "bond0"), None)
    assert not world.is_up("eth0")


def test_a_removed_bond_frees_its_ports_and_closes_them():
    world = live()
    world.perform(None, BOND)
    world.perform(None, Port("eth0", "bond0"))
    assert Port("eth0", "bond0") in world.perform(BOND, None)
    assert not world.is_up("eth0") and ("port", "eth0") not in world.facts


def test_a_bridge_follows_its_smallest_port_until_somebody_sets_its_mtu():
    world = live()
    world.perform(None, BRIDGE)
    world.perform(None, Mtu("eth0", 9000))
    world.perform(None, Port("eth0", "br0"))
    assert world.mtu("br0") == 9000 and world.is_up("eth0")
    world.perform(None, Mtu("eth0", 2000))
    assert world.mtu("br0") == 2000
    world.perform(None, Mtu("br0", 1400))
    world.perform(None, Mtu("eth0", 3000))
    assert world.mtu("br0") == 1400


def test_a_route_without_link_goes_where_its_gateway_is():
    world = live(V4, Address("eth1", "10.0.0.9/32"))
    world.perform(None, Route("10.5.0.0/16", "10.0.0.254", None, 0))
    assert world.facts[R4.key] == R4 and world.owners[R4.key] is Owner.AGENT


@pytest.mark.parametrize(
    ("gateway", "link", "found"),
    [
        ("10.0.0.254", None, "eth0"),
        ("10.0.0.254", "eth1", None),
        ("10.9.0.1", None, None),
        ("10.6.0.1", None, "eth1"),
        ("fe80::1", "eth1", "eth1"),
        ("fe80::1", None, None),
        ("fd00::9", None, "eth0"),
    ],
)
def test_which_gateways_are_neighbours(gateway, link, found):
    world = live(V4, V6, Route("10.6.0.0/16", None, "eth1", 0))
    assert world.link_towards(gateway, link) == found


def test_a_link_that_is_down_reaches_nobody():
    assert live(V4, up=False).link_towards("10.0.0.254", None) is None


def test_the_pure_form_leaves_what_it_was_given():
    observed = live(V4).observed()
    after = predict(observed, V4, None)
    assert V4.key in observed.facts and V4.key not in after.facts


def test_moving_a_port_releases_it_first():
    world = live()
    world.perform(None, BOND)
    world.perform(None, BRIDGE)
    world.perform(None, Port("eth0", "bond0"))
    world.perform(Port("eth0", "bond0"), Port("eth0", "br0"))
    assert world.ports("bond0") == () and world.ports("br0") == ("eth0",)
    assert not world.is_up("eth0")
