"""Advertisements of CARP, version 2, as bytes.

Decides which bytes are an advertisement of one virtual host by a sender that knows its password. `monitor` decides
whether it is new and who sent it, `election` what follows from it. Does not know sockets or IP headers.

    offset  bytes  all integers big-endian                  offset  bytes
         0      1  0x21: version 2, type 1                       5      1  advbase, seconds
         1      1  VHID, 1 to 255                                6      2  checksum (RFC 1071) of the 36 bytes
         2      1  advskew, 1/256 seconds                        8      8  counter
         3      1  7: words of 32 bits that follow offset 8     16     20  HMAC-SHA-1
         4      1  demotion (OpenBSD), elsewhere 0

The HMAC (RFC 2104) covers 0x02, 0x01, the VHID, the virtual addresses and the counter. FreeBSD's ip_carp.c takes all
IPv4 addresses of the VHID in rising order, then all its IPv6 addresses in rising order, each once and a link-local one
without its scope. ucarp takes its only address, which is IPv4. Both take the password, padded with zeros to 20 bytes,
as the key, which RFC 2104 pads with zeros anyway. The IPv6 packet is the same; its checksum has no pseudo-header.

A weakness of CARP: the HMAC does not cover advskew, advbase and demotion. The checksum detects accidents. An attacker
who alters these fields can make a sender look better or worse, but cannot raise its counter.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Final

from reconciler.core.failover.carp.checksum import checksum
from reconciler.core.failover.refusal import Refusal, Refused
from reconciler.errors import NodeFileError

VERSION: Final = 2
TYPE: Final = 1
LAYOUT: Final = struct.Struct(">BBBBBBHQ20s")
VRRP_HEADER_BYTES: Final = 8
ADVERTISEMENT_BYTES: Final = LAYOUT.size
AUTHENTICATION_WORDS: Final = 7
COUNTER_MAX: Final = (1 << 64) - 1
BYTE_MAX: Final = 255
#: Pace in the last advertisement of a master that resigns (ip_carp.c, carp_send_ad of an interface that goes down).
LEAVING: Final = (255, 255)
#: FreeBSD takes 20 bytes (CARP_KEY_LEN). ucarp reserves one for a final zero and takes 19.
PASSWORD_BYTES_MAX: Final = 20
#: Largest number of virtual addresses of one interface under one VHID.
ADDRESSES_MAX: Final = 256

assert ADVERTISEMENT_BYTES == 36


@dataclass(frozen=True, slots=True)
class CarpKey:
    """The key of one virtual host's advertisements. Its `repr` does not show the password."""

    vhid: int
    password: bytes = field(repr=False)
    #: The bytes under the HMAC before the counter.
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Advertisement:
    """An advertisement of a master, which sends one every `advbase` + `advskew` / 256 seconds."""

    vhid: int
    advbase: int
    advskew: int
    counter: int
    demotion: int = 0

    @property
    def pace(self) -> tuple[int, int]:
        """The smaller one is the better master."""
        return self.advbase, self.advskew


def carp_key(password: bytes, vhid: int, addresses: Iterable[str]) -> CarpKey:
    """Return the key of one virtual host.

    `addresses`: "10.0.0.10/24", "2001:db8::10", in any order; prefixes do not count. Raises NodeFileError for a
    password that CARP does not allow.
    """
    assert 1 <= vhid <= BYTE_MAX, f"VHID {vhid}"
    if not 1 <= len(password) <= PASSWORD_BYTES_MAX or b"\0" in password:
        raise NodeFileError(
            f"CARP takes a password of 1 to {PASSWORD_BYTES_MAX} bytes without a zero byte; this has {len(password)}",
            remedy="choose a password of 19 characters: all implementations of CARP take that many",
        )
    found = {ip_interface(address).ip for address in addresses}
    assert len(found) <= ADDRESSES_MAX, f"{len(found)} virtual addresses"
    packed = sorted(address.packed for address in found)
    packed.sort(key=len)
    return CarpKey(vhid, password, bytes((VERSION, TYPE, vhid)) + b"".join(packed))


def encode_advertisement(advertisement: Advertisement, key: CarpKey) -> bytes:
    """Return 36 bytes. The advertisement must be of the key's virtual host and within the layout's limits."""
    assert advertisement.vhid == key.vhid, f"VHID {advertisement.vhid}, the key is of {key.vhid}"
    assert 0 <= advertisement.counter <= COUNTER_MAX, f"counter {advertisement.counter}"
    parts = (
        VERSION << 4 | TYPE,
        advertisement.vhid,
        advertisement.advskew,
        AUTHENTICATION_WORDS,
        advertisement.demotion,
        advertisement.advbase,
    )
    counter, seal = advertisement.counter, _seal(key, advertisement.counter)
    return LAYOUT.pack(*parts, checksum(LAYOUT.pack(*parts, 0, counter, seal)), counter, seal)


def is_vrrp(data: bytes) -> bool:
    """Whether this is a VRRP advertisement, version 2 or 3 (RFC 3768 and RFC 9568, section 5.1), and not one of CARP.

    VRRP version 2 begins like CARP. It has the number of addresses in the byte of CARP's authentication length, so the
    length of the packet tells the two apart.
    """
    if len(data) < VRRP_HEADER_BYTES or data[0] & 0xF != TYPE:
        return False
    if data[0] >> 4 == 3:
        return len(data) in (VRRP_HEADER_BYTES + 4 * data[3], VRRP_HEADER_BYTES + 16 * data[3])
    return data[0] >> 4 == 2 and len(data) == 2 * VRRP_HEADER_BYTES + 4 * data[3]


def decode_advertisement(data: bytes, key: CarpKey) -> Advertisement | Refused:
    """Return the advertisement in the payload of an IP packet of protocol 112. Never raises for any bytes.

    VRRP uses the same protocol number and group. Its packets are refused as another version, length or kind.
    """
    if is_vrrp(data) and data[1] == key.vhid:
        return Refused(Refusal.VRRP, f"VRRP version {data[0] >> 4} with our virtual host id {key.vhid}")
    if len(data) != ADVERTISEMENT_BYTES:
        return Refused(Refusal.LENGTH, f"{len(data)} bytes, an advertisement has {ADVERTISEMENT_BYTES}")
    first, vhid, advskew, words, demotion, advbase, total, counter, seal = LAYOUT.unpack(data)
    if first >> 4 != VERSION:
        return Refused(Refusal.VERSION, f"version {first >> 4}, this is {VERSION}")
    if first & 0xF != TYPE or words != AUTHENTICATION_WORDS:
        return Refused(Refusal.KIND, f"type {first & 0xF} with {words} words")
    # Compute the checksum again: a sum over all bytes would accept 0xffff for 0, which no sender uses.
    if checksum(data[:6] + bytes(2) + data[8:]) != total:
        return Refused(Refusal.CHECKSUM)
    if vhid != key.vhid:
        return Refused(Refusal.WAY, f"VHID {vhid}, this is {key.vhid}")
    if not hmac.compare_digest(seal, _seal(key, counter)):
        return Refused(Refusal.SEAL, "check the CARP password, the VHID and the virtual addresses on both controllers")
    if advbase == advskew == 0:
        return Refused(Refusal.AUTHENTIC_DEFECT, "0 s between two advertisements")
    return Advertisement(vhid, advbase, advskew, counter, demotion)


def _seal(key: CarpKey, counter: int) -> bytes:
    return hmac.digest(key.password, key.prefix + counter.to_bytes(8), "sha1")
