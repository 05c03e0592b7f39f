"""Route messages read into facts, and facts packed into route messages.

Decides what sets a route of the main table apart from one that hagit makes: its type, several next hops, a preferred
source, an end, a type of service, a source prefix. Such a route has traits; only one that leaves by an unknown link is
Unknown. Routes that the kernel derives from addresses are left out. Does not know whether a route is wanted. See
rtnetlink(7), ip-route(8).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.facts.fact import BESIDE, EXPIRES, Key, Route
from reconciler.core.facts.ownership import AGENT_PROTOCOL, Owner, route_owner
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import raw_form, text_form

_ANYWHERE: Final = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """What one route message says; `why_unknown` is set where its link cannot be named."""

    route: Route
    owner: Owner
    why_unknown: str = ""

    @property
    def key(self) -> Key:
        """The question this record answers."""
        return self.route.key


def routes_request(family: int) -> bytes:
    """The request for the routes of the main table, whatever their type."""
    fixed = wire.ROUTE_HEADER.pack(family, 0, 0, 0, wire.MAIN_TABLE, 0, 0, 0, 0)
    return fixed + wire.number(wire.RTA_TABLE, wire.MAIN_TABLE)


def match_request(destination: str) -> bytes:
    """The request for the route that the first address of `destination` takes, as the table holds it."""
    family, raw, _ = raw_form(destination)
    flags = wire.LOOKUP_TABLE | wire.FIB_MATCH
    return wire.ROUTE_HEADER.pack(family, len(raw) * 8, 0, 0, 0, 0, 0, 0, flags) + wire.attribute(wire.RTA_DST, raw)


def read_route(payload: bytes, names: Mapping[int, str]) -> RouteRecord | None:
    """One RTM_NEWROUTE payload; None for what is no static route of the main table. Raises MalformedMessage.

    `names` holds every link by index.
    """
    family, prefix, source, tos, table, protocol, _, kind, flags = wire.header(wire.ROUTE_HEADER, payload)
    if kind != wire.UNICAST and kind not in wire.SPECIAL_TYPES:
        return None
    if protocol == wire.KERNEL_ROUTE or flags & wire.CLONED or family not in _ANYWHERE:
        return None
    found = wire.attributes(payload, wire.ROUTE_HEADER.size)
    if wire.value_of(wire.U32, found.get(wire.RTA_TABLE), table) != wire.MAIN_TABLE:
        return None
    raw = found.get(wire.RTA_DST)
    destination = f"{text_form(raw)}/{prefix}" if raw else _ANYWHERE[socket.AddressFamily(family)]
    special = wire.SPECIAL_TYPES.get(kind)
    hops = _next_hops(found[wire.RTA_MULTIPATH]) if wire.RTA_MULTIPATH in found else ()
    # IPv6 shows the loopback as the link of a route that leads nowhere.
    index = 0 if special else link_of(payload)
    gateway = b"" if hops else found.get(wire.RTA_GATEWAY) or found.get(wire.RTA_VIA, b"")[2:]
    traits = [special] if special else []
    if hops:
        traits.append(f"{len(hops)} next hops")
    if preferred := found.get(wire.RTA_PREFSRC):
        traits.append(f"src {text_form(preferred)}")
    if wire.RTA_CACHEINFO in found and wire.header(wire.ROUTE_CACHE_INFO, found[wire.RTA_CACHEINFO])[2]:
        traits.append(EXPIRES)
    if tos:
        traits.append(f"tos 0x{tos:02x}")
    if source:
        traits.append(f"from {text_form(found[wire.RTA_SRC]) if wire.RTA_SRC in found else '?'}/{source}")
    route = Route(
        destination=destination,
        gateway=text_form(gateway) if gateway else None,
        link=names.get(index),
        metric=wire.value_of(wire.U32, found.get(wire.RTA_PRIORITY)),
        traits=tuple(traits),
    )
    lost = bool(index) and route.link is None
    why = f"this route leaves by index {index}, which no link here has" if lost else ""
    return RouteRecord(route, _owner(route, protocol), why)


def joined(one: RouteRecord, other: RouteRecord) -> RouteRecord:
    """Two routes that answer to one destination and metric (`ip route append`) as one record without an owner."""
    count = 2
    for trait in one.route.traits:
        words = trait.split(" ")
        count = int(words[0]) + 1 if words[1:] == ["routes"] else count
    beside = tuple(trait for trait in one.route.traits if trait.startswith(BESIDE))
    route = replace(one.route, gateway=None, traits=(f"{count} routes", *beside))
    return RouteRecord(route, Owner.FOREIGN, one.why_unknown or other.why_unknown)


def link_of(payload: bytes) -> int:
    """The index of the link that a route message names first, 0 where it names none. Raises MalformedMessage."""
    found = wire.attributes(payload, wire.ROUTE_HEADER.size)
    hops = _next_hops(found[wire.RTA_MULTIPATH]) if wire.RTA_MULTIPATH in found else ()
    return hops[0] if hops else wire.value_of(wire.U32, found.get(wire.RTA_OIF))


def _next_hops(data: bytes) -> tuple[int, ...]:
    """The link of each next hop, by index."""
    links, offset = [], 0
    while offset + wire.NEXT_HOP.size <= len(data):
        length, _, _, index = wire.NEXT_HOP.unpack_from(data, offset)
        if length < wire.NEXT_HOP.size or offset + length > len(data):
            raise wire.MalformedMessage(f"next hop of {length} bytes with {len(data) - offset} left")
        links.append(index)
        offset += (length + 3) & ~3
    return tuple(links)


def _owner(route: Route, protocol: int) -> Owner:
    """Who made a route. Hagit makes none with traits: one that carries its stamp was changed by another program."""
    owner = route_owner(protocol)
    return Owner.FOREIGN if route.traits and owner is Owner.AGENT else owner


def route_message(route: Route, index: int, *, remove: bool = False) -> bytes:
    """The message that adds (stamped as the agent's), replaces or removes a route; the kernel finds link 0 itself."""
    family, raw, prefix = raw_form(route.destination)
    scope = wire.SCOPE_UNIVERSE
    if remove:
        scope = wire.SCOPE_NOWHERE
    elif route.gateway is None and family == socket.AF_INET:
        scope = wire.SCOPE_LINK
    protocol, kind = (0, 0) if remove else (AGENT_PROTOCOL, wire.UNICAST)
    body = wire.ROUTE_HEADER.pack(family, prefix, 0, 0, wire.MAIN_TABLE, protocol, scope, kind, 0)
    if prefix:
        body += wire.attribute(wire.RTA_DST, raw)
    if route.gateway is not None:
        via_family, via, _ = raw_form(f"{route.gateway}/0")
        if via_family == family:
            body += wire.attribute(wire.RTA_GATEWAY, via)
        else:
            body += wire.attribute(wire.RTA_VIA, wire.U16.pack(via_family) + via)
    if index:
        body += wire.number(wire.RTA_OIF, index)
    return body + wire.number(wire.RTA_PRIORITY, route.metric)


def destination_attribute(destination: str) -> tuple[int, bytes]:
    """Prefix length, and the bytes that every dumped route to `destination` contains, to search a dump quickly."""
    _, raw, prefix = raw_form(destination)
    return prefix, wire.attribute(wire.RTA_DST, raw) if prefix else b""
