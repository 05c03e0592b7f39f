"""What is in the place of a desired address, route or link and is not it: changed in place, or held with a way out."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.facts.change import ActionVerb, Impact
from reconciler.core.facts.codec import fact_document, fact_from_document, observed_document, observed_from_document
from reconciler.core.facts.difference import DifferenceKind
from reconciler.core.facts.fact import Address, Fact, Link, LinkKind, Power, Route
from reconciler.core.facts.prediction import Prediction
from reconciler.core.facts.state import DriftMode, Observed
from reconciler.core.planning.drift_state import (
    DriftEntry,
    DriftLedger,
    DriftState,
    ledger_document,
    ledger_from_document,
)
from reconciler.core.planning.plan import Gate, HeldChange
from reconciler.core.planning.planner import make_plan
from tests.core.planning.test_plan_properties import REVISION, many, observations
from tests.core.planning.worlds import bare, desired_of, desires, perform

ADDRESS_TRAITS = ("leased", "deprecated", "duplicate", "noprefixroute")
PEERS = {False: "peer 10.0.0.254", True: "peer fd00::254"}
ROUTE_TRAITS = ("blackhole", "unreachable", "2 next hops", "2 routes", "src 10.0.0.7", "expires", "tos 0x10")


def live(*facts: Fact, link: str = "eth0", **nic: object) -> Observed:
    """A controller on which one NIC is up and these facts were made by hand."""
    look = bare()
    prediction = Prediction(look)
    prediction.perform(None, Power(link, up=True))
    for fact in facts:
        prediction.perform(None, fact)
    made = prediction.observed()
    nics = {**made.nics, link: replace(made.nics[link], **nic)}  # type: ignore[arg-type]
    return replace(made, owners=MappingProxyType({}), nics=MappingProxyType(nics))


def only_hold(desired: list[Fact], observed: Observed) -> HeldChange:
    plan = make_plan(desired_of([*desired, Link("eth0", LinkKind.PHYSICAL)]), observed, REVISION)
    assert plan.actions == (), plan.actions
    (hold,) = plan.holds
    return hold


@pytest.mark.parametrize("traits", [("leased",), ("deprecated",), ("leased", "deprecated")])
@pytest.mark.parametrize("address", ["10.0.0.1/24", "fd00::1/64"])
def test_a_lifetime_is_made_permanent_in_place(address: str, traits: tuple[str, ...]) -> None:
    want = Address("eth0", address)
    plan = make_plan(desired_of([want]), live(Address("eth0", address, traits)), REVISION)
    (action,) = plan.actions
    assert (action.verb, action.after, action.impact) == (ActionVerb.CHANGE, want, Impact.NONE)
    assert traits[0] in action.reason


@pytest.mark.parametrize(
    ("trait", "gate", "words"),
    [
        ("duplicate", Gate.REFUSED, "duplicate address detection"),
        ("peer 10.0.0.254", Gate.FOREIGN, "has the peer 10.0.0.254"),
        ("noprefixroute", Gate.FOREIGN, "without the route to its network"),
    ],
)
def test_what_cannot_be_changed_in_place_is_held(trait: str, gate: Gate, words: str) -> None:
    hold = only_hold([Address("eth0", "10.0.0.1/24")], live(Address("eth0", "10.0.0.1/24", (trait,))))
    assert hold.gate is gate
    assert words in hold.why
    peer = " peer 10.0.0.254" if "peer" in trait else ""
    assert f"ip address delete 10.0.0.1{peer}/24 dev eth0" in hold.remedy


@pytest.mark.parametrize(
    ("traits", "command"),
    [
        (("blackhole",), "ip route delete blackhole 10.9.0.0/16 metric 5"),
        (("prohibit",), "ip route delete prohibit 10.9.0.0/16 metric 5"),
        (("2 next hops",), "ip route delete 10.9.0.0/16 metric 5"),
        (("src 10.0.0.7",), "ip route delete 10.9.0.0/16 metric 5"),
    ],
)
def test_another_kind_of_route_is_held(traits: tuple[str, ...], command: str) -> None:
    there = Route("10.9.0.0/16", None, None, 5, traits)
    want = Route("10.9.0.0/16", "10.0.0.9", "eth0", 5)
    hold = only_hold([want, Address("eth0", "10.0.0.1/24")], live(there, Address("eth0", "10.0.0.1/24")))
    assert hold.gate is Gate.FOREIGN
    assert traits[0] in hold.why
    assert command in hold.remedy


def test_a_route_with_a_type_of_service_is_beside_the_plain_one() -> None:
    there = Route("10.9.0.0/16", "10.0.0.8", "eth0", 5, ("tos 0x10",))
    want = Route("10.9.0.0/16", "10.0.0.9", "eth0", 5)
    desired = desired_of([want, Address("eth0", "10.0.0.1/24"), Link("eth0", LinkKind.PHYSICAL)])
    plan = make_plan(desired, live(there, Address("eth0", "10.0.0.1/24")), REVISION)
    assert [action.after for action in plan.actions] == [want]
    assert [item.fact for item in plan.foreign] == [there]
    assert "tos 0x10 metric 5" in plan.foreign[0].note


def test_a_blackhole_makes_no_gateway_a_neighbour() -> None:
    there = Route("10.9.0.0/16", None, "eth0", 0, ("blackhole",))
    assert only_hold([Route("10.8.0.0/16", "10.9.0.1", None, 0)], live(there)).gate is Gate.UNREACHABLE


def test_ipv6_that_is_off() -> None:
    hold = only_hold([Address("eth0", "fd00::1/64")], live(ipv6=False))
    assert hold.gate is Gate.REFUSED
    assert "net/ipv6/conf/eth0/disable_ipv6=0" in hold.remedy
    assert only_hold([Route("fd01::/64", None, "eth0", 0)], live(ipv6=False)).gate is Gate.REFUSED


@pytest.mark.parametrize("address", ["10.0.0.1/0", "fd00::1/0"])
def test_a_prefix_length_of_zero(address: str) -> None:
    hold = only_hold([Address("eth0", address)], live())
    assert hold.gate is Gate.REFUSED
    assert "every other machine" in hold.why


@pytest.mark.parametrize(
    ("own", "gateway", "destination", "words"),
    [
        ("10.0.0.1/24", "10.0.0.255", "10.9.0.0/16", "broadcast address"),
        ("10.0.0.129/25", "10.0.0.255", "0.0.0.0/0", "broadcast address"),
        ("fd00::1/64", "fd00::1", "::/0", "own address"),
    ],
)
def test_a_gateway_that_no_other_machine_can_be(own: str, gateway: str, destination: str, words: str) -> None:
    hold = only_hold([Route(destination, gateway, "eth0", 0)], live(Address("eth0", own)))
    assert hold.gate is Gate.UNREACHABLE
    assert words in hold.why


def test_the_two_ends_of_a_31_are_gateways() -> None:
    want = Route("10.9.0.0/16", "10.0.0.1", "eth0", 0)
    plan = make_plan(desired_of([want]), live(Address("eth0", "10.0.0.0/31")), REVISION)
    assert [action.after for action in plan.actions] == [want]


@pytest.mark.parametrize("name", ["lo", "all", "default", "bonding_masters", "enp1s0"])
def test_a_name_that_is_taken(name: str) -> None:
    desired = [Link(name, LinkKind.BRIDGE, stp=False), Power(name, up=True), Address(name, "10.1.0.1/24")]
    plan = make_plan(desired_of(desired), live(altnames=("enp1s0",)), REVISION)
    assert plan.actions == ()
    first, *rest = plan.holds
    assert first.gate is (Gate.FOREIGN if name == "enp1s0" else Gate.REFUSED)
    assert name in first.why
    assert {hold.gate for hold in rest} == {Gate.WAITS}


@many
@given(desires(), observations(), st.data())
def test_whatever_is_in_the_place_of_a_desired_fact_planning_ends(desired, observed, data):
    """Applying again soon ends with nothing to do but what is held, and what is held says why and what to do.

    A link that carries a route of others is held; with the link's last address that route goes, and then the link can.
    """
    facts, owners = dict(observed.facts), dict(observed.owners)
    for key, fact in sorted(observed.facts.items()):
        if isinstance(fact, Address | Route):
            words = (*ADDRESS_TRAITS, PEERS[":" in fact.address]) if isinstance(fact, Address) else ROUTE_TRAITS
            traits = tuple(data.draw(st.lists(st.sampled_from(words), unique=True, max_size=2)))
            if traits:
                del facts[key]
                odd = replace(fact, traits=traits)
                facts[odd.key] = odd
                if isinstance(fact, Route):
                    owners.pop(key, None)
    odd_look = replace(observed, facts=MappingProxyType(facts), owners=MappingProxyType(owners))
    plan = make_plan(desired, odd_look, REVISION)
    again = plan
    after = odd_look
    for _ in range(3):
        after = perform(after, again)
        again = make_plan(desired, after, REVISION)
    assert again.actions == ()
    assert all(hold.why and hold.remedy for hold in (*plan.holds, *again.holds))
    assert observed_from_document(observed_document(odd_look)) == odd_look
    for fact in odd_look.facts.values():
        assert fact_from_document(fact_document(fact)) == fact


def test_a_ledger_can_be_read_by_a_release_that_knows_no_traits() -> None:
    """What sets the live fact apart stands beside it."""
    seen = Address("eth0", "10.0.0.1/24", ("leased",))
    want = Address("eth0", "10.0.0.1/24")
    drift = DriftEntry(
        key=seen.key,
        kind=DifferenceKind.CHANGE,
        state=DriftState.FIRING,
        desired=want,
        live=seen,
        why="differs",
        origin=None,
        resource="Interface/a",
        mode=DriftMode.WARN,
        revision="main@1",
        since_s=1.0,
    )
    document = ledger_document(DriftLedger(drifts=MappingProxyType({seen.key: drift})))
    assert document["drifts"][0]["live"] == {"fact": "address", "link": "eth0", "address": "10.0.0.1/24"}
    assert ledger_from_document(document).drifts[seen.key] == drift
    del document["drifts"][0]["traits"]
    assert ledger_from_document(document).drifts[seen.key].live == want
