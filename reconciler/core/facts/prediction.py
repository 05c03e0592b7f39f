"""What the kernel makes of one change: the facts that follow, and the facts that stop being true by themselves.

Decides how links, ports, power, MTU, addresses and routes pull at one another. Every rule was read off a real kernel
and is checked against it by the tests of the network adapter. Does not know why a change is made.

Not predicted, because facts do not tell: addresses the kernel gives itself, `keep_addr_on_down`, the MTU a port had
before it joined a bond, and routes with a preferred source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network
from types import MappingProxyType
from typing import Final, assert_never

from reconciler.core.facts.fact import (
    NO_PREFIX_ROUTE,
    Address,
    Fact,
    Key,
    Link,
    LinkKind,
    Mark,
    Mtu,
    Port,
    Power,
    Route,
)
from reconciler.core.facts.fact_kinds import kind_of
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.ownership import Owner, mark_owner, mark_text
from reconciler.core.facts.state import Nic, Observed
from reconciler.core.facts.storage import StorageFact
from reconciler.core.facts.storage_prediction import Stored

#: What the kernel gives a new link that has no parent, in bytes (ETH_DATA_LEN).
MTU_DEFAULT: Final = 1500

#: What the kernel lets the MTU of a bond or bridge be, and that of a VLAN at most (ETH_MIN_MTU, ETH_MAX_MTU).
MADE_MTU_MIN: Final = 68
MADE_MTU_MAX: Final = 65535

#: Below this IPv6 leaves a link (RFC 8200 section 5; addrconf_notify drops every address).
IPV6_MTU_MIN: Final = 1280


def is_ipv6(text: str) -> bool:
    """Whether an address, with or without its prefix, is an IPv6 one."""
    return ":" in text


def neighbours(fact: Address | Route) -> IPv4Network | IPv6Network | None:
    """The network whose hosts an address or a route makes direct neighbours, None where it makes none."""
    if isinstance(fact, Route):
        # A blackhole has no gateway either, and leads nowhere.
        return ip_network(fact.destination) if fact.gateway is None and not fact.traits else None
    if NO_PREFIX_ROUTE in fact.traits:
        return None
    return ip_interface(f"{fact.peer}/{fact.address.partition('/')[2]}" if fact.peer else fact.address).network


def predict(observed: Observed, before: Fact | None, after: Fact | None) -> Observed:
    """What is observed once one change has been made. For many changes in a row, `Prediction` is cheaper."""
    prediction = Prediction(observed)
    prediction.perform(before, after)
    return prediction.observed()


class Prediction:
    """A working copy of what is observed, changed one fact at a time as the kernel would.

    The cost of one change grows with what hangs on its link, not with the whole.
    """

    __slots__ = ("_auto_mtu", "_networks", "_on", "_ports", "_stored", "_vlans", "base", "facts", "nics", "owners")

    def __init__(self, observed: Observed) -> None:
        self.base = observed
        self.facts: dict[Key, Fact] = dict(observed.facts)
        self.owners: dict[Key, Owner] = dict(observed.owners)
        self.nics: dict[str, Nic] = dict(observed.nics)
        self._stored = Stored(self.facts)
        # Per link, in a stable order: addresses and routes over it, VLANs upon it, ports in it.
        self._on: dict[str, dict[Key, None]] = {}
        self._vlans: dict[str, dict[str, None]] = {}
        self._ports: dict[str, dict[str, None]] = {}
        # Bridges made here without an MTU of their own: those follow their ports.
        self._auto_mtu: set[str] = set()
        self._networks: dict[tuple[int, int], dict[int, str]] | None = None
        for fact in self.facts.values():
            self._index(fact)

    def observed(self) -> Observed:
        """What would be observed now."""
        return replace(
            self.base,
            facts=MappingProxyType(dict(self.facts)),
            owners=MappingProxyType(dict(self.owners)),
            nics=MappingProxyType(dict(self.nics)),
        )

    def perform(self, before: Fact | None, after: Fact | None) -> tuple[Fact, ...]:
        """One change. Returns the facts that stopped being true by themselves, as they were."""
        assert before is not None or after is not None, "a change of nothing"
        lost: list[Fact] = []
        if after is None:
            assert before is not None
            self._remove(before, lost)
        else:
            self._set(after, lost)
        return tuple(lost)

    # What hangs on what.

    def vlans(self, link: str) -> tuple[str, ...]:
        """The VLANs whose parent is `link`."""
        return tuple(self._vlans.get(link, ()))

    def ports(self, master: str) -> tuple[str, ...]:
        """The members of a bond or bridge."""
        return tuple(self._ports.get(master, ()))

    def on(self, link: str) -> Iterator[Address | Route]:
        """Addresses on a link and routes over it."""
        for key in tuple(self._on.get(link, ())):
            fact = self.facts[key]
            assert isinstance(fact, Address | Route)
            yield fact

    def is_up(self, link: str) -> bool:
        """Whether a link is known to be up."""
        fact = self.facts.get(("power", link))
        return isinstance(fact, Power) and fact.up

    def mtu(self, link: str) -> int | None:
        """The MTU of a link in bytes, None when it is not known."""
        fact = self.facts.get(("mtu", link))
        return fact.size if isinstance(fact, Mtu) else None

    def link_kind(self, link: str) -> LinkKind | None:
        """What a link is, None when there is none."""
        fact = self.facts.get(("link", link))
        return fact.kind if isinstance(fact, Link) else None

    def link_towards(self, gateway: str, link: str | None) -> str | None:
        """The link over which a gateway is a direct neighbour (any, or only `link`); None when the kernel would refuse.

        A gateway counts when an address of a link that is up, or a route without gateway, covers it.
        """
        address = ip_address(gateway)
        if address.version == 6 and address.is_link_local:
            return link if link is not None and self.is_up(link) else None
        number, bits = int(address), address.max_prefixlen
        networks = self._reachable()
        for prefix in range(bits, -1, -1):
            table = networks.get((address.version, prefix))
            if table is None:
                continue
            found = table.get(number >> (bits - prefix) if prefix else 0)
            if found is None:
                continue
            if link is None or found == link or self._covers(link, address):
                return link or found
        return None

    def _covers(self, link: str, address: IPv4Address | IPv6Address) -> bool:
        """Whether one link reaches an address directly, where another link has the same network."""
        if not self.is_up(link):
            return False
        return any(address in network for fact in self.on(link) if (network := neighbours(fact)) is not None)

    def _reachable(self) -> dict[tuple[int, int], dict[int, str]]:
        """Networks that are direct neighbours, by version and prefix length, built when first asked for."""
        if self._networks is None:
            self._networks = {}
            for link in self._on:
                if self.is_up(link):
                    for fact in self.on(link):
                        self._note_network(fact)
        return self._networks

    def _note_network(self, fact: Address | Route) -> None:
        if self._networks is None:
            return
        network, link = neighbours(fact), fact.link
        if network is None:
            return
        if link is not None and self.is_up(link):
            number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            self._networks.setdefault((network.version, network.prefixlen), {}).setdefault(number, link)

    # The tables.

    def _index(self, fact: Fact) -> None:
        if isinstance(fact, Address) or (isinstance(fact, Route) and fact.link is not None):
            assert fact.link is not None
            self._on.setdefault(fact.link, {})[fact.key] = None
            self._note_network(fact)
        elif isinstance(fact, Link) and fact.parent is not None:
            self._vlans.setdefault(fact.parent, {})[fact.name] = None
        elif isinstance(fact, Port):
            self._ports.setdefault(fact.master, {})[fact.link] = None

    def _put(self, fact: Fact) -> None:
        self._drop(fact.key)
        self.facts[fact.key] = fact
        self._index(fact)

    def _drop(self, key: Key) -> Fact | None:
        fact = self.facts.pop(key, None)
        if isinstance(fact, Address) or (isinstance(fact, Route) and fact.link is not None):
            assert fact.link is not None
            self._on[fact.link].pop(key, None)
            if isinstance(fact, Address) or fact.gateway is None:
                self._networks = None
        elif isinstance(fact, Link) and fact.parent is not None:
            self._vlans[fact.parent].pop(fact.name, None)
        elif isinstance(fact, Port):
            self._ports[fact.master].pop(fact.link, None)
        return fact

    def _lose(self, key: Key, lost: list[Fact]) -> None:
        self.owners.pop(key, None)
        fact = self._drop(key)
        if fact is not None:
            lost.append(fact)

    # The rules.

    def _set(self, fact: Fact, lost: list[Fact]) -> None:
        if isinstance(fact, Link):
            self._set_link(fact, lost)
        elif isinstance(fact, Port):
            self._set_port(fact, lost)
        elif isinstance(fact, Power):
            self._set_power(fact.link, fact.up, lost, by_itself=False)
        elif isinstance(fact, Mtu):
            self._auto_mtu.discard(fact.link)
            self._set_mtu(fact.link, fact.size, lost, by_itself=False)
        elif isinstance(fact, Mark):
            self._put(fact)
            self._stamp_mark(fact)
        elif isinstance(fact, Address):
            self._put(fact)
            self.owners[fact.key] = Owner.AGENT
        elif isinstance(fact, Route):
            link = fact.link if fact.gateway is None else self.link_towards(fact.gateway, fact.link) or fact.link
            self._put(replace(fact, link=link))
            self.owners[fact.key] = Owner.AGENT
        elif isinstance(fact, HostSetting):
            self._put(fact)
            if kind_of(fact).pruned:
                self.owners[fact.key] = Owner.AGENT
        elif isinstance(fact, StorageFact):
            self._stored.set(fact)
        else:
            assert_never(fact)

    def _remove(self, fact: Fact, lost: list[Fact]) -> None:
        if isinstance(fact, Link):
            self._remove_link(fact.name, lost, by_itself=False)
        elif isinstance(fact, Port):
            self._release(fact.link, lost, by_itself=False)
        elif isinstance(fact, Address):
            self.owners.pop(fact.key, None)
            if self._drop(fact.key) is not None and not is_ipv6(fact.address):
                self._flush_without_ipv4(fact.link, lost)
        elif isinstance(fact, Mark | Route | HostSetting):
            self.owners.pop(fact.key, None)
            self._drop(fact.key)
        elif isinstance(fact, StorageFact):
            self._stored.remove(fact)
        elif isinstance(fact, Power | Mtu):
            raise AssertionError(f"{fact.key} cannot be taken away from a link, only changed")
        else:
            assert_never(fact)

    def _stamp_mark(self, mark: Mark) -> None:
        for key in (mark.key, ("link", mark.link)):
            if key in self.facts and mark_owner(mark.text) is Owner.AGENT:
                self.owners[key] = Owner.AGENT

    def _set_link(self, link: Link, lost: list[Fact]) -> None:
        if link.key in self.facts:
            self._put(link)  # options that change in place
            return
        self._put(link)
        if link.kind is LinkKind.PHYSICAL:
            return  # plugged in, not made; its other facts come with the look that sees it
        parent_mtu = self.mtu(link.parent) if link.parent is not None else None
        self._put(Mtu(link.name, parent_mtu or MTU_DEFAULT))
        self._put(Power(link.name, up=False))
        mark = Mark(link.name, mark_text(link.name, None, interlink=False))
        self._put(mark)
        self._stamp_mark(mark)
        mtu_min = 0 if link.kind is LinkKind.VLAN else MADE_MTU_MIN
        made = Nic(link.name, "", driver=link.kind.value, virtual=True, mtu_min=mtu_min, mtu_max=MADE_MTU_MAX)
        self.nics.setdefault(link.name, made)
        if link.kind is LinkKind.BRIDGE:
            self._auto_mtu.add(link.name)

    def _remove_link(self, name: str, lost: list[Fact], *, by_itself: bool) -> None:
        for port in self.ports(name):
            self._release(port, lost, by_itself=True)
        for vlan in self.vlans(name):
            self._remove_link(vlan, lost, by_itself=True)
        if ("port", name) in self.facts:
            self._release(name, lost, by_itself=True)
        for fact in tuple(self.on(name)):
            self._lose(fact.key, lost)
        for key in (("power", name), ("mtu", name), ("mark", name)):
            self._lose(key, lost)
        self._auto_mtu.discard(name)
        self.nics.pop(name, None)
        own: list[Fact] = []
        self._lose(("link", name), own)
        if by_itself:
            lost.extend(own)

    def _set_port(self, port: Port, lost: list[Fact]) -> None:
        if ("port", port.link) in self.facts:
            self._release(port.link, lost, by_itself=False)
        in_bond = self.link_kind(port.master) is LinkKind.BOND
        if in_bond:
            # Bonding takes only a port that is down, gives it the MTU of the bond, and opens it itself.
            self._set_power(port.link, False, lost, by_itself=True)
            size = self.mtu(port.master)
            if size is not None:
                self._set_mtu(port.link, size, lost, by_itself=True)
        self._put(port)
        self.owners[port.key] = Owner.AGENT
        if in_bond:
            self._set_power(port.link, True, lost, by_itself=True)
        self._follow_ports(port.master, lost)

    def _release(self, port: str, lost: list[Fact], *, by_itself: bool) -> None:
        self.owners.pop(("port", port), None)
        fact = self._drop(("port", port))
        if not isinstance(fact, Port):
            return
        if by_itself:
            lost.append(fact)
        if self.link_kind(fact.master) is LinkKind.BOND:
            self._set_power(port, False, lost, by_itself=True)  # bonding closes what it lets go
        self._follow_ports(fact.master, lost)

    def _set_power(self, link: str, up: bool, lost: list[Fact], *, by_itself: bool) -> None:
        old = self.facts.get(("power", link))
        if isinstance(old, Power) and old.up == up:
            return
        if by_itself and isinstance(old, Power):
            lost.append(old)
        self._put(Power(link, up))
        self._networks = None
        if not up:
            # IPv4 addresses stay; IPv6 addresses and every route over the link go.
            for fact in tuple(self.on(link)):
                if isinstance(fact, Route) or is_ipv6(fact.address):
                    self._lose(fact.key, lost)
        for vlan in self.vlans(link):
            self._set_power(vlan, up, lost, by_itself=True)

    def _set_mtu(self, link: str, size: int, lost: list[Fact], *, by_itself: bool) -> None:
        old = self.facts.get(("mtu", link))
        if isinstance(old, Mtu) and old.size == size:
            return
        if by_itself and isinstance(old, Mtu):
            lost.append(old)
        self._put(Mtu(link, size))
        if size < IPV6_MTU_MIN:
            for fact in tuple(self.on(link)):
                if is_ipv6(fact.address if isinstance(fact, Address) else fact.destination):
                    self._lose(fact.key, lost)
        for vlan in self.vlans(link):
            if (self.mtu(vlan) or 0) > size:
                self._set_mtu(vlan, size, lost, by_itself=True)
        if self.link_kind(link) is LinkKind.BOND:
            for port in self.ports(link):
                self._set_mtu(port, size, lost, by_itself=True)
        master = self.facts.get(("port", link))
        if isinstance(master, Port):
            self._follow_ports(master.master, lost)

    def _follow_ports(self, master: str, lost: list[Fact]) -> None:
        """A bridge without an MTU of its own has that of its smallest port."""
        if master in self._auto_mtu:
            sizes = [size for port in self.ports(master) if (size := self.mtu(port)) is not None]
            self._set_mtu(master, min(sizes, default=MTU_DEFAULT), lost, by_itself=True)

    def _flush_without_ipv4(self, link: str, lost: list[Fact]) -> None:
        """With its last IPv4 address a link loses every IPv4 route; with its last IPv6 address it loses none."""
        left = tuple(self.on(link))
        if any(isinstance(fact, Address) and not is_ipv6(fact.address) for fact in left):
            return
        for fact in left:
            if isinstance(fact, Route) and not is_ipv6(fact.destination):
                self._lose(fact.key, lost)
