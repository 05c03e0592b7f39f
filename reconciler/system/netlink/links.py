"""Link messages read into records, facts and NICs.

Decides what kind a link is, whose it is, and which of its MAC addresses is permanent. Does not know addresses and
routes, or what is desired. See ip-link(8) and linux/if_link.h.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.core.facts.fact import (
    BondMode,
    BondOptions,
    Fact,
    HashPolicy,
    Key,
    LacpRate,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
)
from reconciler.core.facts.ownership import Owner, mark_owner
from reconciler.core.facts.state import Nic, Unknown
from reconciler.system.netlink import wire
from reconciler.system.netlink.device import device_of

#: Position is the kernel's number (linux/if_bonding.h).
BOND_MODES: Final = tuple(BondMode)
LACP_RATES: Final = tuple(LacpRate)
HASH_POLICIES: Final = (
    HashPolicy.LAYER2, HashPolicy.LAYER34, HashPolicy.LAYER23, HashPolicy.ENCAP23, HashPolicy.ENCAP34,
)  # fmt: skip
_KINDS: Final = {"bond": LinkKind.BOND, "vlan": LinkKind.VLAN, "bridge": LinkKind.BRIDGE}
_NO_STATISTICS: Final = wire.number(wire.IFLA_EXT_MASK, wire.SKIP_STATISTICS)

#: The request for every link, without its statistics, which are most of the bytes.
ALL_LINKS: Final = wire.LINK_HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _NO_STATISTICS


def one_link(name: str) -> bytes:
    """The request for one link by its name."""
    return ALL_LINKS + wire.text(wire.IFLA_IFNAME, name)


def link_at(index: int) -> bytes:
    """The request for one link by its index."""
    return wire.LINK_HEADER.pack(socket.AF_UNSPEC, 0, index, 0, 0) + _NO_STATISTICS


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """What one link message says. Indices instead of names where the message has no names."""

    index: int
    name: str
    loopback: bool
    up: bool
    mtu: int
    master: int
    parent: int
    make: str
    alias: str
    data: Mapping[int, bytes]
    found: Mapping[int, bytes] = field(repr=False)
    info: Mapping[int, bytes] = field(repr=False)

    @property
    def nic(self) -> Nic:
        """By what a person may call this link. Read on demand: a look after a change does not need it."""
        return _nic(self.name, self.found, self.info, self.make, self.up)

    @property
    def kind(self) -> LinkKind:
        """What hagit calls this link."""
        return _KINDS.get(self.make, LinkKind.PHYSICAL)


def read_link(payload: bytes) -> LinkRecord:
    """One RTM_NEWLINK payload. Raises MalformedMessage."""
    _, _, index, flags, _ = wire.header(wire.LINK_HEADER, payload)
    found = wire.attributes(payload, wire.LINK_HEADER.size)
    name = wire.text_of(found.get(wire.IFLA_IFNAME))
    info = wire.attributes(found[wire.IFLA_LINKINFO]) if wire.IFLA_LINKINFO in found else {}
    make = wire.text_of(info.get(wire.INFO_KIND))
    data = wire.attributes(info[wire.INFO_DATA]) if make in _KINDS and wire.INFO_DATA in info else {}
    up = bool(flags & wire.IFF_UP)
    # The number of a parent in another network namespace means nothing here.
    parent = 0 if wire.IFLA_LINK_NETNSID in found else wire.value_of(wire.U32, found.get(wire.IFLA_LINK))
    return LinkRecord(
        index=index,
        name=name,
        loopback=bool(flags & wire.IFF_LOOPBACK),
        up=up,
        mtu=wire.value_of(wire.U32, found.get(wire.IFLA_MTU)),
        master=wire.value_of(wire.U32, found.get(wire.IFLA_MASTER)),
        parent=parent,
        make=make,
        alias=wire.text_of(found.get(wire.IFLA_IFALIAS)),
        data=data,
        found=found,
        info=info,
    )


def _nic(name: str, found: Mapping[int, bytes], info: Mapping[int, bytes], make: str, up: bool) -> Nic:
    parent = wire.text_of(found.get(wire.IFLA_PARENT_DEV_NAME))
    path, driver = device_of(wire.text_of(found.get(wire.IFLA_PARENT_DEV_BUS_NAME)), parent) if parent else ("", "")
    mac = found.get(wire.IFLA_PERM_ADDRESS) or _own_address_of_member(info) or found.get(wire.IFLA_ADDRESS) or b""
    return Nic(
        name=name,
        mac=mac.hex(":"),
        path=path,
        driver=driver or make,
        virtual=not parent,
        mtu_min=wire.value_of(wire.U32, found.get(wire.IFLA_MIN_MTU)),
        mtu_max=wire.value_of(wire.U32, found.get(wire.IFLA_MAX_MTU)),
        carrier=bool(wire.value_of(wire.U8, found.get(wire.IFLA_CARRIER))) if up else None,
        altnames=_altnames(found.get(wire.IFLA_PROP_LIST)),
        ipv6=_ipv6(found.get(wire.IFLA_AF_SPEC)),
    )


def _altnames(properties: bytes | None) -> tuple[str, ...]:
    if properties is None:
        return ()
    return tuple(sorted(wire.text_of(name) for name in wire.all_of(properties, wire.IFLA_ALT_IFNAME)))


def _ipv6(families: bytes | None) -> bool:
    """False where the link has IPv6 settings and they say that it is off."""
    inner = wire.attributes(families).get(socket.AF_INET6) if families is not None else None
    settings = wire.attributes(inner).get(wire.INET6_CONF) if inner is not None else None
    at = 4 * wire.DISABLE_IPV6
    return settings is None or len(settings) < at + 4 or wire.S32.unpack_from(settings, at)[0] == 0


def _own_address_of_member(info: Mapping[int, bytes]) -> bytes | None:
    """A bond gives its members its own MAC; the bond remembers theirs."""
    if wire.text_of(info.get(wire.INFO_SLAVE_KIND)) != "bond" or wire.INFO_SLAVE_DATA not in info:
        return None
    return wire.attributes(info[wire.INFO_SLAVE_DATA]).get(wire.BOND_SLAVE_PERM_ADDRESS)


def link_fact(record: LinkRecord, names: Mapping[int, str]) -> Link | Unknown:
    """The make of a link, or Unknown when it has an option that hagit has no word for."""
    number = record.data.get
    match record.kind:
        case LinkKind.BOND:
            mode = wire.value_of(wire.U8, number(wire.BOND_MODE))
            policy = wire.value_of(wire.U8, number(wire.BOND_HASH_POLICY))
            rate = wire.value_of(wire.U8, number(wire.BOND_LACP_RATE))
            if mode >= len(BOND_MODES) or policy >= len(HASH_POLICIES) or rate >= len(LACP_RATES):
                why = f"bond mode {mode}, hash policy {policy}, LACP rate {rate}: one of these has no name in hagit"
                return Unknown(("link", record.name), why)
            options = BondOptions(
                mode=BOND_MODES[mode],
                miimon_ms=wire.value_of(wire.U32, number(wire.BOND_MIIMON)),
                hash_policy=HASH_POLICIES[policy],
                lacp_rate=LACP_RATES[rate] if BOND_MODES[mode] is BondMode.LACP else None,
            )
            return Link(record.name, LinkKind.BOND, bond=options)
        case LinkKind.VLAN:
            vlan_id = wire.value_of(wire.U16, number(wire.VLAN_ID))
            return Link(record.name, LinkKind.VLAN, parent=names.get(record.parent), vlan_id=vlan_id)
        case LinkKind.BRIDGE:
            stp = wire.value_of(wire.U32, number(wire.BRIDGE_STP_STATE)) != 0
            return Link(record.name, LinkKind.BRIDGE, stp=stp)
        case LinkKind.PHYSICAL:
            return Link(record.name, LinkKind.PHYSICAL)


def plain_facts(record: LinkRecord) -> Iterable[Power | Mtu | Mark]:
    """What a link message says in one field each."""
    yield Power(record.name, record.up)
    yield Mtu(record.name, record.mtu)
    if record.alias:
        yield Mark(record.name, record.alias)


def link_facts(record: LinkRecord, names: Mapping[int, str]) -> Iterable[Fact | Unknown]:
    """Everything one link message says, its make first. `names` holds every link by index."""
    yield link_fact(record, names)
    yield from plain_facts(record)
    if record.master:
        master = names.get(record.master)
        if master is None:
            yield Unknown(("port", record.name), f"its master has index {record.master}, which no link here has")
        else:
            yield Port(record.name, master)


def link_owners(record: LinkRecord, aliases: Mapping[int, str]) -> Iterable[tuple[Key, Owner]]:
    """Who made the facts of one link, where it is not FOREIGN. The alias is the stamp of a link and its membership.

    A membership is the agent's only when both ends are: what a person plugged into our bridge is theirs.
    """
    if not record.alias or mark_owner(record.alias) is not Owner.AGENT:
        return
    yield ("mark", record.name), Owner.AGENT
    if record.kind is not LinkKind.PHYSICAL:
        yield ("link", record.name), Owner.AGENT
    if record.master and mark_owner(aliases.get(record.master, "")) is Owner.AGENT:
        yield ("port", record.name), Owner.AGENT
