"""What is captured asks for what is there: it loads, and nothing in it differs from the controller."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from reconciler.core.facts.difference import Difference, DifferenceKind, differences
from reconciler.core.facts.fact import Address, Hostname, Link, LinkKind, Mtu, Port, Power, Resolver, Route
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Nic, Observed, Unknown, facts_by_key
from reconciler.core.planning.bind import bind
from reconciler.core.spec import compile_desired, load
from reconciler.core.spec.capturing import capture
from tests.core.spec.observations import observations


def found_in(observed: Observed, text: str, controller: str) -> list[Difference]:
    bound = bind(compile_desired(load({"captured.yaml": text.encode()}), controller), observed)
    assert not bound.holds
    return list(differences(bound.desired, observed, bound.spared))


def differing(observed: Observed, text: str, controller: str) -> list[str]:
    """What a plan of the captured text would create or change."""
    changing = (DifferenceKind.ADD, DifferenceKind.CHANGE)
    return [f"{item.key}: {item.why}" for item in found_in(observed, text, controller) if item.kind in changing]


@settings(max_examples=3 * settings.default.max_examples)
@given(observations())
@example(Observed(unknown=(Unknown((), "nothing can be read"),)))
def test_planning_what_was_captured_changes_nothing(observed: Observed) -> None:
    text = capture(observed, "a", "storage-a", "A1")
    assert differing(observed, text, "a") == []


@settings(max_examples=2 * settings.default.max_examples)
@given(observations())
def test_what_would_be_pruned_is_named(observed: Observed) -> None:
    text = capture(observed, "a", "storage-a", "A1")
    for item in found_in(observed, text, "a"):
        fact = item.observed
        if item.kind is DifferenceKind.REMOVE and isinstance(fact, Address | Route):
            what = f"{fact.address} on {fact.link}" if isinstance(fact, Address) else f"route to {fact.destination}"
            assert f"# - {what}: made by hagit, so planning this removes it" in text


def typical() -> Observed:
    facts = [
        *(Link(name, LinkKind.PHYSICAL) for name in ("lo", "eth0", "eth1", "eth2", "eth3")),
        Link("storage.20", LinkKind.VLAN, parent="eth0", vlan_id=20),
        Link("br0", LinkKind.BRIDGE, stp=False),
        *(Power(name, name != "eth3") for name in ("lo", "eth0", "eth1", "eth2", "eth3", "storage.20", "br0")),
        *(Mtu(name, 9000) for name in ("eth0", "storage.20")),
        *(Mtu(name, 1500) for name in ("eth1", "eth2", "br0")),
        Port("eth1", "br0"),
        Address("lo", "127.0.0.1/8"),
        Address("eth0", "10.0.0.11/24"),
        Address("eth0", "fe80::1/64"),
        Address("storage.20", "10.20.0.11/24"),
        Address("storage.20", "10.20.0.10/24"),
        Address("br0", "fd00::11/64"),
        Address("eth3", "10.3.0.1/24"),
        Route("0.0.0.0/0", "10.0.0.1", "eth0", 0),
        Route("10.0.0.0/24", None, "eth0", 0),
        Route("10.9.0.0/16", "10.8.0.1", "eth0", 100),
        Hostname("nas1"),
        Resolver(("10.0.0.2",), ("example.org", "lan")),
    ]
    owners = {
        ("address", "lo", "127.0.0.1/8"): Owner.KERNEL,
        ("address", "eth0", "fe80::1/64"): Owner.KERNEL,
        ("route", "10.0.0.0/24", "0"): Owner.KERNEL,
        ("address", "storage.20", "10.20.0.10/24"): Owner.WATCHDOG,
    }
    macs = {"eth0": "02:00:00:00:00:01", "eth1": "02:00:00:00:00:02", "eth2": "02:00:00:00:00:03"}
    nics = {name: Nic(name, macs.get(name, "02:00:00:00:00:01")) for name in (*macs, "storage.20", "br0")}
    return Observed(facts_by_key(facts), owners, nics)


def test_a_typical_controller(golden: Callable[[Path, str], None]) -> None:
    text = capture(typical(), "b", "unused", "B7")
    golden(Path(__file__).parent / "captured.yaml.expected", text)
    assert differing(typical(), text, "b") == []


@pytest.mark.parametrize(
    "reason", ["eth2: it has no static address", "eth3: the link is down", "placed by the watchdog"]
)
def test_what_is_left_out_is_named_with_the_reason(reason: str) -> None:
    comments = [line for line in capture(typical(), "a", "", "").split("\n") if line.startswith("#")]
    assert any(reason in line for line in comments)


def test_a_host_name_that_was_not_observed_is_the_one_given() -> None:
    assert "hostname: storage-x" in capture(Observed(), "a", "storage-x", "")
