"""What to add and remove so that the virtual addresses are where they belong: a pure function of one look.

Decides on which interface an address goes (the interface itself, or a macvlan with the CARP virtual MAC over it),
that only what carries the watchdog's stamp is ever removed, and that removing comes before adding. Does not know
whether this controller is active: a standby passes no places.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler.core.facts.ownership import Owner
from reconciler.system.addresses.snapshot import AddressSeen, LinkSeen, NetworkSnapshot

#: More virtual addresses than this are refused, one by one: no bound elsewhere grows with the orders.
PLACES_MAX: Final = 256
#: The metric of the route of last resort: every static, learned or kernel route is preferred.
LAST_RESORT: Final = 0x7FFF_0000
#: The alias of a macvlan of ours. Its first word is not the agent's mark, so the agent leaves it alone.
ALIAS: Final = "hagit-watchdog virtual MAC"
_OWN_NAME: Final = re.compile(r"hgv\d+i\d+")


@dataclass(frozen=True, slots=True, order=True)
class AddressPlace:
    """Where one virtual address belongs: `address` with the prefix of its network, on the interface `index`."""

    index: int
    address: str
    vhid: int = 0

    @property
    def host(self) -> str:
        """The address without its prefix, in the kernel's form."""
        return str(ipaddress.ip_interface(self.address).ip)

    @property
    def network(self) -> str:
        """The network of the address, in the kernel's form."""
        return str(ipaddress.ip_interface(self.address).network)

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Put one host address on an interface."""

    index: int
    address: str


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take a stamped address away."""

    seen: AddressSeen


@dataclass(frozen=True, slots=True)
class AddRoute:
    """The route of last resort to the network of an address."""

    index: int
    network: str


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Take a stamped route away."""

    index: int
    network: str
    metric: int


@dataclass(frozen=True, slots=True)
class MakeLink:
    """A macvlan with the virtual MAC of `vhid` over the interface `parent`."""

    parent: int
    vhid: int


@dataclass(frozen=True, slots=True)
class RaiseLink:
    """A macvlan of ours that is down, or not set as it should be."""

    index: int


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """Take a macvlan of ours away."""

    index: int
    name: str


Action = AddAddress | RemoveAddress | AddRoute | RemoveRoute | MakeLink | RaiseLink | RemoveLink


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be, as a sentence, with the address or interface it is about.

    `remedy` is empty where a look at links and addresses is all that helps.
    """

    where: str
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Stray:
    """A virtual address that is on this controller although it does not belong here now, without the watchdog's stamp.

    The watchdog removes what carries its stamp and nothing else, so this one is reported and stays.
    """

    host: str
    prefix: int
    link: str

    def problem(self) -> Problem:
        """The same as what to tell."""
        what = (
            f"{self.link} carries this virtual address although this controller is not the active one, and the "
            "watchdog did not put it there; clients that are answered from here find no pools"
        )
        remedy = f"ip address delete {self.host}/{self.prefix} dev {self.link}; and find what added it"
        return Problem(self.host, what, remedy)


def strays(snapshot: NetworkSnapshot, places: Sequence[AddressPlace]) -> tuple[Stray, ...]:
    """Virtual addresses on links of this controller that carry another stamp than the watchdog's, or none."""
    hosts = {place.host for place in places}
    return tuple(
        sorted(
            Stray(seen.address, seen.prefix, snapshot.links[seen.index].name)
            for seen in snapshot.addresses
            if seen.address in hosts and seen.owner is not Owner.WATCHDOG and seen.index in snapshot.links
        )
    )


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Actions in their order, the places that are filled already, and what stands in the way.

    Where a link has to be made first, its addresses come with the plan of the next look.
    """

    actions: tuple[Action, ...] = ()
    present: tuple[AddressPlace, ...] = ()
    problems: tuple[Problem, ...] = ()


def virtual_mac(vhid: int) -> str:
    """The MAC that CARP and VRRP give to a virtual host id (RFC 9568 section 7.3)."""
    return f"00:00:5e:00:01:{vhid:02x}"


def link_name(place: AddressPlace) -> str:
    """The name of the macvlan for a place; at most 15 bytes."""
    return f"hgv{place.vhid}i{place.index}"[:15]


def is_own_link(link: LinkSeen) -> bool:
    """Whether a link is a macvlan that a watchdog made, even one that died before it could write the alias."""
    return link.kind == "macvlan" and (link.alias == ALIAS or _OWN_NAME.fullmatch(link.name) is not None)


def plan(snapshot: NetworkSnapshot, places: Sequence[AddressPlace], *, on_virtual_mac: bool = False) -> AddressPlan:
    """What to do so that exactly `places` are filled by stamped addresses."""
    draft = _Draft(snapshot, on_virtual_mac)
    for place in sorted(set(places))[PLACES_MAX:]:
        draft.problems.append(Problem(place.address, f"more than {PLACES_MAX} virtual addresses are not placed"))
    draft.fill(sorted(set(places))[:PLACES_MAX])
    return AddressPlan(
        (*draft.removals(), *draft.makings, *draft.additions, *draft.routings),
        tuple(draft.present),
        tuple(draft.problems),
    )


@dataclass(slots=True)
class _Draft:
    snapshot: NetworkSnapshot
    on_virtual_mac: bool
    makings: list[Action] = field(default_factory=list)
    additions: list[Action] = field(default_factory=list)
    routings: list[Action] = field(default_factory=list)
    present: list[AddressPlace] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    addresses: set[tuple[int, str]] = field(default_factory=set)
    networks: set[tuple[int, str]] = field(default_factory=set)
    links: set[int] = field(default_factory=set)

    def fill(self, places: Sequence[AddressPlace]) -> None:
        """Settle for each place what is there, and what is to be done."""
        for place in places:
            parent = self.snapshot.links.get(place.index)
            if parent is None:
                self.problems.append(Problem(place.address, f"its interface (index {place.index}) is gone"))
                continue
            index = self._carrier(place) if self.on_virtual_mac and place.vhid else place.index
            self._route(place, parent)
            if index is None:
                continue
            self.addresses.add((index, place.host))
            self._address(place, index)

    def _carrier(self, place: AddressPlace) -> int | None:
        """The macvlan for a place, None while it has to be made."""
        for link in self.snapshot.links.values():
            if is_own_link(link) and link.parent == place.index and link.mac == virtual_mac(place.vhid):
                self.links.add(link.index)
                raising = RaiseLink(link.index)
                if (not link.up or link.alias != ALIAS) and raising not in self.additions:
                    self.additions.append(raising)
                return link.index
        making = MakeLink(place.index, place.vhid)
        if making not in self.makings:
            self.makings.append(making)
        return None

    def _address(self, place: AddressPlace, index: int) -> None:
        held = [seen for seen in self.snapshot.addresses if seen.address == place.host]
        for seen in held:
            if seen.owner is not Owner.WATCHDOG:
                self.problems.append(self._foreign(seen))
        here = next((seen for seen in held if seen.index == index), None)
        if here is None:
            self.additions.append(AddAddress(index, place.host))
        elif here.failed and here.owner is Owner.WATCHDOG:
            # The kernel never tries again by itself, and an address that failed answers no request.
            self.additions += [RemoveAddress(here), AddAddress(index, place.host)]
        else:
            self.present.append(place)

    def _foreign(self, seen: AddressSeen) -> Problem:
        name = self.snapshot.links[seen.index].name
        what = f"{name} carries it without the watchdog's stamp: it will stay there when this controller is no longer "
        return Problem(seen.address, what + f"active; take it away with `ip address delete {seen.address}/{seen.prefix}"
                                            f" dev {name}`")  # fmt: skip

    def _route(self, place: AddressPlace, parent: LinkSeen) -> None:
        if place.network.endswith("/32" if place.family == socket.AF_INET else "/128"):
            return
        at = (place.index, place.network)
        there = any((seen.index, seen.network) == at for seen in self.snapshot.routes)
        # A link that is down takes no routes, and tells when it comes up.
        if not there and at not in self.networks and parent.up:
            self.routings.append(AddRoute(*at))
        self.networks.add(at)

    def removals(self) -> Iterator[Action]:
        """Everything of ours that no place wants: addresses first, then what they rested on."""
        for seen in self.snapshot.addresses:
            if seen.owner is Owner.WATCHDOG and (seen.index, seen.address) not in self.addresses:
                yield RemoveAddress(seen)
        for route in self.snapshot.routes:
            if (route.index, route.network) not in self.networks:
                yield RemoveRoute(route.index, route.network, route.metric)
        for link in self.snapshot.links.values():
            if is_own_link(link) and link.index not in self.links:
                yield RemoveLink(link.index, link.name)
