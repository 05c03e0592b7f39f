"""FakeNetwork: a controller's network in memory, which changes as the kernel would change it.

Consequences come from `core.facts.predict`. This module decides what the kernel refuses, and lets a test inject faults:
unknown parts, refusals, links that vanish, a process that dies. The conformance suite of the network adapter keeps it
equal to a real kernel. Does not model addresses that the kernel assigns itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network
from types import MappingProxyType
from typing import Final, assert_never

from reconciler.core.facts.fact import Address, Fact, Key, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.host_setting import Hostname, HostSetting
from reconciler.core.facts.ownership import MARK_LENGTH_MAX
from reconciler.core.facts.prediction import IPV6_MTU_MIN, Prediction, is_ipv6
from reconciler.core.facts.state import Nic, Observed, Unknown, facts_by_key
from reconciler.core.facts.storage import Dataset, Pool, PoolProperty, Property
from reconciler.errors import ObservationError, PerformError

#: Longest name of a link (IFNAMSIZ less its terminating zero).
NAME_LENGTH_MAX: Final = 15
#: The metric that IPv6 uses for metric 0 (IP6_RT_PRIO_USER).
IPV6_METRIC: Final = 1024


class Cut(Exception):
    """The process ended here; its caller gets no result."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults to inject. Actions count from 1.

    `refuse` gives the kernel's reason by key. `vanish_before` names links that disappear just before an action. If the
    process dies before action n, the action is not done. If it dies after the action, it is done but not reported.
    """

    unknown: tuple[Unknown, ...] = ()
    refuse: Mapping[Key, str] = field(default_factory=dict)
    vanish_before: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    cut_before: int | None = None
    cut_after: int | None = None


NO_FAULTS: Final = Faults()


def plugged_in(*names: str, mtu_min: int = 68, mtu_max: int = 65535) -> Observed:
    """Return a controller with these NICs, all down, and nothing else."""
    facts: list[Fact] = []
    nics = {}
    for number, name in enumerate(names):
        facts += [Link(name, LinkKind.PHYSICAL), Power(name, up=False), Mtu(name, 1500)]
        nics[name] = Nic(name, f"02:00:00:00:00:{number:02x}", mtu_min=mtu_min, mtu_max=mtu_max)
    return Observed(facts=facts_by_key(facts), nics=MappingProxyType(nics))


class FakeNetwork:
    """Implements `NetworkAdapter`. `actions` counts the changes that were requested."""

    def __init__(self, observed: Observed, faults: Faults = NO_FAULTS) -> None:
        self._live = Prediction(observed)
        self.faults = faults
        self.actions = 0

    def observe(self) -> Observed:
        """Return one look, without the parts that are unknown. Raises ObservationError if everything is unknown."""
        look = self._live.observed()
        unknown = self.faults.unknown
        if any(scope.scope == () for scope in unknown):
            raise ObservationError(unknown[0].why)
        if not unknown:
            return look
        facts = {key: fact for key, fact in look.facts.items() if not any(scope.covers(key) for scope in unknown)}
        owners = {key: owner for key, owner in look.owners.items() if key in facts}
        return replace(look, facts=MappingProxyType(facts), owners=owners, unknown=(*look.unknown, *unknown))

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """Return a look at these keys only. Raises ObservationError for a key that is unknown."""
        for scope in self.faults.unknown:
            if any(scope.covers(key) for key in keys):
                raise ObservationError(scope.why)
        return {key: self._live.facts.get(key) for key in keys}

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """Make one change. Raises PerformError if the kernel refuses, Cut if the process dies here."""
        self.actions += 1
        for name in self.faults.vanish_before.get(self.actions, ()):
            self.vanish(name)
        if self.actions == self.faults.cut_before:
            raise Cut
        self._perform(before, after)
        if self.actions == self.faults.cut_after:
            raise Cut

    def by_hand(self, before: Fact | None, after: Fact | None) -> None:
        """Make the same change as a person would: it carries no stamp. Raises PerformError."""
        self._perform(before, after)
        if after is not None and not isinstance(after, Mark):
            self._live.owners.pop(_as_kept(after).key, None)
        if before is None and isinstance(after, Link):
            mark = self._live.facts.get(("mark", after.name))
            if mark is not None:
                self._live.perform(mark, None)

    def vanish(self, name: str) -> None:
        """Unplug a NIC, or remove a link as another process would."""
        link = self._live.facts.get(("link", name))
        if link is not None:
            self._live.perform(link, None)

    def _perform(self, before: Fact | None, after: Fact | None) -> None:
        fact = after if after is not None else before
        assert fact is not None, "a change of nothing"
        if fact.key in self.faults.refuse:
            raise PerformError(self.faults.refuse[fact.key], where=fact.key[-1])
        if after is None:
            if self._refusal_to_remove(fact):
                raise PerformError(self._refusal_to_remove(fact), where=fact.key[-1])
            held = self._live.facts.get(fact.key)
            if held is not None:
                self._live.perform(held, None)
            return
        after = _as_kept(after)
        held = self._live.facts.get(after.key)
        if held == after or (before is None and _same_route(held, after)):
            return
        why = self._refusal(before, after)
        if why:
            raise PerformError(f"refused: {why}", where=after.key[-1])
        self._live.perform(held, after)

    # Refusals by the kernel, or by hagit itself: each returns a reason, or an empty string.

    def _refusal_to_remove(self, fact: Fact) -> str:
        held = self._live.facts.get(fact.key)
        match fact:
            case Link():
                same = not isinstance(held, Link) or held.kind is fact.kind
                return "" if same and (held is None or fact.kind is not LinkKind.PHYSICAL) else "not hagit's to remove"
            case Port(master=master):
                moved = isinstance(held, Port) and held.master != master and ("link", master) in self._live.facts
                return "it has another master now" if moved else ""
            case Power() | Mtu() | Hostname():
                return "this can be changed, not removed"
            case _:
                return ""

    def _refusal(self, before: Fact | None, after: Fact) -> str:
        match after:
            case Link():
                return self._refuse_link(before, after)
            case Port():
                return self._refuse_port(after)
            case Power(link=link) | Mtu(link=link) | Mark(link=link) | Address(link=link) if not self._is_there(link):
                return "No such device"
            case Mtu():
                return self._refuse_mtu(after)
            case Mark(text=text):
                return "an alias this long" if len(text.encode()) > MARK_LENGTH_MAX else ""
            case Address():
                return self._refuse_address(before, after)
            case Route():
                return self._refuse_route(before, after)
            case Power():
                return self._refuse_power(after)
            case HostSetting():
                return ""
            case Pool() | PoolProperty() | Dataset() | Property():
                raise AssertionError("pools are no part of a network")
            case other:
                assert_never(other)

    def _is_there(self, link: str) -> bool:
        return ("link", link) in self._live.facts

    def _refuse_link(self, before: Fact | None, link: Link) -> str:
        held = self._live.facts.get(link.key)
        if link.kind is LinkKind.PHYSICAL:
            return "hagit makes no NIC"
        if before is None and held is not None:
            return "File exists"
        if before is not None:
            if not isinstance(held, Link):
                return "No such device"
            same = (held.kind, held.parent, held.vlan_id) == (link.kind, link.parent, link.vlan_id)
            return self._refuse_options(held, link) if same else "this change needs the link to be made anew"
        if not 0 < len(link.name.encode()) <= NAME_LENGTH_MAX:
            return "Numerical result out of range"
        if link.kind is LinkKind.VLAN:
            if link.parent is None or not self._is_there(link.parent):
                return "No such device"
            siblings = (self._live.facts.get(("link", name)) for name in self._live.vlans(link.parent))
            if any(isinstance(sibling, Link) and sibling.vlan_id == link.vlan_id for sibling in siblings):
                return "VLAN device already exists"
        return ""

    def _refuse_options(self, held: Link, link: Link) -> str:
        """Refuse options of a bond that cannot change while it is in use (Linux, bond_options.c)."""
        if held.bond is None or link.bond is None:
            return ""
        up, ports = self._live.is_up(link.name), self._live.ports(link.name)
        if held.bond.mode is not link.bond.mode and (up or ports):
            return "unable to set option because the bond " + ("is up" if up else "has ports")
        if held.bond.lacp_rate is not link.bond.lacp_rate and up:
            return "unable to set option because the bond is up"
        return ""

    def _refuse_port(self, port: Port) -> str:
        if not self._is_there(port.link) or not self._is_there(port.master):
            return "No such device"
        kind = self._live.link_kind(port.master)
        if kind not in (LinkKind.BOND, LinkKind.BRIDGE):
            return "Operation not supported"
        if port.link == port.master or port.link in self._below(port.master, set()):
            return "Too many levels of symbolic links"
        same = self._live.link_kind(port.link) is kind
        return "Too many levels of symbolic links" if same and kind is LinkKind.BRIDGE else ""

    def _below(self, link: str, seen: set[str]) -> set[str]:
        """Return the links below `link`: its ports and its parent, and theirs."""
        fact = self._live.facts.get(("link", link))
        parents = [fact.parent] if isinstance(fact, Link) and fact.parent else []
        for name in (*self._live.ports(link), *parents):
            if name not in seen:
                seen.add(name)
                self._below(name, seen)
        return seen

    def _refuse_power(self, power: Power) -> str:
        link = self._live.facts.get(("link", power.link))
        if not power.up or not isinstance(link, Link) or link.parent is None:
            return ""
        return "" if self._live.is_up(link.parent) else "Network is down"

    def _refuse_mtu(self, mtu: Mtu) -> str:
        nic = self._live.nics.get(mtu.link)
        if nic is not None and (mtu.size < nic.mtu_min or (nic.mtu_max and mtu.size > nic.mtu_max)):
            return "mtu outside of the device's limits"
        link = self._live.facts.get(("link", mtu.link))
        if isinstance(link, Link) and link.parent is not None and mtu.size > (self._live.mtu(link.parent) or mtu.size):
            return "Numerical result out of range"
        return ""

    def _refuse_address(self, before: Fact | None, address: Address) -> str:
        if before is None and self._live.facts.get(address.key, address) != address:
            return "File exists"
        if not is_ipv6(address.address):
            return ""
        nic = self._live.nics.get(address.link)
        if nic is not None and not nic.ipv6:
            return "IPv6 is disabled on this device"
        if (self._live.mtu(address.link) or IPV6_MTU_MIN) < IPV6_MTU_MIN:
            return "IPv6 is disabled on this device"
        same = ip_interface(address.address).ip
        for fact in self._live.on(address.link):
            if isinstance(fact, Address) and ip_interface(fact.address).ip == same and fact.key != address.key:
                return "address already assigned"
        return ""

    def _refuse_route(self, before: Fact | None, route: Route) -> str:
        if route.key in self._live.facts and before is None:
            return "File exists"
        ipv6 = is_ipv6(route.destination)
        if not ipv6 and str(ip_network(route.destination, strict=False)) != route.destination:
            return "Invalid argument"
        if route.link is not None:
            if not self._is_there(route.link):
                return "No such device"
            if not self._live.is_up(route.link):
                return "Network is down"
            if ipv6 and (self._live.mtu(route.link) or IPV6_MTU_MIN) < IPV6_MTU_MIN:
                return "No such device"
        elif route.gateway is None:
            return "No such device"
        if route.gateway is None:
            return ""
        if self._live.link_towards(route.gateway, route.link) is None:
            return "Nexthop has invalid gateway"
        # IPv4 rejects its own address as a gateway, IPv6 does not.
        return "Gateway can not be a local address" if ipv6 and self._is_own(route.gateway) else ""

    def _is_own(self, gateway: str) -> bool:
        same = ip_address(gateway)
        addresses: Iterable[Address] = (fact for fact in self._live.facts.values() if isinstance(fact, Address))
        return any(ip_interface(fact.address).ip == same for fact in addresses)


def _as_kept(fact: Fact) -> Fact:
    """Return a fact in the form in which the kernel reports it."""
    if isinstance(fact, Route) and is_ipv6(fact.destination) and fact.metric == 0:
        return replace(fact, metric=IPV6_METRIC)
    return fact


def _same_route(held: Fact | None, asked: Fact) -> bool:
    """Whether an existing route is the requested one; a request that names no link matches any link."""
    if not isinstance(held, Route) or not isinstance(asked, Route):
        return False
    return held.gateway == asked.gateway and asked.link in (None, held.link)
