"""The bytes of rtnetlink(7): headers, attributes and the numbers that this adapter uses, without any socket.

Decides nothing about meaning. Every length read from a message is checked against the bytes that are there; a message
that contradicts itself raises `MalformedMessage`. Numbers come from linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h.
Host byte order everywhere, as netlink(7) has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

# Message types. A dump of GET answers with NEW, which is two less.
ERROR: Final = 2
DONE: Final = 3
NEW_LINK, DEL_LINK, GET_LINK, SET_LINK = 16, 17, 18, 19
NEW_ADDRESS, DEL_ADDRESS, GET_ADDRESS = 20, 21, 22
NEW_ROUTE, DEL_ROUTE, GET_ROUTE = 24, 25, 26

# Header flags.
REQUEST, ACK, DUMP_INTERRUPTED = 0x1, 0x4, 0x10
DUMP: Final = 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
ACK_HAS_ATTRIBUTES: Final = 0x200

# Attributes of ifinfomsg.
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_EXT_MASK = 18, 20, 26, 29
IFLA_CARRIER, IFLA_LINK_NETNSID, IFLA_MIN_MTU, IFLA_MAX_MTU = 33, 37, 50, 51
IFLA_PROP_LIST, IFLA_ALT_IFNAME = 52, 53
IFLA_PERM_ADDRESS, IFLA_PARENT_DEV_NAME, IFLA_PARENT_DEV_BUS_NAME = 54, 56, 57
INET6_CONF: Final = 2  # IFLA_INET6_CONF, inside AF_INET6 of IFLA_AF_SPEC
DISABLE_IPV6: Final = 26  # DEVCONF_DISABLE_IPV6, the place in that array (linux/ipv6.h)
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
BOND_MODE, BOND_MIIMON, BOND_HASH_POLICY, BOND_LACP_RATE = 1, 3, 14, 21
BOND_SLAVE_PERM_ADDRESS: Final = 4
VLAN_ID: Final = 1
BRIDGE_STP_STATE: Final = 5
SKIP_STATISTICS: Final = 8  # RTEXT_FILTER_SKIP_STATS
IFF_UP, IFF_LOOPBACK = 0x1, 0x8
INET_CONF: Final = 1  # IFLA_INET_CONF, inside AF_INET of IFLA_AF_SPEC
PROMOTE_SECONDARIES: Final = 20  # IPV4_DEVCONF_PROMOTE_SECONDARIES

# Attributes of ifaddrmsg.
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 2, 4, 6, 8, 11
IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_NOPREFIXROUTE = 0x08, 0x20, 0x200
FOREVER: Final = 0xFFFFFFFF  # INFINITY_LIFE_TIME

# Attributes and values of rtmsg.
RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH = 1, 2, 4, 5, 6, 7, 9
RTA_CACHEINFO, RTA_TABLE, RTA_VIA = 12, 15, 18
MAIN_TABLE: Final = 254
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_NOWHERE = 0, 253, 255
UNICAST: Final = 1
#: Types that take packets to a place and send them nowhere (RTN_BLACKHOLE and the like).
SPECIAL_TYPES: Final = {6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
KERNEL_ROUTE: Final = 2  # RTPROT_KERNEL
CLONED, LOOKUP_TABLE, FIB_MATCH = 0x200, 0x1000, 0x2000

HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
LINK_HEADER: Final = struct.Struct("=BxHiII")  # family, type, index, flags, change
ADDRESS_HEADER: Final = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
ROUTE_HEADER: Final = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, protocol, scope, type, flags
ATTRIBUTE: Final = struct.Struct("=HH")  # length with this header, type
CACHE_INFO: Final = struct.Struct("=II")  # the first of ifa_cacheinfo: preferred and valid seconds
ROUTE_CACHE_INFO: Final = struct.Struct("=IIi")  # the first of rta_cacheinfo; the third is when it expires
NEXT_HOP: Final = struct.Struct("=HBBi")  # rtnexthop: length, flags, hops, link
U8, U16, U32, S32 = struct.Struct("=B"), struct.Struct("=H"), struct.Struct("=I"), struct.Struct("=i")
TYPE_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


class MalformedMessage(Exception):
    """A length inside a netlink message does not fit the bytes that came."""


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = len(value) + 4
    return ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length & 3)


def number(kind: int, value: int) -> bytes:
    """One attribute that holds an unsigned 32-bit number."""
    return ATTRIBUTE.pack(8, kind) + U32.pack(value)


def text(kind: int, value: str) -> bytes:
    """One attribute that holds a zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from `offset` to the end of `data`, by type; the last of a type wins."""
    found: dict[int, bytes] = {}
    end = len(data)
    unpack = ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if length < 4 or offset + length > end:
            raise MalformedMessage(f"attribute of {length} bytes with {end - offset} left")
        found[kind & TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence and payload of each message in one datagram."""
    offset, end = 0, len(data)
    while offset < end:
        if offset + 16 > end:
            raise MalformedMessage(f"{end - offset} bytes are no message header")
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < 16 or offset + length > end:
            raise MalformedMessage(f"message of {length} bytes with {end - offset} left")
        yield kind, flags, sequence, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def header(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    """The fixed part of a payload."""
    if len(payload) < layout.size:
        raise MalformedMessage(f"payload of {len(payload)} bytes, {layout.size} expected")
    return layout.unpack_from(payload)


def all_of(data: bytes, kind: int) -> list[bytes]:
    """Every attribute of one type, in order: of a list that repeats it."""
    found, offset, end = [], 0, len(data)
    while offset + 4 <= end:
        length, this = ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            raise MalformedMessage(f"attribute of {length} bytes with {end - offset} left")
        if this & TYPE_MASK == kind:
            found.append(data[offset + 4 : offset + length])
        offset += (length + 3) & ~3
    return found


def value_of(layout: struct.Struct, data: bytes | None, default: int = 0) -> int:
    """A number out of an attribute; the default when it is absent."""
    if data is None:
        return default
    if len(data) < layout.size:
        raise MalformedMessage(f"number of {len(data)} bytes, {layout.size} expected")
    value: int = layout.unpack_from(data)[0]
    return value


def text_of(data: bytes | None) -> str:
    """A string out of an attribute, empty when it is absent. Bytes that are not UTF-8 are shown escaped."""
    return "" if data is None else data.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
