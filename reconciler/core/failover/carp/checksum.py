"""The Internet checksum of IPv4, ICMP, ICMPv6 and CARP (RFC 1071).

Does not know pseudo-headers: a caller that needs one prepends it to the bytes.
"""

from __future__ import annotations

import struct


def checksum(data: bytes) -> int:
    """Return the 16-bit checksum; 0 if the bytes include their right one. An odd length is padded with a zero byte."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
