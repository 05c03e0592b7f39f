"""Random walks over the kernel and the simulated network at once: whatever is asked, they have to agree."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.core.facts.fact import (
    Address,
    BondMode,
    BondOptions,
    Fact,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Route,
)
from reconciler.core.facts.host_setting import Hostname, Resolver
from reconciler.simulation.fake_network import FakeNetwork
from tests.system.network.conformance import contrast, live_network, seen, starting_point, take
from tests.system.network.namespaces import in_namespace
from tests.system.network.scenarios import BONDING, NICS, VLANS, Change, Unplug

#: A few values of each kind, so that they meet. `nowhere` is no link.
HOSTS = ("10.0.0.1/24", "10.0.0.2/24", "10.0.0.1/16", "10.1.0.1/32", "fd00::1/64", "fd00::1/48", "fd00::2/64")
DESTINATIONS = ("0.0.0.0/0", "10.9.0.0/16", "10.9.0.0/24", "::/0", "fd09::/48")
GATEWAYS = (None, "10.0.0.9", "10.0.9.9", "10.0.0.1", "fd00::9", "fd00::1")
MTUS = (60, 1000, 1280, 1400, 1500, 9000, 70000)


def facts(features: Collection[str]) -> st.SearchStrategy[Fact]:
    """Any fact about the few links of a walk."""
    names = [*NICS[:2], "br0", "br1", "nowhere"]
    kinds = [st.builds(Link, st.sampled_from(("br0", "br1")), st.just(LinkKind.BRIDGE), stp=st.booleans())]
    masters = ["br0", "br1"]
    if BONDING in features:
        names.append("bond0")
        masters.append("bond0")
        options = st.builds(BondOptions, st.sampled_from((BondMode.BALANCE_RR, BondMode.BALANCE_XOR)), st.just(100))
        kinds.append(st.builds(Link, st.just("bond0"), st.just(LinkKind.BOND), bond=options))
    if VLANS in features:
        names += ["v7", "v8"]
        vlan = st.sampled_from((("v7", 7), ("v8", 8), ("v8", 7)))
        parent = st.sampled_from(("e0", "bond0" if BONDING in features else "e1"))
        kinds.append(st.builds(lambda pair, on: Link(pair[0], LinkKind.VLAN, on, pair[1]), vlan, parent))
    link = st.sampled_from(names)
    route = st.builds(
        Route,
        st.sampled_from(DESTINATIONS),
        st.sampled_from(GATEWAYS),
        st.none() | link,
        st.sampled_from((0, 5, 1024)),
    ).filter(_one_family)
    return st.one_of(
        st.one_of(kinds),
        st.builds(Port, link, st.sampled_from(masters)),
        st.builds(Power, link, st.booleans()),
        st.builds(Power, link, st.just(True)),
        st.builds(Mtu, link, st.sampled_from(MTUS)),
        st.builds(Mark, link, st.sampled_from(("hagit a", "hagit b Interlink", "theirs"))),
        st.builds(Address, link, st.sampled_from(HOSTS)),
        route,
        st.builds(Hostname, st.sampled_from(("scenario", "other"))),
        st.builds(Resolver, st.sampled_from((("10.0.0.53",), ("fd00::53", "10.0.0.53")))),
    )


def _one_family(route: Route) -> bool:
    return route.gateway is None or (":" in route.gateway) == (":" in route.destination)


def moves(features: Collection[str]) -> st.SearchStrategy[Any]:
    """A fact to make or change to, a fact to remove, or a link that is unplugged."""
    some = facts(features)
    removable = some.filter(lambda fact: not isinstance(fact, Power | Mtu | Hostname))
    return st.one_of(
        st.tuples(st.just("set"), some),
        st.tuples(st.just("set"), some),
        st.tuples(st.just("remove"), removable),
        st.tuples(st.just("unplug"), st.sampled_from(("e1",))),
    )


def walk(steps: list[tuple[str, Any]]) -> str:
    """The first difference on a walk, empty when there is none."""

    def tell() -> str:
        fake = FakeNetwork(starting_point())
        with live_network() as kernel:
            for what, thing in steps:
                if what == "unplug":
                    if ("link", thing) not in fake.observe().facts:
                        continue
                    step: Change | Unplug = Unplug(thing)
                elif what == "set":
                    step = Change(fake.observe().facts.get(thing.key), thing)
                else:
                    step = Change(fake.observe().facts.get(thing.key, thing), None)
                difference = contrast(step, take(kernel, step), take(fake, step))
                if difference:
                    return difference
            return contrast("the walk", seen(kernel), seen(fake))

    return in_namespace(tell)


def random_walks(features: Collection[str], count: int, *, steps_max: int = 40) -> list[str]:
    """Tells `count` walks; the shortest one that differs, as hypothesis prints it."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.lists(moves(features), min_size=steps_max // 4, max_size=steps_max))
    def agree(steps: list[tuple[str, Any]]) -> None:
        difference = walk(steps)
        assert not difference, f"{difference}\n  walk: {steps}"

    try:
        agree()
    except AssertionError as problem:
        return [str(problem)]
    return []
