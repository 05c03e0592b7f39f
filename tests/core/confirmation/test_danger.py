"""Which plans could cut which paths. Pure: facts, neighbours and plans as values."""

from __future__ import annotations

import pytest

from reconciler.core.confirmation.danger import endangered_paths, risky_actions
from reconciler.core.confirmation.paths import PathKind, ProbedPath, below, network_paths, remote_paths
from reconciler.core.facts.fact import Address, Fact, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.host_setting import Resolver
from reconciler.core.facts.neighbour import Neighbour
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Desired, Nic, Observed, facts_by_key
from reconciler.core.planning.plan import Plan
from reconciler.core.planning.planner import make_plan

E0, E1 = Link("e0", LinkKind.PHYSICAL), Link("e1", LinkKind.PHYSICAL)
VLAN = Link("v7", LinkKind.VLAN, parent="e1", vlan_id=7)
HERE: tuple[Fact, ...] = (
    E0,
    Power("e0", up=True),
    Mtu("e0", 1500),
    Address("e0", "10.0.0.1/24"),
    E1,
    Power("e1", up=True),
    Mtu("e1", 1500),
    VLAN,
    Power("v7", up=True),
    Mark("v7", "hagit v7"),
    Mtu("v7", 1500),
    Address("v7", "10.7.0.1/24"),
    Route("0.0.0.0/0", "10.0.0.9", "e0", 20),
)
NEIGHBOURS = (Neighbour("e0", "10.0.0.9", True), Neighbour("v7", "10.7.0.5", True), Neighbour("v7", "fe80::5", True))
NICS = {name: Nic(name, f"02:00:00:00:00:0{at}") for at, name in enumerate(("e0", "e1", "e2"))}
OWNERS = {fact.key: Owner.AGENT for fact in HERE if isinstance(fact, Address | Route) or fact == VLAN}


def plan_to(*facts: Fact, seen: tuple[Fact, ...] = HERE) -> Plan:
    """The plan that makes the controller what `facts` say."""
    observed = Observed(facts_by_key(seen), OWNERS, NICS)
    return make_plan(Desired("a", facts_by_key(facts)), observed, "main@1")


def paths_for(plan: Plan) -> tuple[ProbedPath, ...]:
    before = facts_by_key(HERE)
    after = {key: fact for key, fact in before.items() if key not in plan.before} | dict(plan.after)
    places = {"git.example:22": "e0", "10.7.0.5:22": "v7"}
    return (*network_paths(before, after, NEIGHBOURS), *remote_paths(places, before))


def endangered(*facts: Fact) -> set[str]:
    """The paths that the plan to these facts endangers, without those for full packets."""
    plan = plan_to(*facts)
    return {path.name for path in endangered_paths(plan, paths_for(plan)) if not path.size}


GATEWAY, NETWORK = "gateway 10.0.0.9", "the network on v7 (10.7.0.5)"
GIT, GIT_7 = "git remote git.example:22", "git remote 10.7.0.5:22"
ALL = {GATEWAY, NETWORK, GIT, GIT_7}


def without(*gone: Fact) -> tuple[Fact, ...]:
    return tuple(fact for fact in HERE if fact not in gone)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (HERE, set()),
        ((*HERE, Link("e2", LinkKind.PHYSICAL), Power("e2", up=True), Address("e2", "10.2.0.1/24")), set()),
        ((*HERE, Address("e0", "10.0.0.2/24")), {GATEWAY}),
        ((*without(Address("e0", "10.0.0.1/24")), Address("e0", "10.0.0.2/24")), {GATEWAY, GIT}),
        ((*without(Mtu("e0", 1500)), Mtu("e0", 9000)), {GATEWAY, GIT}),
        ((*without(Mtu("e1", 1500)), Mtu("e1", 9000)), {NETWORK, GIT_7}),
        ((*without(VLAN), Link("v7", LinkKind.VLAN, parent="e1", vlan_id=8)), {NETWORK, GIT_7}),
        (without(Route("0.0.0.0/0", "10.0.0.9", "e0", 20)), {GATEWAY, GIT}),
        ((*HERE, Route("10.7.0.0/25", "10.0.0.8", "e0", 20)), {NETWORK, GIT_7}),
        ((*HERE, Resolver(("10.0.0.2",), ())), {GIT}),
        ((), ALL),
    ],
    ids=["nothing", "idle", "more", "address", "mtu", "parent", "vlan", "route", "narrower", "resolver", "all"],
)
def test_the_paths_that_a_plan_endangers(facts: tuple[Fact, ...], expected: set[str]) -> None:
    assert endangered(*facts) == expected


def test_a_plan_that_only_adds_links_needs_no_probe() -> None:
    assert risky_actions(plan_to(*HERE, Link("br0", LinkKind.BRIDGE, stp=False), Power("br0", up=True))) == ()


def test_a_link_rests_on_its_parent_and_its_ports() -> None:
    facts = facts_by_key((*HERE, Link("br0", LinkKind.BRIDGE, stp=False), Port("v7", "br0"), Port("e2", "br0")))
    assert below(facts, "br0") == {"br0", "v7", "e1", "e2"}
    circle = facts_by_key((Port("a", "b"), Port("b", "a")))
    assert below(circle, "a") == {"a", "b"}


def test_a_wrong_mtu_is_a_path_of_its_own() -> None:
    plan = plan_to(*without(Mtu("e0", 1500)), Mtu("e0", 9000))
    full = {path.name: (path.size, path.later_size) for path in paths_for(plan) if path.size}
    assert full[f"{GATEWAY} with full packets"] == (1500, 9000)
    assert full[f"{NETWORK} with full packets"] == (1500, 1500)


def test_a_new_gateway_takes_the_place_of_the_old_one() -> None:
    plan = plan_to(*without(Route("0.0.0.0/0", "10.0.0.9", "e0", 20)), Route("0.0.0.0/0", "10.0.0.8", "e0", 20))
    (path, _) = (path for path in paths_for(plan) if path.kind is PathKind.GATEWAY)
    assert (path.targets, path.later) == (("10.0.0.9",), ("10.0.0.8",))
    assert path.after().targets == ("10.0.0.8",)


def test_neighbours_are_bounded() -> None:
    many = [Neighbour(f"e{link}", f"10.{link}.0.{host}") for link in range(40) for host in range(1, 20)]
    sure = Neighbour("e39", "10.39.0.200", True)
    found = [path for path in network_paths({}, {}, [*many, sure]) if not path.size]
    assert sum(len(path.targets) for path in found) == 64
    assert "10.39.0.200" in {target for path in found for target in path.targets}
