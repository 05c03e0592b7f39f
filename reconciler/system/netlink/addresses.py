"""Address messages read into facts, and facts packed into address messages.

Decides the one text form of an address, whose it is, and what sets it apart from a permanent one. An address counts
from the moment the kernel lists it, also while duplicate address detection runs; that it failed is a trait. Does not
know whether an address is wanted. See rtnetlink(7), linux/if_addr.h.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from reconciler.core.facts.fact import DEPRECATED, DUPLICATE, LEASED, NO_PREFIX_ROUTE, PEER, Address
from reconciler.core.facts.ownership import AGENT_PROTOCOL, Owner, address_owner
from reconciler.system.netlink import wire

FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_UNUSUAL: Final = wire.IFA_F_DADFAILED | wire.IFA_F_DEPRECATED | wire.IFA_F_NOPREFIXROUTE
_OWNERS: Final = {(p, local): address_owner(p, link_local=local) for p in range(256) for local in (False, True)}


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """What one address message says. `raw_peer` is IFA_ADDRESS where it is another's."""

    index: int
    address: str
    owner: Owner
    raw_peer: bytes = b""
    traits: tuple[str, ...] = ()

    def fact(self, link: str) -> Address:
        """The same as a fact about the link of this name."""
        return Address(link, self.address, self.traits)


def addresses_request(family: int, index: int = 0) -> bytes:
    """The request for all addresses of a family, or those of one link."""
    return wire.ADDRESS_HEADER.pack(family, 0, 0, 0, index)


def text_form(raw: bytes) -> str:
    """Four or sixteen bytes in the form that `ipaddress` prints."""
    if len(raw) == 4:
        return socket.inet_ntoa(raw)
    if len(raw) != 16:
        raise wire.MalformedMessage(f"an address of {len(raw)} bytes")
    form = socket.inet_ntop(socket.AF_INET6, raw)
    # Python's releases disagree with the C library, and with one another, only on embedded IPv4 addresses.
    return str(ipaddress.IPv6Address(raw)) if "." in form else form


def read_address(payload: bytes) -> AddressRecord:
    """One RTM_NEWADDR payload. Raises MalformedMessage."""
    _, prefix, short_flags, scope, index = wire.header(wire.ADDRESS_HEADER, payload)
    found = wire.attributes(payload, wire.ADDRESS_HEADER.size)
    address = found.get(wire.IFA_ADDRESS, b"")
    local = found.get(wire.IFA_LOCAL, address)
    protocol = wire.value_of(wire.U8, found.get(wire.IFA_PROTO))
    link_local = scope == wire.SCOPE_LINK and local[:1] == b"\xfe"
    raw_peer = address if address != local else b""
    flags = wire.value_of(wire.U32, found.get(wire.IFA_FLAGS), short_flags)
    traits = _traits(flags, found.get(wire.IFA_CACHEINFO), raw_peer)
    return AddressRecord(index, f"{text_form(local)}/{prefix}", _OWNERS[protocol, link_local], raw_peer, traits)


def _traits(flags: int, times: bytes | None, raw_peer: bytes) -> tuple[str, ...]:
    """What a permanent address of hagit's own would not have."""
    preferred = valid = wire.FOREVER
    if times is not None:
        preferred, valid = wire.header(wire.CACHE_INFO, times)
    deprecated = bool(flags & wire.IFA_F_DEPRECATED) or preferred == 0
    if not (flags & _UNUSUAL or raw_peer or deprecated or (preferred, valid) != (wire.FOREVER, wire.FOREVER)):
        return ()
    traits = []
    if valid != wire.FOREVER or (preferred != wire.FOREVER and not deprecated):
        traits.append(LEASED)
    if deprecated:
        traits.append(DEPRECATED)
    if flags & wire.IFA_F_DADFAILED:
        traits.append(DUPLICATE)
    if flags & wire.IFA_F_NOPREFIXROUTE:
        traits.append(NO_PREFIX_ROUTE)
    if raw_peer:
        traits.append(f"{PEER} {text_form(raw_peer)}")
    return tuple(traits)


def family_of(address: str) -> int:
    """The family of an address in text form."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def raw_form(address: str) -> tuple[int, bytes, int]:
    """Family, bytes and prefix length of `10.0.0.1/24`. Raises ValueError for anything else."""
    plain, _, prefix = address.partition("/")
    family = family_of(plain)
    try:
        raw, length = socket.inet_pton(family, plain), int(prefix)
    except (OSError, ValueError) as problem:
        raise ValueError(f"{address!r} is no address with a prefix length") from problem
    if not 0 <= length <= len(raw) * 8:
        raise ValueError(f"{address!r} has no prefix length of its family")
    return family, raw, length


def new_address(index: int, address: str) -> bytes:
    """The message that adds an address to a link, stamped as the agent's.

    Duplicate address detection stays on for IPv6: these addresses belong to one controller, and a second holder is a
    defect that the kernel should find. The address is listed at once and usable about a second later.
    """
    family, raw, prefix = raw_form(address)
    scope = wire.SCOPE_LINK if raw[:2] == b"\xa9\xfe" and family == socket.AF_INET else wire.SCOPE_UNIVERSE
    body = (
        wire.ADDRESS_HEADER.pack(family, prefix, 0, scope, index)
        + wire.attribute(wire.IFA_LOCAL, raw)
        + wire.attribute(wire.IFA_ADDRESS, raw)
        + wire.attribute(wire.IFA_PROTO, bytes([AGENT_PROTOCOL]))
    )
    if family == socket.AF_INET and prefix < 31:
        host_bits = (1 << (32 - prefix)) - 1
        body += wire.attribute(wire.IFA_BROADCAST, (int.from_bytes(raw, "big") | host_bits).to_bytes(4, "big"))
    return body


def old_address(index: int, address: str, raw_peer: bytes = b"") -> bytes:
    """The message that removes an address from a link."""
    family, raw, prefix = raw_form(address)
    return (
        wire.ADDRESS_HEADER.pack(family, prefix, 0, 0, index)
        + wire.attribute(wire.IFA_LOCAL, raw)
        + wire.attribute(wire.IFA_ADDRESS, raw_peer or raw)
    )


def promote_secondaries(index: int) -> bytes:
    """The message after which removing a link's first IPv4 address of a subnet leaves the others in place.

    Linux removes them with it by default, and a virtual address of the watchdog could be among them.
    """
    setting = wire.number(wire.PROMOTE_SECONDARIES, 1)
    family = wire.attribute(socket.AF_INET, wire.attribute(wire.INET_CONF, setting))
    return wire.LINK_HEADER.pack(0, 0, index, 0, 0) + wire.attribute(wire.IFLA_AF_SPEC, family)
