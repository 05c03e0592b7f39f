"""Reading: a whole look at links, addresses and routes, and a narrow one at a few keys.

Decides what is Unknown: a part that cannot be read, never an absence. The narrow look costs the same however large
the controller is, except for a route that is not there, which has to be sought in the whole table. Does not know
hostname, resolver and managers.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from reconciler.core.facts.fact import Address, Fact, Key, LinkKind
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Nic, Unknown
from reconciler.errors import ObservationError
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import (
    FAMILIES,
    AddressRecord,
    addresses_request,
    family_of,
    raw_form,
    read_address,
)
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.netlink.links import (
    ALL_LINKS,
    LinkRecord,
    link_at,
    link_facts,
    link_owners,
    one_link,
    plain_facts,
    read_link,
)
from reconciler.system.netlink.routes import (
    RouteRecord,
    destination_attribute,
    joined,
    link_of,
    match_request,
    read_route,
    routes_request,
)

_LINK_PARTS = ("link", "port", "power", "mtu", "mark")
_PLAIN_PARTS = ("power", "mtu", "mark")
_PROBLEMS = (KernelRefused, Unreadable, wire.MalformedMessage)


@dataclass(slots=True)
class NetworkLook:
    """What has been read so far. `names` holds every link by its index, `loopback` those left out."""

    facts: dict[Key, Fact] = field(default_factory=dict)
    owners: dict[Key, Owner] = field(default_factory=dict)
    nics: dict[str, Nic] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    loopback: set[int] = field(default_factory=set)

    def lost(self, part: str, problem: Exception) -> None:
        """Nothing may be concluded about one kind of fact."""
        self.unknown.append(Unknown((part,), str(problem)))
        for key in [key for key in self.facts if key[0] == part]:
            del self.facts[key]


def look_at_all(channel: NetlinkChannel) -> NetworkLook:
    """Links, addresses and routes. What cannot be read is Unknown."""
    look = NetworkLook()
    try:
        records = [read_link(payload) for payload in channel.dump(wire.GET_LINK, ALL_LINKS)]
    except _PROBLEMS as problem:
        # Addresses and routes name links by index only, so without links they say nothing.
        look.unknown += [Unknown((part,), str(problem)) for part in (*_LINK_PARTS, "address", "route")]
        return look
    _take_links(look, records)
    try:
        _take_addresses(look, channel)
    except _PROBLEMS as problem:
        look.lost("address", problem)
    try:
        _take_routes(look, channel)
    except _PROBLEMS as problem:
        look.lost("route", problem)
    return look


def _take_links(look: NetworkLook, records: list[LinkRecord]) -> None:
    look.names = {record.index: record.name for record in records}
    look.loopback = {record.index for record in records if record.loopback}
    aliases = {record.index: record.alias for record in records if record.alias}
    for record in records:
        if record.loopback:
            continue
        look.nics[record.name] = record.nic
        for fact in link_facts(record, look.names):
            if isinstance(fact, Unknown):
                look.unknown.append(fact)
            else:
                look.facts[fact.key] = fact
        look.owners.update(link_owners(record, aliases))


def _take_addresses(look: NetworkLook, channel: NetlinkChannel) -> None:
    names, facts, owners = look.names, look.facts, look.owners
    for family in FAMILIES:
        for payload in _dump(channel, wire.GET_ADDRESS, addresses_request(family)):
            record = read_address(payload)
            name = names.get(record.index)
            # A link that came after the links were read is left to the next look.
            if name is None or record.index in look.loopback:
                continue
            fact = record.fact(name)
            key = fact.key
            if key in facts and fact.traits:
                continue  # the kernel may list an address once more with a peer; the plain one is what hagit is about
            facts[key] = fact
            if record.owner is not Owner.FOREIGN:
                owners[key] = record.owner


def _take_routes(look: NetworkLook, channel: NetlinkChannel) -> None:
    unclear: dict[Key, str] = {}
    found: dict[Key, RouteRecord] = {}
    for family in FAMILIES:
        for payload in _dump(channel, wire.GET_ROUTE, routes_request(family)):
            record = read_route(payload, look.names)
            if record is None:
                continue
            key = record.key
            found[key] = record if key not in found else joined(found[key], record)
            if record.why_unknown:
                unclear[key] = record.why_unknown
    for key, record in found.items():
        look.facts[key] = record.route
        if record.owner is not Owner.FOREIGN:
            look.owners[key] = record.owner
    for key, why in unclear.items():
        look.facts.pop(key, None)
        look.owners.pop(key, None)
        look.unknown.append(Unknown(key, why))


def _dump(channel: NetlinkChannel, kind: int, body: bytes) -> list[bytes]:
    """A table; empty where the kernel has no such family or table at all."""
    try:
        return channel.dump(kind, body)
    except KernelRefused as problem:
        if problem.code in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.ENOENT):
            return []
        raise


class NarrowLook:
    """Looks at a few keys after a change."""

    def __init__(self, channel: NetlinkChannel) -> None:
        self._channel = channel

    def at(self, keys: Collection[Key]) -> dict[Key, Fact | None]:
        """The fact for each key, None where there is none. Raises ObservationError where that cannot be said."""
        answers: dict[Key, Fact | None] = {}
        try:
            for name in {key[1] for key in keys if key[0] in _LINK_PARTS}:
                wanted = [key for key in keys if key[0] in _LINK_PARTS and key[1] == name]
                plain = all(key[0] in _PLAIN_PARTS for key in wanted)
                facts = self._plain_facts(name) if plain else self._link_facts(name)
                answers |= {key: facts.get(key) for key in wanted}
            wanted = [key for key in keys if key[0] == "address"]
            for name, family in {(key[1], family_of(key[2])) for key in wanted}:
                held: dict[Key, Address] = {}
                for record in self.addresses(name, (family,)):
                    fact = record.fact(name)
                    if fact.key not in held or not fact.traits:
                        held[fact.key] = fact
                for key in wanted:
                    if key[1] == name and family_of(key[2]) == family:
                        answers[key] = held.get(key)
            for key in keys:
                if key[0] == "route":
                    found = self.route(key[1], int(key[2]))
                    answers[key] = None if found is None else found.route
        except (*_PROBLEMS, ValueError) as problem:
            raise ObservationError(f"cannot look again after a change: {problem}") from problem
        return answers

    def link(self, name: str) -> LinkRecord | None:
        """One link by its name, None when there is none."""
        if not 0 < len(name.encode()) < 16:
            return None
        try:
            record = read_link(self._channel.ask(wire.GET_LINK, one_link(name)))
        except KernelRefused as problem:
            if problem.code == errno.ENODEV:
                return None
            raise
        # The kernel also finds a link by an alternative name; that is another name's answer.
        return record if record.name == name else None

    def _plain_facts(self, name: str) -> dict[Key, Fact]:
        """What a link message says in one field: no other link need be asked."""
        record = self.link(name)
        if record is None or record.loopback:
            return {}
        return {fact.key: fact for fact in plain_facts(record)}

    def _link_facts(self, name: str) -> dict[Key, Fact]:
        record = self.link(name)
        if record is None or record.loopback:
            return {}
        # Other links have a parent as well (the far end of a veth), but no fact tells it.
        parent = record.parent if record.kind is LinkKind.VLAN else 0
        names = {index: self._name_of(index) for index in (record.master, parent) if index}
        facts = {}
        for fact in link_facts(record, names):
            if isinstance(fact, Unknown):
                raise Unreadable(fact.why)
            facts[fact.key] = fact
        return facts

    def _name_of(self, index: int) -> str:
        payload = self._channel.ask(wire.GET_LINK, link_at(index))
        return wire.text_of(wire.attributes(payload, wire.LINK_HEADER.size).get(wire.IFLA_IFNAME))

    def addresses(self, name: str, families: Sequence[int] = FAMILIES) -> list[AddressRecord]:
        """The addresses of one link; none when there is no such link."""
        try:
            index = self._channel.index_of(name)
            payloads = [
                p for f in families for p in _dump(self._channel, wire.GET_ADDRESS, addresses_request(f, index))
            ]
        except KernelRefused as problem:
            if problem.code == errno.ENODEV:
                return []
            raise
        # A kernel without strict checking answers with every link's.
        return [record for record in map(read_address, payloads) if record.index == index]

    def route(self, destination: str, metric: int) -> RouteRecord | None:
        """One route by its destination and metric, None when there is none. Raises Unreadable when it is Unknown."""
        record = self._matched(destination, metric) or self._sought(destination, metric)
        if record is not None and record.why_unknown:
            raise Unreadable(record.why_unknown)
        return record

    def _matched(self, destination: str, metric: int) -> RouteRecord | None:
        """The route that a packet would take, when it is the one in question: costs the same in any table."""
        try:
            payload = self._channel.ask(wire.GET_ROUTE, match_request(destination))
        except KernelRefused:
            return None
        return self._read(payload, destination, metric)

    def _sought(self, destination: str, metric: int) -> RouteRecord | None:
        """The route among all of its family. Most messages are passed over by their bytes, unread."""
        family = raw_form(destination)[0]
        prefix, needle = destination_attribute(destination)
        found: RouteRecord | None = None
        for payload in _dump(self._channel, wire.GET_ROUTE, routes_request(family)):
            if payload[1] == prefix and needle in payload:
                record = self._read(payload, destination, metric)
                if record is not None:
                    found = record if found is None else joined(found, record)
        return found

    def _read(self, payload: bytes, destination: str, metric: int) -> RouteRecord | None:
        index = link_of(payload)
        record = read_route(payload, {index: self._name_of(index)} if index else {})
        return record if record and record.key == ("route", destination, str(metric)) else None
