"""ARP and neighbour discovery packets in whole Ethernet frames, packed and read; nothing is sent here.

Decides the forms that move a neighbour's cache at once: for IPv4 both gratuitous forms, as some systems take only one
(RFC 5227 section 3), for IPv6 an unsolicited neighbour advertisement with the override flag (RFC 4861 section 7.2.6)
from the address itself, as Linux sends it. Bytes that are no such packet read as None.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from reconciler.core.failover.carp.checksum import checksum

ETHERTYPE_ARP, ETHERTYPE_IPV6 = 0x0806, 0x86DD
ARP_REQUEST, ARP_REPLY = 1, 2
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 135, 136
_EVERYBODY: Final = b"\xff" * 6
_ALL_NODES_MAC: Final = b"\x33\x33\0\0\0\1"
_ALL_NODES: Final = socket.inet_pton(socket.AF_INET6, "ff02::1")
_SOLICITED_NODE: Final = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13]
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_ARP_FIXED: Final = (1, 0x0800, 6, 4)  # Ethernet, IPv4, and the lengths of their addresses
_OVERRIDE: Final = 0x2000_0000
_TARGET_MAC: Final = 2  # the option that carries it, RFC 4861 section 4.6.1


def raw_mac(mac: str) -> bytes:
    """Six bytes. Raises ValueError."""
    raw = bytes.fromhex(mac.replace(":", ""))
    if len(raw) != 6:
        raise ValueError(f"{mac!r} is no Ethernet address")
    return raw


def announcements(address: str, mac: str) -> tuple[bytes, ...]:
    """The frames that tell everybody on the segment that `address` is at `mac`. Raises ValueError."""
    source = raw_mac(mac)
    if ":" in address:
        return (_advertisement(_raw(socket.AF_INET6, address), source),)
    raw = _raw(socket.AF_INET, address)
    return (
        _arp(source, ARP_REQUEST, raw, b"\0" * 6, raw),
        _arp(source, ARP_REPLY, raw, source, raw),
    )


def probe(address: str, mac: str) -> bytes:
    """The frame that asks whether another machine has `address`, without naming the asker. Raises ValueError.

    An ARP probe (RFC 5227 section 2.1.1) or the solicitation of duplicate address detection (RFC 4862 section 5.4.2).
    """
    source = raw_mac(mac)
    if ":" not in address:
        return _arp(source, ARP_REQUEST, b"\0" * 4, b"\0" * 6, _raw(socket.AF_INET, address))
    raw = _raw(socket.AF_INET6, address)
    group = _SOLICITED_NODE + raw[13:]
    body = struct.pack("!BBHI16s", NEIGHBOUR_SOLICITATION, 0, 0, 0, raw)
    return _icmp(source, b"\x33\x33" + group[12:], b"\0" * 16, group, body)


def _raw(family: int, address: str) -> bytes:
    try:
        return socket.inet_pton(family, address)
    except OSError as problem:
        raise ValueError(f"{address!r} is no address") from problem


def _arp(source: bytes, operation: int, sender: bytes, target_mac: bytes, target: bytes) -> bytes:
    packet = _ARP.pack(*_ARP_FIXED, operation, source, sender, target_mac, target)
    return _EVERYBODY + source + struct.pack("!H", ETHERTYPE_ARP) + packet


def _advertisement(raw: bytes, source: bytes) -> bytes:
    body = struct.pack("!BBHI16sBB6s", NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE, raw, _TARGET_MAC, 1, source)
    return _icmp(source, _ALL_NODES_MAC, raw, _ALL_NODES, body)


def _icmp(source: bytes, destination: bytes, sender: bytes, receiver: bytes, body: bytes) -> bytes:
    """Hop limit 255, as every receiver demands (RFC 4861 section 7.1)."""
    pseudo = sender + receiver + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    fixed = struct.pack("!IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255)
    return destination + source + struct.pack("!H", ETHERTYPE_IPV6) + fixed + sender + receiver + body


def read_arp(packet: bytes) -> tuple[str, str] | None:
    """Address and MAC of who sent an ARP packet (without Ethernet header); None for a probe, which claims nothing."""
    if len(packet) < _ARP.size:
        return None
    *fixed, operation, mac, sender, _, _ = _ARP.unpack_from(packet)
    if tuple(fixed) != _ARP_FIXED or operation not in (ARP_REQUEST, ARP_REPLY) or sender == b"\0" * 4:
        return None
    return socket.inet_ntoa(sender), mac.hex(":")


def read_advertisement(body: bytes) -> tuple[str, str] | None:
    """Address and MAC that a neighbour advertisement (without IPv6 header) tells; None where it tells no MAC."""
    if len(body) < 24 or body[0] != NEIGHBOUR_ADVERTISEMENT or body[1] != 0:
        return None
    offset = 24
    while offset + 8 <= len(body) and body[offset + 1]:
        if body[offset] == _TARGET_MAC:
            return socket.inet_ntop(socket.AF_INET6, body[8:24]), body[offset + 2 : offset + 8].hex(":")
        offset += body[offset + 1] * 8
    return None
