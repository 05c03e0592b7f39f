"""What is captured asks for what is there: it loads, and nothing in it differs from the controller."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from reconciler.core.facts.difference import Difference, DifferenceKind, differences
from reconciler.core.facts.fact import Address, Link, LinkKind, Mtu, Port, Power, Route
from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Nic, Observed, Unknown, facts_by_key
from reconciler.core.facts.storage import Property
from reconciler.core.planning.nic_match import bind
from reconciler.core.spec import compile_desired, load
from reconciler.core.spec.capture import capture
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


def odd() -> Observed:
    """A controller with what YAML cannot say: leases, peers, special routes, further names, unknown masters."""
    look = typical()
    facts = [
        *look.facts.values(),
        Address("eth0", "10.0.0.21/24", ("leased",)),
        Address("eth0", "10.0.0.22/24", ("noprefixroute",)),
        Address("eth0", "10.0.0.23/32", ("peer 10.0.0.99",)),
        Address("eth0", "fd00::24/64", ("deprecated",)),
        Route("10.7.0.0/16", None, None, 5, ("blackhole",)),
        Route("10.6.0.0/16", "10.0.0.1", "eth0", 0, ("src 10.0.0.11",)),
        Port("eth0", "vrf1"),
        Property("tank/secret", "encryption", "aes-256-gcm", local=False),
        Property("tank/secret/below", "encryption", "aes-256-gcm", local=False),
        Property("tank/plain", "encryption", "off", local=False),
    ]
    nics = {
        **look.nics,
        "eth0": replace(look.nics["eth0"], altnames=("enp1s0",)),
        "vrf1": Nic("vrf1", "", driver="vrf"),
    }
    return replace(look, facts=facts_by_key(facts), nics=nics)


@pytest.mark.parametrize(
    "words",
    [
        "10.0.0.21/24 on eth0: it has a lifetime",
        "10.0.0.22/24 on eth0: that it was added without the route to its network",
        "10.0.0.23/32 on eth0: it has a peer 10.0.0.99",
        "fd00::24/64 on eth0: it is deprecated",
        "route to 10.7.0.0/16 metric 5: blackhole",
        "route to 10.6.0.0/16: src 10.0.0.11",
        "eth0: its alternative names (enp1s0)",
        "eth0: that it is a member of vrf1, a vrf",
        "tank/secret: encryption=aes-256-gcm, which was chosen when it was made",
    ],
)
def test_what_yaml_cannot_say_is_said_in_a_comment(words: str) -> None:
    text = capture(odd(), "a", "storage-a", "A1")
    assert any(line.startswith(f"# - {words}") for line in text.split("\n")), text


def test_what_is_captured_of_an_odd_controller_loads_and_changes_nothing() -> None:
    text = capture(odd(), "a", "storage-a", "A1")
    desired = compile_desired(load({"captured.yaml": text.encode()}), "a")
    assert ("address", "eth0", "10.0.0.22/24") in desired.facts
    assert ("address", "eth0", "10.0.0.21/24") not in desired.facts
    assert "tank/secret/below" not in text and "tank/plain" not in text


@pytest.mark.parametrize(
    ("seen", "written", "told"),
    [
        ("nas1/other", "nas1", "the kernel has nas1, the file other; this writes the kernel's to the file"),
        ("nas1/", "nas1", "the kernel has nas1, the file none; this writes the kernel's to the file"),
        ("(none)/x", "controller-a", "host name (none)/x: no host name that others could look up"),
    ],
)
def test_a_name_that_differs_between_kernel_and_file_is_told(seen: str, written: str, told: str) -> None:
    text = capture(Observed(facts_by_key([Hostname(seen)])), "a", "unused", "")
    assert f"hostname: {written}\n" in text and told in text
