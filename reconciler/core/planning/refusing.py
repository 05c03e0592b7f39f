"""The form in which a gate refuses, and the commands that clear the way.

Decides words only.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.core.facts.fact import PEER, Address, Fact, Link, Route
from reconciler.core.facts.predict import is_ipv6
from reconciler.core.facts.storage import Dataset
from reconciler.core.planning.plan import Gate

#: Types of a route that ip-route(8) wants to be named when the route is deleted.
NAMED_TYPES = ("blackhole", "unreachable", "prohibit", "throw")


class Refusal(NamedTuple):
    """The gate that refuses, why, and the way out."""

    gate: Gate
    why: str
    remedy: str


def removal_command(fact: Fact) -> str:
    """What a person would type to take away something that hagit leaves alone."""
    if isinstance(fact, Address):
        peer = next((trait.partition(" ")[2] for trait in fact.traits if trait.startswith(PEER)), "")
        host, _, prefix = fact.address.partition("/")
        address = f"{host} peer {peer}/{prefix}" if peer else fact.address
        return f"ip address delete {address} dev {fact.link}"
    if isinstance(fact, Route):
        family = "-6 " if is_ipv6(fact.destination) else ""
        kind = "".join(f"{trait} " for trait in fact.traits if trait in NAMED_TYPES)
        tos = "".join(f" {trait}" for trait in fact.traits if trait.startswith(("tos ", "from ")))
        over = f" dev {fact.link}" if fact.link is not None and not fact.traits else ""
        metric = f" metric {fact.metric}" if fact.metric else ""
        return f"ip {family}route delete {kind}{fact.destination}{over}{tos}{metric}"
    if isinstance(fact, Link):
        return f"ip link delete dev {fact.name}"
    if isinstance(fact, Dataset):
        return "no longer asked for, and never destroyed for that"
    return f"ip link set dev {fact.key[1]} nomaster"
