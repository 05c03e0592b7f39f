"""The commands by which a person clears the way for what hagit leaves alone. Decides words only."""

from __future__ import annotations

from reconciler.core.facts.fact import BESIDE, Address, Fact, Link, Route
from reconciler.core.facts.prediction import is_ipv6
from reconciler.core.facts.storage import Dataset

#: Types of a route that ip-route(8) wants to be named when the route is deleted.
NAMED_TYPES = ("blackhole", "unreachable", "prohibit", "throw")


def removal_command(fact: Fact) -> str:
    """What a person would type to take away something that hagit leaves alone."""
    if isinstance(fact, Address):
        host, _, prefix = fact.address.partition("/")
        address = f"{host} peer {fact.peer}/{prefix}" if fact.peer else fact.address
        return f"ip address delete {address} dev {fact.link}"
    if isinstance(fact, Route):
        family = "-6 " if is_ipv6(fact.destination) else ""
        kind = "".join(f"{trait} " for trait in fact.traits if trait in NAMED_TYPES)
        beside = "".join(f" {trait}" for trait in fact.traits if trait.startswith(BESIDE))
        over = f" dev {fact.link}" if fact.link is not None and not fact.traits else ""
        metric = f" metric {fact.metric}" if fact.metric else ""
        return f"ip {family}route delete {kind}{fact.destination}{over}{beside}{metric}"
    if isinstance(fact, Link):
        return f"ip link delete dev {fact.name}"
    if isinstance(fact, Dataset):
        return "no longer asked for, and never destroyed for that"
    return f"ip link set dev {fact.key[1]} nomaster"
