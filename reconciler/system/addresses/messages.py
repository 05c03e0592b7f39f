"""The rtnetlink(7) messages that place addresses, packed; nothing is sent here.

Decides what an address of the watchdog looks like in the kernel: the prefix of a single host, the watchdog's stamp,
and for IPv6 no duplicate address detection (it would keep the address silent for a second; `duplicates` listens
instead), no prefix route, and a preferred lifetime of zero, so that it is never chosen as source (RFC 6724 rule 3).
See linux/if_addr.h, if_link.h, ip.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Final

from reconciler.core.facts.ownership import WATCHDOG_PROTOCOL
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import raw_form

IFA_CACHEINFO: Final = 6
IFA_FLAGS: Final = 8
NODAD, NO_PREFIX_ROUTE = 0x02, 0x200
_FOR_EVER: Final = 0xFFFFFFFF
MACVLAN_MODE, MACVLAN_PRIVATE = 1, 1
INET6_ADDR_GEN_MODE, GEN_MODE_NONE = 8, 1


def new_address(index: int, address: str) -> bytes:
    """The message that adds `10.0.0.10` or `2001:db8::10` to a link. Raises ValueError for anything else."""
    family, raw, _ = raw_form(f"{address}/0")
    body = (
        wire.ADDRESS_HEADER.pack(family, len(raw) * 8, 0, wire.SCOPE_UNIVERSE, index)
        + wire.attribute(wire.IFA_LOCAL, raw)
        + wire.attribute(wire.IFA_ADDRESS, raw)
        + wire.attribute(wire.IFA_PROTO, bytes([WATCHDOG_PROTOCOL]))
    )
    if family == socket.AF_INET6:
        body += wire.number(IFA_FLAGS, NODAD | NO_PREFIX_ROUTE)
        body += wire.attribute(IFA_CACHEINFO, struct.pack("=IIII", 0, _FOR_EVER, 0, 0))
    return body


def route(index: int, network: str, metric: int, *, remove: bool = False) -> bytes:
    """The message that adds or removes a stamped route to a network that is on the link."""
    family, raw, prefix = raw_form(network)
    scope = wire.SCOPE_LINK if family == socket.AF_INET else wire.SCOPE_UNIVERSE
    scope = wire.SCOPE_NOWHERE if remove else scope
    return (
        wire.ROUTE_HEADER.pack(
            family, prefix, 0, 0, wire.MAIN_TABLE, WATCHDOG_PROTOCOL, scope, 0 if remove else wire.UNICAST, 0
        )
        + wire.attribute(wire.RTA_DST, raw)
        + wire.number(wire.RTA_OIF, index)
        + wire.number(wire.RTA_PRIORITY, metric)
    )


def new_macvlan(parent: int, name: str, mac: str) -> bytes:
    """The message that makes a macvlan over `parent`, still down."""
    mode = wire.number(MACVLAN_MODE, MACVLAN_PRIVATE)
    kind = wire.attribute(wire.INFO_KIND, b"macvlan") + wire.attribute(wire.INFO_DATA, mode)
    return (
        wire.LINK_HEADER.pack(0, 0, 0, 0, 0)
        + wire.text(wire.IFLA_IFNAME, name)
        + wire.number(wire.IFLA_LINK, parent)
        + wire.attribute(wire.IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
        + wire.attribute(wire.IFLA_LINKINFO, kind)
    )


def link_alias(index: int, alias: str) -> bytes:
    """The message that writes the alias of a link."""
    return wire.LINK_HEADER.pack(0, 0, index, 0, 0) + wire.attribute(wire.IFLA_IFALIAS, alias.encode())


def link_up(index: int) -> bytes:
    """The message that raises a link."""
    return wire.LINK_HEADER.pack(0, 0, index, wire.IFF_UP, wire.IFF_UP)


def no_link(index: int) -> bytes:
    """The message that removes a link."""
    return wire.LINK_HEADER.pack(0, 0, index, 0, 0)


def ipv4_settings(index: int, settings: Mapping[int, int]) -> bytes:
    """The message that sets net.ipv4.conf values of one link, by index and so whatever its name is by now."""
    numbers = b"".join(wire.number(position, value & 0xFFFFFFFF) for position, value in settings.items())
    family = wire.attribute(socket.AF_INET, wire.attribute(wire.INET_CONF, numbers))
    return wire.LINK_HEADER.pack(0, 0, index, 0, 0) + wire.attribute(wire.IFLA_AF_SPEC, family)


def no_own_ipv6_address(index: int) -> bytes:
    """The message after which the kernel gives a link no link-local address: both controllers would have the same."""
    mode = wire.attribute(INET6_ADDR_GEN_MODE, bytes([GEN_MODE_NONE]))
    family = wire.attribute(socket.AF_INET6, mode)
    return wire.LINK_HEADER.pack(0, 0, index, 0, 0) + wire.attribute(wire.IFLA_AF_SPEC, family)
