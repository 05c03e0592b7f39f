"""Route messages read into facts, and facts packed into route messages.

Decides which routes of the main table hagit can speak of: unicast, one next hop, no type of service, no source
prefix. A key that has another kind of answer, or two, is Unknown, never absent. Routes that the kernel derives from
addresses are left out. Does not know whether a route is wanted. See rtnetlink(7), ip-route(8).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.core.facts.fact import Key, Route
from reconciler.core.facts.ownership import AGENT_PROTOCOL, Owner, route_owner
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import raw_form, text_form

_ANYWHERE: Final = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """What one route message says; `why_unknown` is set where no Route can say it."""

    route: Route
    owner: Owner
    why_unknown: str = ""

    @property
    def key(self) -> Key:
        """The question this record answers."""
        return self.route.key


def routes_request(family: int) -> bytes:
    """The request for the unicast routes of the main table."""
    fixed = wire.ROUTE_HEADER.pack(family, 0, 0, 0, wire.MAIN_TABLE, 0, 0, wire.UNICAST, 0)
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
    if kind != wire.UNICAST or protocol == wire.KERNEL_ROUTE or flags & wire.CLONED or family not in _ANYWHERE:
        return None
    found = wire.attributes(payload, wire.ROUTE_HEADER.size)
    if wire.value_of(wire.U32, found.get(wire.RTA_TABLE), table) != wire.MAIN_TABLE:
        return None
    raw = found.get(wire.RTA_DST)
    destination = f"{text_form(raw)}/{prefix}" if raw else _ANYWHERE[socket.AddressFamily(family)]
    index = wire.value_of(wire.U32, found.get(wire.RTA_OIF))
    gateway = found.get(wire.RTA_GATEWAY) or found.get(wire.RTA_VIA, b"")[2:]
    route = Route(
        destination=destination,
        gateway=text_form(gateway) if gateway else None,
        link=names.get(index),
        metric=wire.value_of(wire.U32, found.get(wire.RTA_PRIORITY)),
    )
    why = ""
    if wire.RTA_MULTIPATH in found:
        why = "this route has several next hops, which hagit cannot express"
    elif tos or source:
        why = "this route depends on the type of service or the source, which hagit cannot express"
    elif index and route.link is None:
        why = f"this route leaves by index {index}, which no link here has"
    return RouteRecord(route, route_owner(protocol), why)


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
