"""The kind Interface: a NIC, bond, VLAN or bridge of both controllers.

Decides the shape of one interface by itself. Whether its members, parents and addresses fit the others is `lint`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from reconciler.core.facts.fact import (
    Address,
    BondMode,
    BondOptions,
    HashPolicy,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
)
from reconciler.core.facts.ownership import mark_text
from reconciler.core.facts.scope import Scope
from reconciler.core.spec.limits import ADDRESSES_MAX, LIST_MAX
from reconciler.core.spec.model import Document, Model, example
from reconciler.core.spec.resource_kind import Asked, ResourceKind
from reconciler.core.spec.values import DevicePath, InterfaceAddress, IPInterface, KernelName, Mac, Name, refuse

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.topology import ControllerTopology, ResolvedInterface
    from reconciler.core.spec.tree import Path

Loose = Field(strict=False)


class Role(StrEnum):
    """What an interface is for, besides carrying traffic."""

    INTERLINK = "interlink"


class Match(Model):
    """How a controller finds the NIC: exactly one of the three."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    mac: Mac | None = Field(
        None, description="The permanent MAC address of the NIC. The surest way: it moves with the card."
    )
    path: DevicePath | None = Field(
        None,
        description="The slot of the NIC, as udev's ID_PATH has it; a `*` at the end stands for the rest. "
        "Right when a replaced card should take the place of the old one.",
    )
    name: KernelName | None = Field(
        None, description="The name the kernel or udev gave the NIC, as `ip link` shows it."
    )

    @model_validator(mode="after")
    def _one(self) -> Match:
        if sum(value is not None for value in (self.mac, self.path, self.name)) != 1:
            raise refuse("match", "`match` needs exactly one of mac, path and name", 'Keep one: match: {mac: "…"}.')
        return self


class Addresses(Model):
    """One address or several, each with the prefix of its network."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["address", "addresses"]}})

    address: InterfaceAddress | None = Field(None, description="The one address, with the prefix of its network.")
    addresses: list[InterfaceAddress] = Field(
        default_factory=list,
        max_length=ADDRESSES_MAX,
        description="Several addresses, IPv4 or IPv6, each with the prefix of its network. Instead of `address`.",
    )

    @model_validator(mode="after")
    def _either(self) -> Addresses:
        if self.address is not None and self.addresses:
            raise refuse("address-or-addresses", "`address` and `addresses` are both given", "Put all in `addresses`.")
        return self

    def all(self) -> list[tuple[tuple[str | int, ...], IPInterface]]:
        """Every address with its path inside this mapping."""
        if self.address is not None:
            return [(("address",), self.address)]
        return [(("addresses", index), address) for index, address in enumerate(self.addresses)]


class InterfaceHalf(Addresses):
    """What holds for one controller only."""

    match: Match | None = Field(
        None,
        description="How this controller finds the NIC. Needed for a physical interface; a bond, VLAN or bridge has "
        "none, because hagit makes it under the name of the resource.",
    )


class Virtual(Addresses):
    """The addresses that clients use. They are on whichever controller is active."""

    vhid: int = Field(
        ge=1,
        le=255,
        description="The virtual host id that both controllers use for these addresses (CARP, VRRP). "
        "Unique among everything on the same network segment.",
    )

    @model_validator(mode="after")
    def _some(self) -> Virtual:
        if not self.all():
            raise refuse("virtual-empty", "`virtual` has no address", "Add address: 10.0.0.10/24.")
        return self


class Bond(Model):
    """Several NICs as one link."""

    mode: Annotated[BondMode, Loose] = Field(
        description="How the members share the work. `802.3ad` (LACP) needs a switch that is set up for it; "
        "`active-backup` needs none."
    )
    members: list[Name] = Field(max_length=LIST_MAX, description="The physical interfaces in the bond, by name.")
    miimon: int = Field(
        100, ge=0, le=60_000, description="Milliseconds between two looks at the carrier of the members; 0 is never."
    )
    lacp_rate: Annotated[LacpRate, Loose] | None = Field(
        None, description="How often the partner sends LACPDUs: each second (fast) or each 30 (slow). Only for 802.3ad."
    )
    hash_policy: Annotated[HashPolicy, Loose] = Field(
        HashPolicy.LAYER2, description="What decides which member a packet leaves by (xmit_hash_policy)."
    )


class Vlan(Model):
    """A tagged network on another interface."""

    parent: Name = Field(description="The interface that carries the tagged frames, by name.")
    id: int = Field(ge=1, le=4094, description="The VLAN id (IEEE 802.1Q).")


class Bridge(Model):
    """A switch in software."""

    members: list[Name] = Field(
        default_factory=list, max_length=LIST_MAX, description="The interfaces in the bridge, by name."
    )
    stp: bool = Field(False, description="Whether the bridge speaks the spanning tree protocol (IEEE 802.1D).")


class InterfaceSpec(Model):
    """A link of the controllers. Without `bond`, `vlan` or `bridge` it is a physical NIC, found by `match`.

    What is described under `a` and `b` differs between the controllers. An interface with only one of the two exists
    on that controller only; a bond, VLAN or bridge with neither exists on both.
    """

    a: InterfaceHalf | None = Field(None, description="What holds for controller a only.")
    b: InterfaceHalf | None = Field(None, description="What holds for controller b only.")
    mtu: int | None = Field(
        None,
        ge=68,
        le=65_536,
        description="The largest packet in bytes, the same on both controllers. Left as it is when not given. "
        "9000 is usual for storage networks, and every switch and client on the way has to agree.",
        examples=[9000],
    )
    critical: bool = Field(
        False,
        description="Whether clients lose the storage when this interface is down. Critical interfaces decide about "
        "failover; each belongs to a failover group. `ip link` shows them as CriticalGroupN.",
    )
    failover_group: int | None = Field(
        None,
        ge=1,
        le=255,
        description="Interfaces with the same number count together: the group is down when all its critical members "
        "are. Needed when `critical` is true.",
        examples=[1],
    )
    role: Annotated[Role, Loose] | None = Field(
        None, description="`interlink`: the private link between the two controllers. `ip link` shows it as Interlink."
    )
    virtual: Virtual | None = Field(
        None, description="The addresses that clients use; they are on whichever controller is active."
    )
    bond: Bond | None = Field(None, description="Makes this interface a bond: several NICs as one link.")
    vlan: Vlan | None = Field(None, description="Makes this interface a VLAN: a tagged network on another interface.")
    bridge: Bridge | None = Field(None, description="Makes this interface a bridge: a switch in software.")

    @model_validator(mode="after")
    def _one_make(self) -> InterfaceSpec:
        if sum(make is not None for make in (self.bond, self.vlan, self.bridge)) > 1:
            remedy = "One interface is one link: give the other one a resource of its own."
            raise refuse("two-makes", "only one of bond, vlan and bridge can be given", remedy)
        return self

    @property
    def kind(self) -> LinkKind:
        """What kind of link this is."""
        if self.bond is not None:
            return LinkKind.BOND
        if self.vlan is not None:
            return LinkKind.VLAN
        return LinkKind.PHYSICAL if self.bridge is None else LinkKind.BRIDGE

    @property
    def members(self) -> list[str]:
        """The names of the ports of a bond or bridge."""
        make = self.bond or self.bridge
        return make.members if make else []

    def half(self, controller: str) -> InterfaceHalf | None:
        """What is said for one controller only."""
        return self.a if controller == "a" else self.b

    def on(self, controller: str) -> bool:
        """True when this interface exists on this controller."""
        neither = self.a is None and self.b is None
        return self.half(controller) is not None or (neither and self.kind is not LinkKind.PHYSICAL)


class InterfaceDocument(Document):
    """A network interface: physical NIC, bond, VLAN or bridge."""

    model_config = example(
        "Interface",
        "storage0",
        a={"match": {"mac": "02:00:00:00:0a:01"}, "address": "10.0.0.11/24"},
        b={"match": {"mac": "02:00:00:00:0b:01"}, "address": "10.0.0.12/24"},
        virtual={"address": "10.0.0.10/24", "vhid": 20},
        critical=True,
        failoverGroup=1,
    )

    kind: Literal["Interface"] = Field(description="Always `Interface`.")
    spec: InterfaceSpec = Field(description="What the interface should be.")


def interface_facts(configuration: Configuration, here: ControllerTopology) -> Iterator[Asked]:
    """What every interface of one controller is: link, members, power, MTU, mark and static addresses."""
    for face in here.faces.values():
        yield from _facts_of(face)


def _facts_of(face: ResolvedInterface) -> Iterator[Asked]:
    resource, spec, name = face.resource, face.spec, face.name
    yield _link(name, spec), resource, (str(spec.kind),) if spec.kind is not LinkKind.PHYSICAL else ()
    for index, member in enumerate(spec.members):
        yield Port(member, name), resource, (str(spec.kind), "members", index)
    yield Power(name, up=True), resource, ()
    if spec.mtu is not None:
        yield Mtu(name, spec.mtu), resource, ("mtu",)
    interlink = spec.role is Role.INTERLINK
    group = spec.failover_group if spec.critical else None
    reason: Path = ("failoverGroup",) if group is not None else ("role",) if interlink else ()
    yield Mark(name, mark_text(name, group, interlink)), resource, reason
    for path, address in face.addresses:
        yield Address(name, str(address)), resource, path


def _link(name: str, spec: InterfaceSpec) -> Link:
    if spec.vlan is not None:
        return Link(name, LinkKind.VLAN, parent=spec.vlan.parent, vlan_id=spec.vlan.id)
    if spec.bond is not None:
        return Link(name, LinkKind.BOND, bond=_bond_options(spec.bond))
    if spec.bridge is not None:
        return Link(name, LinkKind.BRIDGE, stp=spec.bridge.stp)
    return Link(name, LinkKind.PHYSICAL)


def _bond_options(bond: Bond) -> BondOptions:
    rate = (bond.lacp_rate or LacpRate.SLOW) if bond.mode is BondMode.LACP else None
    return BondOptions(bond.mode, bond.miimon, bond.hash_policy, rate)


INTERFACE = ResourceKind(
    "Interface",
    InterfaceDocument,
    InterfaceSpec,
    Scope.NETWORK,
    facts=interface_facts,
    # They decide which links carry heartbeats, and whose loss moves the pools.
    field_scopes=dict.fromkeys(("critical", "failoverGroup", "role"), Scope.FAILOVER),
    unwritten={"critical": False},
)
