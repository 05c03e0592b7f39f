"""Facts that need modules of a real kernel; `perform` runs the real adapter on them in the guest."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from reconciler.core.facts.codec import fact_document, observed_from_document
from reconciler.core.facts.fact import (
    Address,
    BondMode,
    BondOptions,
    Fact,
    HashPolicy,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
)
from reconciler.core.facts.state import Observed
from tests.lab.machine import Machine

ROOT = Path(__file__).parents[2]
LACP = BondOptions(BondMode.LACP, 100, HashPolicy.LAYER34, LacpRate.FAST)
#: A bond of two NICs with jumbo frames, a VLAN upon it, a bridge upon that, and an address on the bridge.
STACK: tuple[Fact, ...] = (
    Mark("eth0", "hagit port0"),
    Mark("eth1", "hagit port1"),
    Link("bond0", LinkKind.BOND, bond=LACP),
    Port("eth0", "bond0"),
    Port("eth1", "bond0"),
    Mtu("bond0", 9000),
    Link("bond0.7", LinkKind.VLAN, parent="bond0", vlan_id=7),
    Mtu("bond0.7", 9000),
    Link("storage", LinkKind.BRIDGE, stp=False),
    Port("bond0.7", "storage"),
    Mtu("storage", 9000),
    Mark("storage", "hagit storage0 CriticalGroup1 Interlink"),
    Power("eth0", True),
    Power("eth1", True),
    Power("bond0", True),
    Power("bond0.7", True),
    Power("storage", True),
    Address("storage", "10.7.0.1/24"),
    Address("storage", "fd07::1/64"),
)


def perform(machine: Machine, changes: Iterable[tuple[str, Fact]] = ()) -> tuple[Observed, list[str]]:
    """Make changes, each `set` or `remove` and a fact. Returns the last look, and differences to the prediction."""
    text = shlex.quote(json.dumps([[action, fact_document(fact)] for action, fact in changes]))
    told = json.loads(machine.check(f"cd {ROOT} && {sys.executable} -B -m tests.lab.guest.performer {text}", 120))
    return observed_from_document(told["observed"]), told["surprises"]


def making(facts: Iterable[Fact]) -> list[tuple[str, Fact]]:
    """Return the changes that make these facts true, in their order."""
    return [("set", fact) for fact in facts]


def taking(facts: Iterable[Fact]) -> list[tuple[str, Fact]]:
    """Return the changes that remove these facts, the last first; skips facts that cannot be removed."""
    return [("remove", fact) for fact in reversed(tuple(facts)) if isinstance(fact, Address | Port | Link)]
