"""Which NIC each interface means, and what is held when that cannot be told."""

from dataclasses import replace

import pytest

from reconciler.core.facts.difference import differences
from reconciler.core.facts.fact import Address, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Nic, NicMatch, Origin, Unknown
from reconciler.core.planning.nic_match import bind
from reconciler.core.planning.plan import Gate
from tests.core.planning.worlds import bare, desired_of

NIC = Link("p0", LinkKind.PHYSICAL)


def controller(**nics):
    """A bare controller on which some NICs are as given."""
    observed = bare()
    return replace(
        observed, nics={**observed.nics, **{name: replace(observed.nics[name], **more) for name, more in nics.items()}}
    )


def bound(match, observed=None, *more):
    desired = desired_of([NIC, Mtu("p0", 1500), *more], {"p0": match})
    return bind(
        replace(desired, match_origins={"p0": Origin("n.yaml", 7, 3, "Interface/p0")}), observed or controller()
    )


@pytest.mark.parametrize(
    "match",
    [
        NicMatch(mac="02:00:00:00:00:01"),
        NicMatch(name="eth1"),
        NicMatch(path="pci-0000:03:00.1"),
        NicMatch(path="pci-0000:03:00.*"),
    ],
)
def test_a_nic_is_found_by_anything(match):
    result = bound(match, controller(eth1={"path": "pci-0000:03:00.1"}, eth0={"path": "pci-0000:04:00.1"}))
    assert result.holds == () and result.names == {"p0": "eth1"}
    assert set(result.desired.facts) == {("link", "eth1"), ("mtu", "eth1")}
    assert set(result.desired.origins) == set(result.desired.facts)


def test_macs_are_compared_without_case():
    assert bound(NicMatch(mac="02:00:00:00:00:0A"), controller(eth2={"mac": "02:00:00:00:00:0a"})).names["p0"] == "eth2"


def test_every_link_a_fact_names_is_renamed():
    facts = [
        Link("bond0", LinkKind.BOND), Port("p0", "bond0"), Link("v5", LinkKind.VLAN, parent="p0", vlan_id=5),
        Power("p0", up=True), Mark("p0", "hagit p0"), Address("p0", "10.0.0.1/24"), Route("10.1.0.0/16", None, "p0", 0),
    ]  # fmt: skip
    result = bound(NicMatch(name="eth3"), None, *facts)
    assert "p0" not in {part for key in result.desired.facts for part in key}
    assert result.desired.facts["link", "v5"].parent == "eth3"
    assert result.desired.facts["route", "10.1.0.0/16", "0"].link == "eth3"
    assert result.names == {"p0": "eth3", "bond0": "bond0", "v5": "v5"}


def test_names_may_be_exchanged():
    desired = desired_of(
        [Link("eth0", LinkKind.PHYSICAL), Mtu("eth0", 9000), Link("eth1", LinkKind.PHYSICAL), Mtu("eth1", 1500)],
        {"eth0": NicMatch(name="eth1"), "eth1": NicMatch(name="eth0")},
    )
    assert bind(desired, bare()).desired.facts["mtu", "eth1"] == Mtu("eth1", 9000)


@pytest.mark.parametrize(
    ("match", "changes", "why"),
    [
        (NicMatch(name="eth9"), {}, "no NIC has name eth9; here are eth0 (02:00:00:00:00:00), eth1"),
        (NicMatch(mac="02:00:00:00:00:00"), {"eth1": {"mac": "02:00:00:00:00:00"}}, "matches eth0, eth1"),
        (
            NicMatch(path="pci-*"),
            {"eth0": {"path": "pci-1"}, "eth2": {"path": "pci-2"}},
            "path pci-* matches eth0, eth2",
        ),
    ],
)
def test_none_and_several_are_held_with_the_place(match, changes, why):
    result = bound(match, controller(**changes), Address("p0", "10.0.0.1/24"))
    assert [(hold.gate, hold.key, hold.resource) for hold in result.holds] == [
        (Gate.NIC, ("link", "p0"), "Interface/p0")
    ]
    assert why in result.holds[0].why and result.holds[0].origin.line == 7
    assert not result.desired.facts


def test_a_match_never_takes_what_hagit_makes():
    observed = controller()
    vlan = Link("v5", LinkKind.VLAN, parent="eth0", vlan_id=5)
    observed = replace(
        observed,
        facts={**observed.facts, vlan.key: vlan},
        nics={**observed.nics, "v5": Nic("v5", observed.nics["eth0"].mac, virtual=True)},
    )
    assert bound(NicMatch(mac=observed.nics["eth0"].mac), observed).names["p0"] == "eth0"
    assert "name v5 is a vlan, not a NIC" in bound(NicMatch(name="v5"), observed).holds[0].why


def test_all_problems_come_at_once_and_hold_nothing_else():
    facts = [Link(name, LinkKind.PHYSICAL) for name in ("p0", "p1", "p2", "p3")] + [Mtu("p3", 1500)]
    matches = {
        "p0": NicMatch(name="eth0"),
        "p1": NicMatch(mac="02:00:00:00:00:00"),
        "p2": NicMatch(name="x"),
        "p3": NicMatch(name="eth3"),
    }
    result = bind(desired_of(facts, matches), bare())
    assert sorted(hold.key[1] for hold in result.holds) == ["p0", "p1", "p2"]
    assert set(result.desired.facts) == {("link", "eth3"), ("mtu", "eth3")}


def test_what_rests_on_a_missing_nic_waits_and_the_bond_does_not():
    facts = [
        Link("bond0", LinkKind.BOND), Port("p0", "bond0"), Address("bond0", "10.0.0.1/24"),
        Link("v5", LinkKind.VLAN, parent="p0", vlan_id=5), Address("v5", "10.0.5.1/24"),
        Link("br0", LinkKind.BRIDGE), Port("v5", "br0"),
    ]  # fmt: skip
    result = bound(NicMatch(name="gone"), None, *facts)
    assert set(result.desired.facts) == {("link", "bond0"), ("address", "bond0", "10.0.0.1/24"), ("link", "br0")}
    waiting = {hold.key for hold in result.holds if hold.gate is Gate.WAITS}
    assert waiting == {("port", "p0"), ("link", "v5"), ("port", "v5")}


def test_nothing_of_a_missing_nic_is_pruned_under_its_new_name():
    observed = bare()
    stamped, address = Mark("eth2", "hagit p0"), Address("eth2", "10.0.0.1/24")
    observed = replace(
        observed,
        facts={**observed.facts, stamped.key: stamped, address.key: address},
        owners={address.key: Owner.AGENT},
    )
    result = bound(NicMatch(name="gone"), observed, Address("p0", "10.0.0.1/24"))
    assert differences(result.desired, observed, result.spared) == ()
    assert {item.key for item in differences(result.desired, observed)} == {stamped.key, address.key}


def test_a_bond_cannot_have_the_name_of_a_nic_that_is_claimed():
    result = bound(NicMatch(name="eth0"), None, Link("eth0", LinkKind.BOND))
    assert "eth0 is the name of the NIC that p0 matches" in result.holds[0].why
    assert ("mtu", "eth0") in result.desired.facts


def test_when_links_are_unknown_a_missing_nic_is_unknown_too():
    observed = replace(bare(()), unknown=(Unknown(("link",), "timed out"),))
    assert [hold.gate for hold in bound(NicMatch(name="eth0"), observed).holds] == [Gate.UNKNOWN]
