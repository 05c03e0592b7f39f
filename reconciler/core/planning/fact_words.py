"""How facts read in plans and alerts: a name for the question, a value for the answer.

Decides words only.
"""

from __future__ import annotations

from typing import Final, assert_never

from reconciler.core.facts.fact import (
    Address,
    BondOptions,
    Fact,
    Hostname,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Resolver,
    Route,
)
from reconciler.core.facts.storage import Dataset, Options, Pool, PoolProperty, Property, rounded

#: Properties that are sizes in bytes, 0 for none.
SIZES: Final = frozenset(
    {"quota", "refquota", "reservation", "refreservation", "volsize", "volblocksize", "recordsize"}
)


def fact_word(fact: Fact) -> str:
    """The one word for what a fact is about: `mtu`."""
    if isinstance(fact, PoolProperty):
        return "property"
    return "alias" if isinstance(fact, Mark) else fact.key[0]


def fact_value(fact: Fact) -> str:
    """What the fact answers: `9000`, `up`, `10.0.0.0/8 via 10.0.0.1`."""
    if isinstance(fact, Link):
        return _link_value(fact)
    if isinstance(fact, Port):
        return f"{fact.link} in {fact.master}"
    if isinstance(fact, Power):
        return "up" if fact.up else "down"
    if isinstance(fact, Mtu):
        return str(fact.size)
    if isinstance(fact, Mark):
        return fact.text or "none"
    if isinstance(fact, Address):
        return f"{fact.address}{_traits(fact)}"
    if isinstance(fact, Route):
        via = f" via {fact.gateway}" if fact.gateway is not None else ""
        over = f" dev {fact.link}" if fact.link is not None else ""
        return f"{fact.destination}{via}{over}" + (f" metric {fact.metric}" if fact.metric else "") + _traits(fact)
    if isinstance(fact, Hostname):
        return fact.name
    if isinstance(fact, Resolver):
        search = f", search {' '.join(fact.search)}" if fact.search else ""
        return f"{' '.join(fact.nameservers) or 'no name servers'}{search}"
    if isinstance(fact, PoolProperty):
        return f"{fact.name} {property_value(fact.name, fact.value)}"
    if isinstance(fact, Property):
        source = "" if fact.local or not fact.value else " (inherited)"
        return f"{fact.name} {property_value(fact.name, fact.value)}{source}"
    if isinstance(fact, Pool):
        vdevs = "; ".join(" ".join(word for word in vdev if word) for vdev in fact.layout)
        return f"pool {fact.name}{f' of {vdevs}' if vdevs else ''}{_with(fact.options + fact.root)}"
    if isinstance(fact, Dataset):
        return f"{fact.kind} {fact.name}{_with(fact.options)}"
    assert_never(fact)


def _traits(fact: Address | Route) -> str:
    return f" ({', '.join(fact.traits)})" if fact.traits else ""


def property_value(name: str, value: str) -> str:
    """The value of a property as a person writes it: `10G`, `none`; the exact number where it is no round one."""
    if name not in SIZES or not value.isdecimal():
        return value or "none"
    return rounded(int(value)) if int(value) else "none"


def _with(options: Options) -> str:
    told = ", ".join(f"{name}={property_value(name, value)}" for name, value in options if ":" not in name)
    return f" with {told}" if told else ""


def change_value(before: Fact, after: Fact) -> str:
    """Live → desired, without repeating what stays."""
    new = fact_value(after)
    if isinstance(after, Route):
        new = new.removeprefix(f"{after.destination} ")
    elif isinstance(after, Port):
        new = new.removeprefix(f"{after.link} ")
    elif isinstance(after, PoolProperty | Property):
        new = new.removeprefix(f"{after.name} ")
    return f"{fact_value(before)} → {new}"


def _link_value(link: Link) -> str:
    if link.kind is LinkKind.VLAN:
        return f"vlan {link.vlan_id} on {link.parent}"
    if link.kind is LinkKind.BOND and link.bond is not None:
        return f"bond {_bond_value(link.bond)}"
    if link.kind is LinkKind.BRIDGE:
        return f"bridge{', stp' if link.stp else ''}"
    return link.kind.value


def _bond_value(bond: BondOptions) -> str:
    rate = f", lacp {bond.lacp_rate}" if bond.lacp_rate is not None else ""
    return f"{bond.mode}, {bond.hash_policy}, miimon {bond.miimon_ms} ms{rate}"


def fact_name(fact: Fact) -> str:
    """A fact in a sentence: `mtu of eth1`, `address 10.0.0.1/24 of eth1`."""
    if isinstance(fact, Link):
        return f"link {fact.name}"
    if isinstance(fact, Address):
        return f"address {fact.address} of {fact.link}"
    if isinstance(fact, Route):
        return f"route to {fact.destination}"
    if isinstance(fact, Hostname | Resolver):
        return fact_word(fact)
    if isinstance(fact, Pool | Dataset):
        return f"{'pool' if isinstance(fact, Pool) else fact.kind} {fact.name}"
    if isinstance(fact, PoolProperty | Property):
        return f"{fact.name} of {fact.pool if isinstance(fact, PoolProperty) else fact.dataset}"
    return f"{fact_word(fact)} of {fact.link}"
