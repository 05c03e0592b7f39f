"""The facts of a controller: those of its network, and by name those of its host and pools.

A fact has a *key* (what it is about) and a value (the rest of its fields). Two facts with one key are two answers
to one question; a set of facts therefore never holds both. In desired facts `link` fields name resources; binding
replaces them by kernel names, and observed facts always hold kernel names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from reconciler.core.facts.change import ActionStage, ActionVerb, Impact
from reconciler.core.facts.fact_kind import Document, FactKind
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.storage import StorageFact

Key: TypeAlias = tuple[str, ...]

#: Traits of an address: it ends by itself (DHCP, router advertisement); it is not used for new connections; duplicate
#: address detection found it in use elsewhere; the kernel made no route to its network.
LEASED: Final = "leased"
DEPRECATED: Final = "deprecated"
DUPLICATE: Final = "duplicate"
NO_PREFIX_ROUTE: Final = "noprefixroute"
#: First word of the trait of an address that has another one at the far end.
PEER: Final = "peer"
#: Trait of a route that ends by itself, as those of router advertisements do.
EXPIRES: Final = "expires"
#: First words of traits by which the kernel tells one route from another of the same destination and metric.
BESIDE: Final = ("tos ", "from ")


class LinkKind(StrEnum):
    """What a link is. PHYSICAL is whatever hagit is handed and never makes: a NIC, or a veth in a namespace."""

    PHYSICAL = "physical"
    BOND = "bond"
    VLAN = "vlan"
    BRIDGE = "bridge"


class BondMode(StrEnum):
    """Bonding modes by the names that ip-link(8) uses."""

    BALANCE_RR = "balance-rr"
    ACTIVE_BACKUP = "active-backup"
    BALANCE_XOR = "balance-xor"
    BROADCAST = "broadcast"
    LACP = "802.3ad"
    BALANCE_TLB = "balance-tlb"
    BALANCE_ALB = "balance-alb"


class LacpRate(StrEnum):
    """How often an 802.3ad bond asks its partner for LACPDUs."""

    SLOW = "slow"
    FAST = "fast"


class HashPolicy(StrEnum):
    """How a bond spreads flows over its members (xmit_hash_policy)."""

    LAYER2 = "layer2"
    LAYER34 = "layer3+4"
    LAYER23 = "layer2+3"
    ENCAP23 = "encap2+3"
    ENCAP34 = "encap3+4"


@dataclass(frozen=True, slots=True)
class BondOptions:
    """What makes one bond different from another. `lacp_rate` is None unless the mode is 802.3ad."""

    mode: BondMode
    miimon_ms: int
    hash_policy: HashPolicy = HashPolicy.LAYER2
    lacp_rate: LacpRate | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link exists and is of this make.

    `parent` and `vlan_id` belong to a VLAN, `bond` to a bond, `stp` to a bridge; None elsewhere.
    """

    name: str
    kind: LinkKind
    parent: str | None = None
    vlan_id: int | None = None
    bond: BondOptions | None = None
    stp: bool | None = None

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        return ("link", self.name)


@dataclass(frozen=True, slots=True)
class Port:
    """`link` is a member of the bond or bridge `master`."""

    link: str
    master: str

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        return ("port", self.link)


@dataclass(frozen=True, slots=True)
class Power:
    """The administrative state of a link (IFF_UP), not its carrier."""

    link: str
    up: bool

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        return ("power", self.link)


@dataclass(frozen=True, slots=True)
class Mtu:
    """The MTU of a link in bytes."""

    link: str
    size: int

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        return ("mtu", self.link)


@dataclass(frozen=True, slots=True)
class Mark:
    """The alias of a link, as `ip link` shows it.

    Ours read `hagit NAME [CriticalGroupN] [Interlink]`, which both marks the link for people and stamps it as ours.
    """

    link: str
    text: str

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        return ("mark", self.link)


@dataclass(frozen=True, slots=True)
class Address:
    """A static address with its prefix, `10.0.0.11/24` or `fd00::11/64`, in the form `ipaddress` prints.

    `traits` say what sets an observed address apart from the permanent one that hagit makes (`LEASED` and others, and
    `peer 10.0.0.1`), in a stable order. They hold no seconds, so that two looks at one lease are equal.
    """

    link: str
    address: str
    traits: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        return ("address", self.link, self.address)

    @property
    def peer(self) -> str:
        """The address at the far end of a point-to-point link; empty where there is none."""
        return next((trait.removeprefix(f"{PEER} ") for trait in self.traits if trait.startswith(f"{PEER} ")), "")


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route of the main table. `gateway` or `link` or both; `destination` in CIDR form, never "default".

    `traits` say what sets an observed route apart from one that hagit makes: `blackhole`, `2 next hops` and others, in
    a stable order. A type of service or a source is part of the key: such a route exists beside the plain one.
    """

    destination: str
    gateway: str | None
    link: str | None
    metric: int
    traits: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """The question this fact answers."""
        beside = tuple(trait for trait in self.traits if trait.startswith(BESIDE))
        return ("route", self.destination, str(self.metric), *beside)


Fact: TypeAlias = Link | Port | Power | Mtu | Mark | Address | Route | HostSetting | StorageFact


def _read_link(fields: Document) -> Document:
    fields["kind"] = LinkKind(fields["kind"])
    if "bond" in fields:
        bond = fields["bond"]
        rate = bond.get("lacp_rate")
        fields["bond"] = BondOptions(
            mode=BondMode(bond["mode"]),
            miimon_ms=int(bond["miimon_ms"]),
            hash_policy=HashPolicy(bond["hash_policy"]),
            lacp_rate=None if rate is None else LacpRate(rate),
        )
    return fields


def _link_value(link: Link) -> str:
    if link.kind is LinkKind.VLAN:
        return f"vlan {link.vlan_id} on {link.parent}"
    if link.kind is LinkKind.BOND and link.bond is not None:
        bond = link.bond
        rate = f", lacp {bond.lacp_rate}" if bond.lacp_rate is not None else ""
        return f"bond {bond.mode}, {bond.hash_policy}, miimon {bond.miimon_ms} ms{rate}"
    if link.kind is LinkKind.BRIDGE:
        return f"bridge{', stp' if link.stp else ''}"
    return link.kind.value


def _traits(fact: Address | Route) -> str:
    return f" ({', '.join(fact.traits)})" if fact.traits else ""


def _read_traits(fields: Document) -> Document:
    if "traits" in fields:
        fields["traits"] = tuple(map(str, fields["traits"]))
    return fields


def _route_value(route: Route) -> str:
    via = f" via {route.gateway}" if route.gateway is not None else ""
    over = f" dev {route.link}" if route.link is not None else ""
    metric = f" metric {route.metric}" if route.metric else ""
    return f"{route.destination}{via}{over}{metric}{_traits(route)}"


def _power_impact(_verb: ActionVerb, power: Power) -> Impact:
    return Impact.NONE if power.up else Impact.TRAFFIC


def _port_impact(_verb: ActionVerb, _port: Port) -> Impact:
    return Impact.BLIP


def _link_impact(verb: ActionVerb, _fact: Link | Route) -> Impact:
    return {ActionVerb.REMOVE: Impact.TRAFFIC, ActionVerb.CHANGE: Impact.BLIP}.get(verb, Impact.NONE)


def _mtu_impact(verb: ActionVerb, _mtu: Mtu) -> Impact:
    return Impact.TRAFFIC if verb is ActionVerb.REMOVE else Impact.BLIP


def _address_impact(verb: ActionVerb, _address: Address) -> Impact:
    # What changes about an address is its lifetime, in place.
    return Impact.TRAFFIC if verb is ActionVerb.REMOVE else Impact.NONE


#: The kinds of facts of this module, with their words and their form in documents.
NETWORK_KINDS: Final[tuple[FactKind[Any], ...]] = (
    FactKind(
        "link",
        Link,
        _link_value,
        lambda link: f"link {link.name}",
        read=_read_link,
        stage=ActionStage.LINK,
        impact=_link_impact,
        pruned=True,
    ),
    FactKind(
        "port",
        Port,
        lambda port: f"{port.link} in {port.master}",
        lambda port: f"port of {port.link}",
        about=lambda port: f"{port.link} ",
        stage=ActionStage.PORT,
        impact=_port_impact,
        pruned=True,
    ),
    FactKind(
        "power",
        Power,
        lambda power: "up" if power.up else "down",
        lambda power: f"power of {power.link}",
        stage=ActionStage.POWER,
        impact=_power_impact,
    ),
    FactKind(
        "mtu",
        Mtu,
        lambda mtu: str(mtu.size),
        lambda mtu: f"mtu of {mtu.link}",
        stage=ActionStage.MTU,
        impact=_mtu_impact,
    ),
    FactKind(
        "mark",
        Mark,
        lambda mark: mark.text or "none",
        lambda mark: f"alias of {mark.link}",
        label="alias",
        stage=ActionStage.MARK,
        pruned=True,
    ),
    FactKind(
        "address",
        Address,
        lambda address: f"{address.address}{_traits(address)}",
        lambda address: f"address {address.address} of {address.link}",
        read=_read_traits,
        stage=ActionStage.ADDRESS,
        impact=_address_impact,
        pruned=True,
    ),
    FactKind(
        "route",
        Route,
        _route_value,
        lambda route: f"route to {route.destination}",
        about=lambda route: f"{route.destination} ",
        read=lambda fields: _read_traits({"gateway": None, "link": None, **fields}),
        stage=ActionStage.ROUTE,
        impact=_link_impact,
        pruned=True,
    ),
)
