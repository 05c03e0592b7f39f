"""One look at links, addresses and the watchdog's own routes, as values read from rtnetlink(7) messages.

Decides what of a message matters for placing addresses. Does not know which are wanted, and opens no socket. See
linux/if_link.h, if_addr.h, ip.h.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from reconciler.core.facts.ownership import Owner
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import read_address, text_form
from reconciler.system.netlink.links import LinkRecord, read_link

IFLA_OPERSTATE: Final = 16
IFA_FLAGS: Final = 8
DAD_FAILED, TENTATIVE = 0x08, 0x40

#: Positions in IFLA_INET_CONF, counted from 1 (IPV4_DEVCONF_* in linux/ip.h).
RP_FILTER, ARP_ANNOUNCE, ARP_IGNORE = 8, 18, 19
PROMOTE_SECONDARIES: Final = wire.PROMOTE_SECONDARIES

_OPERATIONAL: Final = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """One kernel interface. MACs are lower-case with colons, empty where there is none.

    `permanent` is the MAC that the hardware came with, also inside a bond. `bus` and `device` say what udev's ID_PATH
    is made from. `arp` holds the settings this package cares for, by their position in IFLA_INET_CONF.
    """

    index: int
    name: str
    mac: str
    permanent: str
    up: bool
    carrier: bool
    operational: str
    kind: str = ""
    parent: int = 0
    alias: str = ""
    bus: str = ""
    device: str = ""
    arp: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """One address of one interface, without its prefix. `failed`: duplicate address detection found another holder."""

    index: int
    address: str
    prefix: int
    owner: Owner
    failed: bool = False
    tentative: bool = False
    raw_peer: bytes = b""


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """A route that carries the watchdog's stamp."""

    index: int
    network: str
    metric: int


@dataclass(frozen=True, slots=True)
class NetworkSnapshot:
    """One look. Links by index; names and everything else may be another at the next look."""

    links: dict[int, LinkSeen] = field(default_factory=dict)
    addresses: tuple[AddressSeen, ...] = ()
    routes: tuple[RouteSeen, ...] = ()

    def on(self, index: int) -> tuple[AddressSeen, ...]:
        """The addresses of one interface."""
        return tuple(seen for seen in self.addresses if seen.index == index)


@dataclass(frozen=True, slots=True)
class Blind:
    """A look that could not be had, and why: neither presence nor absence of anything."""

    why: str


def renamed(before: NetworkSnapshot, after: NetworkSnapshot) -> tuple[tuple[int, str, str], ...]:
    """Index, old and new name of every interface that has another name now."""
    return tuple(
        (index, old.name, after.links[index].name)
        for index, old in before.links.items()
        if index in after.links and after.links[index].name != old.name
    )


def link_seen(payload: bytes) -> LinkSeen:
    """One RTM_NEWLINK payload. Raises MalformedMessage."""
    record = read_link(payload)
    found = record.found
    state = wire.value_of(wire.U8, found.get(IFLA_OPERSTATE))
    mac = found.get(wire.IFLA_ADDRESS, b"").hex(":")
    return LinkSeen(
        index=record.index,
        name=record.name,
        mac=mac,
        permanent=_permanent(record) or mac,
        up=record.up,
        carrier=record.up and bool(wire.value_of(wire.U8, found.get(wire.IFLA_CARRIER))),
        operational=_OPERATIONAL[state] if state < len(_OPERATIONAL) else str(state),
        kind=record.make,
        parent=record.parent,
        alias=record.alias,
        bus=wire.text_of(found.get(wire.IFLA_PARENT_DEV_BUS_NAME)),
        device=wire.text_of(found.get(wire.IFLA_PARENT_DEV_NAME)),
        arp=tuple(_settings(found.get(wire.IFLA_AF_SPEC, b""))),
    )


def _permanent(record: LinkRecord) -> str:
    """The hardware's MAC; a bond gives its members its own and remembers theirs."""
    raw = record.found.get(wire.IFLA_PERM_ADDRESS)
    if raw is None and wire.text_of(record.info.get(wire.INFO_SLAVE_KIND)) == "bond":
        member = wire.attributes(record.info.get(wire.INFO_SLAVE_DATA, b""))
        raw = member.get(wire.BOND_SLAVE_PERM_ADDRESS)
    return (raw or b"").hex(":")


def _settings(specification: bytes) -> Iterable[tuple[int, int]]:
    """The ARP settings out of IFLA_AF_SPEC: 32-bit numbers in the order of linux/ip.h."""
    family = wire.attributes(specification).get(socket.AF_INET, b"")
    numbers = wire.attributes(family).get(wire.INET_CONF, b"")
    for position in (RP_FILTER, ARP_ANNOUNCE, ARP_IGNORE, PROMOTE_SECONDARIES):
        if len(numbers) >= position * 4:
            yield position, wire.value_of(wire.S32, numbers[(position - 1) * 4 : position * 4])


def address_seen(payload: bytes) -> AddressSeen:
    """One RTM_NEWADDR payload. Raises MalformedMessage."""
    record = read_address(payload)
    found = wire.attributes(payload, wire.ADDRESS_HEADER.size)
    flags = wire.value_of(wire.U32, found.get(IFA_FLAGS), payload[2])
    host, _, prefix = record.address.partition("/")
    return AddressSeen(
        index=record.index,
        address=host,
        prefix=int(prefix),
        owner=record.owner,
        failed=bool(flags & DAD_FAILED),
        tentative=bool(flags & TENTATIVE),
        raw_peer=record.raw_peer,
    )


def route_seen(payload: bytes, protocol: int) -> RouteSeen | None:
    """One RTM_NEWROUTE payload; None when its stamp is another's or it has no network. Raises MalformedMessage."""
    _, prefix, _, _, _, stamp, _, _, _ = wire.header(wire.ROUTE_HEADER, payload)
    found = wire.attributes(payload, wire.ROUTE_HEADER.size)
    raw = found.get(wire.RTA_DST)
    if stamp != protocol or raw is None or wire.RTA_OIF not in found:
        return None
    index = wire.value_of(wire.U32, found[wire.RTA_OIF])
    return RouteSeen(index, f"{text_form(raw)}/{prefix}", wire.value_of(wire.U32, found.get(wire.RTA_PRIORITY)))
