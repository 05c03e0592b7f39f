"""Tells one story to the kernel and to the simulated network, and compares what each of them makes of every step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.facts.fact import Fact, Key, Power
from reconciler.core.facts.host_setting import Hostname
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Observed, facts_by_key
from reconciler.errors import PerformError
from reconciler.simulation.fake_network import FakeNetwork, plugged_in
from reconciler.system.netlink.live_network import LiveNetwork
from tests.system.network.namespaces import in_namespace, ip, plug_in
from tests.system.network.scenarios import BONDING, HOSTNAME, NICS, VLANS, Scenario, Step, Unplug


@dataclass(frozen=True, slots=True)
class Seen:
    """What one network made of one step. `owners` are those of addresses and routes: stamps, not conclusions."""

    refused: str
    facts: frozenset[Fact]
    owners: frozenset[tuple[Key, Owner]]


def starting_point() -> Observed:
    """What every story begins with, both ends of each cable."""
    nics = plugged_in(*NICS, *(f"{name}-far" for name in NICS))
    facts = dict(nics.facts)
    for name in NICS:
        facts["power", f"{name}-far"] = Power(f"{name}-far", True)
    facts["hostname",] = Hostname(HOSTNAME)
    return Observed(facts=facts_by_key(facts.values()), nics=nics.nics)


@contextmanager
def live_network() -> Iterator[LiveNetwork]:
    """The kernel at the start of a story; call it within a namespace of its own."""
    plug_in(*NICS)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "hostname").write_text(f"{HOSTNAME}\n")
        with closing(LiveNetwork(place / "hostname", place / "resolv.conf", root=place)) as network:
            yield network


def seen(network: LiveNetwork | FakeNetwork, refused: str = "") -> Seen:
    """One look, and a narrow look at every key of it, which has to say the same."""
    look = network.observe()
    assert not look.unknown, look.unknown
    # When the kernel gives a link its own address is the kernel's affair.
    own = {key for key, owner in look.owners.items() if key[0] == "address" and owner is Owner.KERNEL}
    facts = {key: fact for key, fact in look.facts.items() if key not in own}
    assert network.observe_keys(list(facts)) == facts
    stamps = {(key, owner) for key, owner in look.owners.items() if key[0] in ("address", "route") and key in facts}
    return Seen(refused, frozenset(facts.values()), frozenset(stamps))


def take(network: LiveNetwork | FakeNetwork, step: Step) -> Seen:
    """One step."""
    refused = ""
    if isinstance(step, Unplug):
        if isinstance(network, FakeNetwork):
            network.vanish(step.name)
            network.vanish(f"{step.name}-far")
        else:
            ip(f"link delete {step.name}")
    else:
        try:
            network.perform(step.before, step.after)
        except PerformError as problem:
            refused = str(problem)
    return seen(network, refused)


def contrast(step: Step | str, kernel: Seen, fake: Seen) -> str:
    """How the two differ, empty when they do not."""
    said = []
    if bool(kernel.refused) != bool(fake.refused):
        said.append(f"kernel: {kernel.refused or 'done'}; fake: {fake.refused or 'done'}")
    for word, mine, theirs in (("only in the kernel", kernel, fake), ("only in the fake", fake, kernel)):
        said += [f"{word}: {fact}" for fact in sorted(map(str, mine.facts - theirs.facts))]
        if mine.facts == theirs.facts:
            said += [f"{word}: {stamp}" for stamp in mine.owners - theirs.owners]
    return f"after {step}: " + "; ".join(said) if said else ""


def differences(steps: Sequence[Step]) -> list[str]:
    """Tells the steps to a kernel of their own and to a fake: where they differ."""

    def tell() -> list[str]:
        fake = FakeNetwork(starting_point())
        with live_network() as kernel:
            found = [contrast("the start", seen(kernel), seen(fake))]
            for step in steps:
                found.append(contrast(step, take(kernel, step), take(fake, step)))
                if found[-1]:
                    break  # what follows would only be a consequence
        return [line for line in found if line]

    return in_namespace(tell)


def unmet(scenario: Scenario, network: LiveNetwork | FakeNetwork) -> list[str]:
    """Tells the story to one network: where it does not go as the story says."""
    found = []
    for step in scenario.steps:
        made = take(network, step)
        expected = not isinstance(step, Unplug) and step.refused
        if bool(made.refused) != expected:
            found.append(f"{step}: {made.refused or 'was not refused'}")
    facts = network.observe().facts
    found += [f"is missing: {fact}" for fact in scenario.present if facts.get(fact.key) != fact]
    return found + [f"is there: {facts[fact.key]}" for fact in scenario.absent if fact.key in facts]


def features() -> frozenset[str]:
    """Which kinds of link this kernel can make."""

    def probe() -> frozenset[str]:
        found = set()
        with live_network() as network:
            from tests.system.network.scenarios import BOND, VLAN

            for feature, link in ((BONDING, BOND), (VLANS, VLAN)):
                try:
                    network.perform(None, link)
                    found.add(feature)
                except PerformError:
                    continue
        return frozenset(found)

    return in_namespace(probe)
