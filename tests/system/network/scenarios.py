"""Stories about one controller's network that the kernel and the simulated network have to tell alike.

Data only: each names what the kernel has to support, so that an emulated machine runs those that this one cannot.
NICs `e0`, `e1` and `e2` are there and down when a story begins; the hostname is `scenario`.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    Route,
)
from reconciler.core.facts.host_setting import Hostname, Resolver

NICS = ("e0", "e1", "e2")
HOSTNAME = "scenario"
BONDING, VLANS = "bonding", "vlan"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, and whether it is refused."""

    before: Fact | None
    after: Fact | None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Unplug:
    """A link goes away by another hand."""

    name: str


Step = Change | Unplug


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps, and what is there (`present`) and not there (`absent`) after them. `needs` names kernel features."""

    name: str
    steps: tuple[Step, ...]
    present: tuple[Fact, ...] = ()
    absent: tuple[Fact, ...] = ()
    needs: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def make(*facts: Fact) -> tuple[Step, ...]:
    return tuple(Change(None, fact) for fact in facts)


def remove(*facts: Fact) -> tuple[Step, ...]:
    return tuple(Change(fact, None) for fact in facts)


def turn(before: Fact, after: Fact) -> tuple[Step, ...]:
    return (Change(before, after),)


def no(before: Fact | None, after: Fact | None) -> tuple[Step, ...]:
    return (Change(before, after, refused=True),)


def up(*names: str) -> tuple[Step, ...]:
    return tuple(Change(Power(name, False), Power(name, True)) for name in names)


A4, B4, C4 = Address("e0", "10.0.0.1/24"), Address("e0", "10.0.0.2/24"), Address("e0", "10.0.0.3/24")
A6, B6 = Address("e0", "fd00::1/64"), Address("e0", "fd00::2/64")
DEFAULT4 = Route("0.0.0.0/0", "10.0.0.9", "e0", 0)
DEFAULT6 = Route("::/0", "fd00::9", "e0", 1024)
FAR4, FAR4_LATER = Route("10.9.0.0/16", "10.0.0.9", "e0", 0), Route("10.9.0.0/16", "10.0.0.8", "e0", 50)
FAR6 = Route("fd09::/48", "fd00::9", "e0", 1024)
NEAR4, NEAR6 = Route("10.8.0.0/24", None, "e0", 5), Route("fd08::/64", None, "e0", 1024)
BRIDGE, INNER = Link("br0", LinkKind.BRIDGE, stp=False), Link("br1", LinkKind.BRIDGE, stp=False)
LACP = BondOptions(BondMode.LACP, 100, HashPolicy.LAYER34, LacpRate.FAST)
BACKUP = BondOptions(BondMode.ACTIVE_BACKUP, 100)
BOND, SPARE_BOND = Link("bond0", LinkKind.BOND, bond=LACP), Link("bond0", LinkKind.BOND, bond=BACKUP)
SLOW_BOND = Link("bond0", LinkKind.BOND, bond=BondOptions(BondMode.LACP, 100, HashPolicy.LAYER34, LacpRate.SLOW))
VLAN, SAME_VLAN = Link("e0.7", LinkKind.VLAN, "e0", 7), Link("seven", LinkKind.VLAN, "e0", 7)
STACKED = Link("bond0.7", LinkKind.VLAN, "bond0", 7)
SERVERS = Resolver(("10.0.0.53", "fd00::53"), ("example.org", "example.net"))

ADDRESSES = (
    Scenario("an address made twice is there once", make(A4, A6, A4, A6), (A4, A6)),
    Scenario("an address removed twice is gone", (*make(A4, A6), *remove(A4, A6, A4, A6)), (), (A4, A6)),
    Scenario("a link that is down takes addresses", make(A4, A6), (A4, A6, Power("e0", False))),
    Scenario("the first address goes and its neighbours stay", (*make(A4, B4, C4), *remove(A4)), (B4, C4), (A4,)),
    Scenario("one address with two prefixes", make(A4, Address("e0", "10.0.0.1/16")), (A4,)),
    Scenario("an IPv6 address has one prefix", (*make(A6), *no(None, Address("e0", "fd00::1/48"))), (A6,)),
    Scenario("one address on two links", make(A4, Address("e1", "10.0.0.1/24")), (A4, Address("e1", "10.0.0.1/24"))),
    Scenario("host addresses", make(Address("e0", "10.1.0.1/32"), Address("e0", "10.2.0.0/31"))),
    Scenario("link-local addresses made by hand", make(Address("e0", "169.254.7.7/16"))),
)

ROUTES = (
    Scenario("a default route for each family", (*up("e0"), *make(A4, A6, DEFAULT4, DEFAULT6)), (DEFAULT4, DEFAULT6)),
    Scenario(
        "the kernel finds the link of a gateway",
        (*up("e0"), *make(A4, A6, Route("0.0.0.0/0", "10.0.0.9", None, 0), Route("::/0", "fd00::9", None, 1024)) * 2),
        (DEFAULT4, DEFAULT6),
    ),
    Scenario("routes made twice", (*up("e0"), *make(A4, A6, *(FAR4, FAR6) * 2)), (FAR4, FAR6)),
    Scenario("routes removed twice", (*up("e0"), *make(A4, A6, FAR4, FAR6), *remove(*(FAR4, FAR6) * 2)), (), (FAR4,)),
    Scenario("metric nought is not any metric", (*up("e0"), *make(A4, FAR4_LATER), *remove(FAR4)), (FAR4_LATER,)),
    Scenario("a spare route", (*up("e0"), *make(A4, FAR4, FAR4_LATER), *remove(FAR4)), (FAR4_LATER,), (FAR4,)),
    Scenario(
        "a more specific route does not hide another",
        (*up("e0"), *make(A4, FAR4, Route("10.9.0.0/24", "10.0.0.7", "e0", 0)), *remove(FAR4)),
        (Route("10.9.0.0/24", "10.0.0.7", "e0", 0),),
        (FAR4,),
    ),
    Scenario(
        "a gateway changes",
        (
            *up("e0"),
            *make(A4, A6, DEFAULT4, DEFAULT6),
            *turn(DEFAULT4, Route("0.0.0.0/0", "10.0.0.8", "e0", 0)),
            *turn(DEFAULT6, Route("::/0", "fd00::8", "e0", 1024)),
        ),
        (Route("0.0.0.0/0", "10.0.0.8", "e0", 0), Route("::/0", "fd00::8", "e0", 1024)),
    ),
    Scenario("routes without a gateway", (*up("e0"), *make(NEAR4, NEAR6)), (NEAR4, NEAR6)),
    Scenario("a route over a link that is down", (*make(A4), *no(None, FAR4), *no(None, NEAR4)), (), (FAR4, NEAR4)),
    Scenario("a gateway nobody reaches", (*up("e0"), *no(None, DEFAULT4), *no(None, DEFAULT6)), (), (DEFAULT4,)),
    Scenario(
        "IPv4 takes its own address for a gateway",
        (*up("e0"), *make(A4, Route("10.9.0.0/16", "10.0.0.1", "e0", 0))),
        (Route("10.9.0.0/16", "10.0.0.1", "e0", 0),),
    ),
    Scenario(
        "IPv6 does not take its own address for a gateway",
        (*up("e0"), *make(A6), *no(None, Route("fd09::/48", "fd00::1", "e0", 1024))),
    ),
    Scenario(
        "another route is there", (*up("e0"), *make(A4, FAR4), *no(None, Route("10.9.0.0/16", "10.0.0.8", "e0", 0)))
    ),
    Scenario(
        "the last IPv4 address takes the routes along",
        (*up("e0"), *make(A4, A6, FAR4, FAR6, NEAR4), *remove(A4)),
        (FAR6,),
        (FAR4, NEAR4),
    ),
    Scenario(
        "an address that is not the last leaves the routes", (*up("e0"), *make(A4, B4, FAR4), *remove(A4)), (FAR4,)
    ),
    Scenario("the last IPv6 address", (*up("e0"), *make(A6, FAR6), *remove(A6))),
)

LINKS = (
    Scenario(
        "down loses IPv6 and routes",
        (*up("e0"), *make(A4, A6, FAR4, FAR6), *turn(Power("e0", True), Power("e0", False))),
        (A4,),
        (A6, FAR4, FAR6),
    ),
    Scenario(
        "up twice, down twice", (*up("e0", "e0"), *make(A4), *turn(Power("e0", True), Power("e0", False)) * 2), (A4,)
    ),
    Scenario(
        "an MTU below that of IPv6",
        (*up("e0"), *make(A4, A6, FAR4, FAR6), *turn(Mtu("e0", 1500), Mtu("e0", 1000))),
        (A4, FAR4),
        (A6, FAR6),
    ),
    Scenario("no IPv6 below its MTU", (*turn(Mtu("e0", 1500), Mtu("e0", 1000)), *no(None, A6)), (), (A6,)),
    Scenario("jumbo frames", turn(Mtu("e0", 1500), Mtu("e0", 9000)) * 2, (Mtu("e0", 9000),)),
    Scenario(
        "an MTU the driver refuses",
        (*no(Mtu("e0", 1500), Mtu("e0", 70000)), *no(Mtu("e0", 1500), Mtu("e0", 10))),
        (Mtu("e0", 1500),),
    ),
    Scenario(
        "a mark, another mark, no mark",
        (
            *make(Mark("e0", "hagit a")),
            *turn(Mark("e0", "hagit a"), Mark("e0", "hagit b CriticalGroup1")),
            *remove(*(Mark("e0", "hagit b CriticalGroup1"),) * 2),
        ),
        (),
        (Mark("e0", "x"),),
    ),
    Scenario("a mark too long", no(None, Mark("e0", "hagit " + "x" * 250))),
    Scenario("the longest mark", make(Mark("e0", "hagit " + "x" * 249)), (Mark("e0", "hagit " + "x" * 249),)),
    Scenario(
        "a NIC is neither made nor removed",
        (*no(None, Link("e9", LinkKind.PHYSICAL)), *no(Link("e0", LinkKind.PHYSICAL), None)),
        (Link("e0", LinkKind.PHYSICAL),),
    ),
    Scenario(
        "a link vanishes",
        (
            *up("e0"),
            *make(A4, FAR4),
            Unplug("e0"),
            *no(None, A4),
            *no(None, FAR4),
            *no(Mtu("e0", 1500), Mtu("e0", 9000)),
            *no(Power("e0", True), Power("e0", False)),
            *no(None, Mark("e0", "hagit a")),
            *remove(A4, FAR4, Mark("e0", "hagit a")),
        ),
        (),
        (Link("e0", LinkKind.PHYSICAL), A4, FAR4),
    ),
    Scenario("a bridge made twice", make(BRIDGE, BRIDGE), (BRIDGE, Mark("br0", "hagit br0"), Power("br0", False))),
    Scenario("a bridge removed twice", (*make(BRIDGE), *remove(BRIDGE, BRIDGE)), (), (BRIDGE, Mtu("br0", 1500))),
    Scenario(
        "spanning tree switched on",
        (*make(BRIDGE), *turn(BRIDGE, Link("br0", LinkKind.BRIDGE, stp=True))),
        (Link("br0", LinkKind.BRIDGE, stp=True),),
    ),
    Scenario(
        "a bridge follows its smallest port",
        (*make(BRIDGE), *turn(Mtu("e0", 1500), Mtu("e0", 1400)), *make(Port("e0", "br0"), Port("e1", "br0"))),
        (Mtu("br0", 1400),),
    ),
    Scenario(
        "a bridge whose MTU was set follows no port",
        (
            *make(BRIDGE),
            *turn(Mtu("br0", 1500), Mtu("br0", 1450)),
            *turn(Mtu("e0", 1500), Mtu("e0", 1400)),
            *make(Port("e0", "br0")),
        ),
        (Mtu("br0", 1450),),
    ),
    Scenario(
        "ports come and go",
        (*make(BRIDGE, *(Port("e0", "br0"),) * 2, Port("e1", "br0")), *remove(*(Port("e0", "br0"),) * 2)),
        (Port("e1", "br0"),),
        (Port("e0", "br0"),),
    ),
    Scenario(
        "a port changes its bridge",
        (*make(BRIDGE, INNER, Port("e0", "br0")), *turn(Port("e0", "br0"), Port("e0", "br1"))),
        (Port("e0", "br1"),),
    ),
    Scenario(
        "a port that another took is not released",
        (*make(BRIDGE, INNER, Port("e0", "br1")), *no(Port("e0", "br0"), None)),
        (Port("e0", "br1"),),
    ),
    Scenario("no bridge in a bridge", (*make(BRIDGE, INNER), *no(None, Port("br1", "br0"))), (), (Port("br1", "br0"),)),
    Scenario("a NIC is no master", no(None, Port("e1", "e0"))),
    Scenario("no master of that name", no(None, Port("e1", "nowhere"))),
    Scenario(
        "a bridge goes with what was on it",
        (
            *make(BRIDGE, Port("e0", "br0")),
            *up("br0", "e0"),
            *make(Address("br0", "10.0.0.1/24"), Route("10.9.0.0/16", "10.0.0.9", "br0", 0)),
            *remove(BRIDGE),
        ),
        (Power("e0", True),),
        (Port("e0", "br0"), Address("br0", "10.0.0.1/24")),
    ),
    Scenario("a name too long", no(None, Link("a" * 16, LinkKind.BRIDGE, stp=False))),
    Scenario(
        "what has the name is no bond",
        (
            *make(BRIDGE),
            *no(Link("br0", LinkKind.BOND, bond=BACKUP), None),
            *no(None, Link("br0", LinkKind.BRIDGE, stp=True)),
        ),
    ),
)

NAMES = (
    Scenario(
        "another hostname and back",
        (*turn(Hostname("scenario"), Hostname("other")), *turn(Hostname("other"), Hostname("scenario"))),
        (Hostname("scenario"),),
    ),
    Scenario(
        "name servers come, change and go",
        (*make(SERVERS), *turn(SERVERS, Resolver(("10.0.0.54",))), *turn(Resolver(("10.0.0.54",)), SERVERS)),
        (SERVERS,),
    ),
    Scenario("name servers removed", (*make(SERVERS), *remove(SERVERS, SERVERS)), (), (SERVERS,)),
)

BOND_OF_TWO = (*make(BOND, Port("e0", "bond0"), Port("e1", "bond0")), *up("bond0"))
BONDS = (
    Scenario("a bond made twice", make(BOND, BOND), (BOND, Mark("bond0", "hagit bond0"))),
    Scenario("a bond opens its ports", BOND_OF_TWO, (BOND, Port("e0", "bond0"), Power("e0", True))),
    Scenario(
        "a port that was up joins",
        (*up("e0"), *make(A4, A6), *BOND_OF_TWO),
        (Port("e0", "bond0"), Power("e0", True)),
        (A6,),
    ),
    Scenario(
        "a bond closes what it lets go",
        (*BOND_OF_TWO, *remove(*(Port("e0", "bond0"),) * 2)),
        (Power("e0", False), Port("e1", "bond0")),
    ),
    Scenario(
        "a bond gives its MTU to its ports",
        (*BOND_OF_TWO, *turn(Mtu("bond0", 1500), Mtu("bond0", 9000))),
        (Mtu("e0", 9000), Mtu("e1", 9000)),
    ),
    Scenario(
        "a bond with jumbo frames takes a port",
        (*make(BOND), *turn(Mtu("bond0", 1500), Mtu("bond0", 9000)), *make(Port("e0", "bond0"))),
        (Mtu("e0", 9000),),
    ),
    Scenario(
        "a bond removed frees its ports",
        (*BOND_OF_TWO, *remove(BOND, BOND)),
        (Power("e0", False),),
        (BOND, Port("e0", "bond0")),
    ),
    Scenario(
        "options change in a bond in use",
        (
            *BOND_OF_TWO,
            *turn(
                BOND,
                Link("bond0", LinkKind.BOND, bond=BondOptions(BondMode.LACP, 200, HashPolicy.LAYER23, LacpRate.FAST)),
            ),
        ),
        (Link("bond0", LinkKind.BOND, bond=BondOptions(BondMode.LACP, 200, HashPolicy.LAYER23, LacpRate.FAST)),),
    ),
    Scenario(
        "the mode of a bond that is up stays", (*make(SPARE_BOND), *up("bond0"), *no(SPARE_BOND, BOND)), (SPARE_BOND,)
    ),
    Scenario(
        "the mode of a bond with ports stays",
        (*make(SPARE_BOND, Port("e0", "bond0")), *no(SPARE_BOND, BOND)),
        (SPARE_BOND,),
    ),
    Scenario(
        "the LACP rate of a bond that is up stays",
        (*make(BOND), *up("bond0"), *no(BOND, SLOW_BOND)),
        (BOND,),
    ),
    Scenario("the LACP rate of a bond that is down changes", (*make(BOND), *turn(BOND, SLOW_BOND)), (SLOW_BOND,)),
    Scenario("the mode of an idle bond changes", (*make(SPARE_BOND), *turn(SPARE_BOND, BOND)), (BOND,)),
    Scenario("a bridge upon a bond", (*BOND_OF_TWO, *make(BRIDGE, Port("bond0", "br0"))), (Port("bond0", "br0"),)),
    *(
        Scenario(
            f"a bond in mode {mode}",
            make(Link("bond0", LinkKind.BOND, bond=BondOptions(mode, 100)), Port("e0", "bond0")),
            (Link("bond0", LinkKind.BOND, bond=BondOptions(mode, 100)),),
        )
        for mode in BondMode
        if mode is not BondMode.LACP
    ),
)

VLAN_STORIES = (
    Scenario("a VLAN made twice", make(VLAN, VLAN), (VLAN, Mtu("e0.7", 1500), Power("e0.7", False))),
    Scenario(
        "a VLAN without its parent", no(None, Link("x.7", LinkKind.VLAN, "x", 7)), (), (Link("x.7", LinkKind.VLAN),)
    ),
    Scenario("one VLAN twice on a parent", (*make(VLAN), *no(None, SAME_VLAN)), (VLAN,), (SAME_VLAN,)),
    Scenario(
        "a VLAN inherits jumbo frames", (*turn(Mtu("e0", 1500), Mtu("e0", 9000)), *make(VLAN)), (Mtu("e0.7", 9000),)
    ),
    Scenario(
        "no VLAN is larger than its parent",
        (*make(VLAN), *no(Mtu("e0.7", 1500), Mtu("e0.7", 9000))),
        (Mtu("e0.7", 1500),),
    ),
    Scenario(
        "a VLAN shrinks with its parent", (*make(VLAN), *turn(Mtu("e0", 1500), Mtu("e0", 1400))), (Mtu("e0.7", 1400),)
    ),
    Scenario(
        "a VLAN does not grow with its parent",
        (*make(VLAN), *turn(Mtu("e0", 1500), Mtu("e0", 9000))),
        (Mtu("e0.7", 1500),),
    ),
    Scenario(
        "a VLAN goes up and down with its parent",
        (*make(VLAN, Address("e0.7", "10.7.0.1/24")), *up("e0"), *turn(Power("e0", True), Power("e0", False))),
        (Power("e0.7", False), Address("e0.7", "10.7.0.1/24")),
    ),
    Scenario("a VLAN comes up with its parent", (*make(VLAN), *up("e0")), (Power("e0.7", True),)),
    Scenario(
        "a VLAN upon a parent that is down",
        (*make(VLAN), *no(Power("e0.7", False), Power("e0.7", True))),
        (Power("e0.7", False),),
    ),
    Scenario(
        "a VLAN goes with its parent",
        (*make(VLAN, Address("e0.7", "10.7.0.1/24")), Unplug("e0")),
        (),
        (VLAN, Address("e0.7", "10.7.0.1/24")),
    ),
    Scenario("a VLAN in a bridge", make(VLAN, BRIDGE, Port("e0.7", "br0")), (Port("e0.7", "br0"),)),
    Scenario(
        "another number needs another link", (*make(VLAN), *no(VLAN, Link("e0.7", LinkKind.VLAN, "e0", 8))), (VLAN,)
    ),
)

STACKS = (
    Scenario(
        "bond, VLAN, bridge, address",
        (
            *BOND_OF_TWO,
            *turn(Mtu("bond0", 1500), Mtu("bond0", 9000)),
            *make(STACKED, BRIDGE, Port("bond0.7", "br0")),
            *up("bond0.7", "br0"),
            *make(Address("br0", "10.7.0.1/24")),
        ),
        (Mtu("e0", 9000), Mtu("bond0.7", 9000), Mtu("br0", 9000), Address("br0", "10.7.0.1/24")),
    ),
    Scenario(
        "a stack removed from below",
        (*BOND_OF_TWO, *make(STACKED, BRIDGE, Port("bond0.7", "br0")), *remove(BOND)),
        (BRIDGE,),
        (BOND, STACKED, Port("bond0.7", "br0")),
    ),
)


def _with(scenarios: tuple[Scenario, ...], *features: str) -> tuple[Scenario, ...]:
    return tuple(Scenario(s.name, s.steps, s.present, s.absent, frozenset(features)) for s in scenarios)


SCENARIOS: tuple[Scenario, ...] = (
    *ADDRESSES,
    *ROUTES,
    *LINKS,
    *NAMES,
    *_with(BONDS, BONDING),
    *_with(VLAN_STORIES, VLANS),
    *_with(STACKS, BONDING, VLANS),
)
