"""Random controllers: what is desired of one, and what it may look like after anything that happened before."""

from dataclasses import replace
from types import MappingProxyType

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
from reconciler.core.facts.ownership import mark_text
from reconciler.core.facts.prediction import Prediction
from reconciler.core.facts.state import Desired, Nic, NicMatch, Observed, Origin, facts_by_key
from reconciler.core.planning.plan import Plan

NICS = ("eth0", "eth1", "eth2", "eth3")
MTUS = (1400, 1500, 9000)
SUBNETS = ("10.0.0", "10.0.1", "10.0.2")


def bare(nics=NICS) -> Observed:
    """A controller fresh from the factory: NICs that are down."""
    facts: list[Fact] = []
    for name in nics:
        facts += [Link(name, LinkKind.PHYSICAL), Mtu(name, 1500), Power(name, up=False), Mark(name, "")]
    facts += [Hostname("localhost"), Resolver(())]
    return Observed(
        facts=facts_by_key(facts),
        nics={
            name: Nic(name, f"02:00:00:00:00:{number:02x}", mtu_min=68, mtu_max=9000)
            for number, name in enumerate(nics)
        },
    )


def desired_of(facts: list[Fact], matches=None, virtual=frozenset(), drift=None) -> Desired:
    """Desired facts with an origin each, as the compiler would hand them over."""
    origins = {}
    for line, fact in enumerate(facts, 1):
        link = getattr(fact, "link", None) or getattr(fact, "name", "")
        kind = "Route" if isinstance(fact, Route) else "Pair" if isinstance(fact, Hostname | Resolver) else "Interface"
        origins[fact.key] = Origin("network.yaml", line, 1, f"{kind}/{link}")
    more = {} if drift is None else {"drift": drift}
    return Desired("a", facts_by_key(facts), matches or {}, {}, origins, virtual, **more)


@st.composite
def addresses(draw, link: str) -> list[Address]:
    hosts = draw(
        st.lists(st.tuples(st.sampled_from(SUBNETS), st.integers(1, 9), st.sampled_from((24, 25))), max_size=3)
    )
    result = {f"{subnet}.{host}/{prefix}" for subnet, host, prefix in hosts}
    if draw(st.booleans()):
        result.add(f"fd00::{draw(st.integers(1, 9))}/64")
    return [Address(link, address) for address in sorted(result)]


@st.composite
def desires(draw) -> Desired:
    """What a linted configuration compiles to."""
    facts: list[Fact] = []
    nics = draw(st.lists(st.sampled_from(NICS), unique=True, max_size=4))
    matches = {}
    resources = [f"p{nic[-1]}" for nic in nics]
    for resource, nic in zip(resources, nics, strict=True):
        matches[resource] = NicMatch(name=nic)
        facts.append(Link(resource, LinkKind.PHYSICAL))
    free = list(resources)
    masters = []
    for name, kind in (("bond0", LinkKind.BOND), ("br0", LinkKind.BRIDGE)):
        if not draw(st.booleans()):
            continue
        bond = BondOptions(
            draw(st.sampled_from((BondMode.ACTIVE_BACKUP, BondMode.BALANCE_RR))), draw(st.sampled_from((100, 50)))
        )
        is_bond = kind is LinkKind.BOND
        facts.append(Link(name, kind, bond=bond if is_bond else None, stp=None if is_bond else draw(st.booleans())))
        for member in draw(st.lists(st.sampled_from(free), unique=True, max_size=2)) if free else []:
            free.remove(member)
            facts.append(Port(member, name))
        masters.append(name)
    carriers = [*free, *masters]
    sizes = {}
    for carrier in carriers:
        sizes[carrier] = draw(st.sampled_from(MTUS))
    for vlan_id in draw(st.lists(st.integers(2, 4), unique=True, max_size=2)):
        if not carriers:
            break
        parent = draw(st.sampled_from(carriers))
        name = f"v{vlan_id}"
        facts.append(Link(name, LinkKind.VLAN, parent=parent, vlan_id=draw(st.sampled_from((vlan_id, vlan_id + 10)))))
        sizes[name] = draw(st.sampled_from([size for size in MTUS if size <= sizes[parent]]))
    for name, size in sizes.items():
        group = draw(st.sampled_from((None, None, 1)))
        facts += [Mark(name, mark_text(name, group, interlink=False)), Mtu(name, size), Power(name, up=True)]
        facts += draw(addresses(name))
    for member in set(resources) - set(free):
        facts += [Mark(member, mark_text(member, None, interlink=False)), Power(member, up=True)]
    for number in draw(st.lists(st.integers(1, 4), unique=True, max_size=3)):
        gateway = f"{draw(st.sampled_from(SUBNETS))}.254"
        link = draw(st.sampled_from([None, *sizes]))
        facts.append(Route(f"10.{number}.0.0/16", gateway if link is None or draw(st.booleans()) else None, link, 0))
    facts += [Hostname(draw(st.sampled_from(("alpha", "beta")))), Resolver(("10.0.0.1",))]
    return desired_of(facts, matches)


def perform(observed: Observed, plan: Plan, count: int | None = None) -> Observed:
    """What is observed after the first `count` actions."""
    prediction = Prediction(observed)
    for action in plan.actions[:count]:
        prediction.perform(action.before, action.after)
    return prediction.observed()


def with_foreign(observed: Observed, fact: Fact) -> Observed:
    """Somebody adds something by hand."""
    prediction = Prediction(observed)
    prediction.perform(None, fact)
    owners = {key: owner for key, owner in prediction.owners.items() if key != fact.key}
    return replace(prediction.observed(), owners=MappingProxyType(owners))


def without(observed: Observed, fact: Fact) -> Observed:
    """Somebody takes something away by hand."""
    prediction = Prediction(observed)
    prediction.perform(fact, None)
    return prediction.observed()


def settled(observed: Observed) -> dict:
    """The facts, but without the link that the kernel chose for a gateway: two links may lead to the same one."""
    return {
        key: replace(fact, link=None) if isinstance(fact, Route) and fact.gateway is not None else fact
        for key, fact in observed.facts.items()
    }
