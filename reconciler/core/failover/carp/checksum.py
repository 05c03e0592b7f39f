"""The Internet checksum, which IPv4, ICMP, ICMPv6 and CARP share (RFC 1071).

Decides nothing. Does not know pseudo-headers: whoever needs one puts it before the bytes.
"""

from __future__ import annotations

import struct


def checksum(data: bytes) -> int:
    """16 bits over all bytes, an odd last one filled up with zero; 0 for bytes that hold their own right checksum."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
