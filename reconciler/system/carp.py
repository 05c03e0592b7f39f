"""CARP's packets on one interface: sent to and heard from 224.0.0.18 or ff02::12, protocol 112, with a TTL of 255.

Knows addresses and indices, no advertisement: what the bytes mean is said by `core/failover/carp/advertisement`. An
interface with IPv4 virtual addresses has one of these for IPv4, one with IPv6 virtual addresses one for IPv6, as in
ip_carp.c.

Bound by the interface's index, so renaming does not matter. The kernel forgets the membership of a group when the
interface goes; `rejoin` joins it again, with the new index where it has a new one.

Source address. IPv6: what the kernel chooses for link scope (RFC 6724), a link-local address; without one `send` says
so. IPv4: what the caller gives, its own address on the interface, never a virtual one: both controllers would send from
the same when both are master, and Linux drops a packet that seems to come from itself, in just that case. Without an
own address the source is 0.0.0.0, as in ip_carp.c, which Linux takes for groups of the local network
(ip_mc_validate_source). A raw socket would put an address of another interface there, so IPv4 is sent as a frame
(packet(7)); rules of the output hook of nftables do not see it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from fcntl import ioctl
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from reconciler.core.failover.carp.advertisement import ADVERTISEMENT_BYTES
from reconciler.core.failover.carp.checksum import checksum

PROTOCOL: Final = 112
TTL: Final = 255
GROUP4: Final = IPv4Address("224.0.0.18")
GROUP6: Final = IPv6Address("ff02::12")
#: The group's Ethernet address (RFC 1112, section 6.4).
GROUP4_MAC: Final = bytes.fromhex("01005e000012")
#: RFC 791: IHL 5, low delay and "do not fragment" as in ip_carp.c.
IPV4_HEADER: Final = struct.Struct(">BBHHHBBH4s4s")
LOW_DELAY: Final = 0x10
DO_NOT_FRAGMENT: Final = 0x4000
ETHERTYPE_IPV4: Final = 0x0800

#: Not in Python's socket module: asm-generic/socket.h, linux/in.h, linux/in6.h.
SO_BINDTOIFINDEX: Final = 62
IP_MULTICAST_ALL: Final = 49
IPV6_MULTICAST_ALL: Final = 29

#: linux/sockios.h and netdevice(7): the name of an interface by its index, in the namespace of the socket.
SIOCGIFNAME: Final = 0x8910
IFREQ: Final = struct.Struct("=16si20x")

#: Longer packets are cut, which makes them something else than advertisements.
PACKET_BYTES_MAX: Final = 2_048
#: How many packets one `receive` takes, so that a flood does not stop the caller.
RECEIVED_MAX: Final = 64
BUFFER_BYTES: Final = 65_536
ANCILLARY_BYTES: Final = 128

#: What sending or receiving answers while an interface is gone, down or without an address, or its queue full.
PASSING: Final = frozenset({
    errno.EAGAIN, errno.ENOBUFS, errno.ENETDOWN, errno.ENETUNREACH, errno.ENODEV, errno.ENXIO, errno.EADDRNOTAVAIL,
    errno.EHOSTUNREACH, errno.EPERM, errno.EINVAL, errno.ENOMEM,
})  # fmt: skip


class Family(Enum):
    """Over which IP. The value is the socket's family."""

    IPV4 = socket.AF_INET
    IPV6 = socket.AF_INET6


@dataclass(frozen=True, slots=True)
class Packet:
    """The payload of a packet of protocol 112 that was sent to the group with a TTL of 255."""

    data: bytes
    source: IPv4Address | IPv6Address


class CarpSocket:
    """One end on one interface. Nothing blocks. `strayed` counts packets with another TTL or destination."""

    def __init__(self, family: Family, ifindex: int) -> None:
        """Raises OSError when the interface is not there, or without CAP_NET_RAW."""
        self.family = family
        self.ifindex = ifindex
        self.strayed = 0
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._hearing = socket.socket(family.value, kind, PROTOCOL)
        # Protocol 0: it hears nothing.
        self._frames: socket.socket | None = None
        try:
            if family is Family.IPV4:
                self._frames = socket.socket(
                    socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
                )
            self._set_up()
            self._join()
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Readable when there is something to `receive`."""
        return self._hearing.fileno()

    def close(self) -> None:
        """Leaves the group. A second time does nothing."""
        self._hearing.close()
        if self._frames is not None:
            self._frames.close()

    def rejoin(self, ifindex: int) -> str | None:
        """After the interface came back, perhaps with another index. None when it worked, else why not."""
        # The kernel may have forgotten it together with the interface.
        with suppress(OSError):
            self._hearing.setsockopt(*self._membership(join=False))
        self.ifindex = ifindex
        try:
            self._join()
        except OSError as error:
            return _sentence(error)
        return None

    def send(self, data: bytes, source: IPv4Address | None = None) -> str | None:
        """One advertisement to the group. None when the kernel took it, else why not: down, gone, no address.

        `source` is for IPv4 only: this controller's own address on the interface, None where it has none.
        """
        assert len(data) == ADVERTISEMENT_BYTES
        try:
            if self._frames is None:
                assert source is None, "IPv6 leaves the choice of the source to the kernel"
                self._hearing.sendto(data, (str(GROUP6), 0, 0, self.ifindex))
            else:
                packet = _ipv4(data, source or IPv4Address(0))
                self._frames.sendto(packet, self._link(GROUP4_MAC))
        except OSError as error:
            if error.errno not in PASSING:
                raise
            return _sentence(error)
        return None

    def receive(self) -> tuple[Packet, ...]:
        """What has come, at most `RECEIVED_MAX` packets; empty when there is nothing."""
        found = []
        for _ in range(RECEIVED_MAX):
            try:
                data, ancillary, _, address = self._hearing.recvmsg(PACKET_BYTES_MAX, ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                # The interface went down or away; `links` reports that.
                if error.errno not in PASSING:
                    raise
                continue
            packet = _of_ipv4(data) if self.family is Family.IPV4 else _of_ipv6(data, ancillary, address)
            if packet is None:
                self.strayed += 1
            else:
                found.append(packet)
        return tuple(found)

    def _set_up(self) -> None:
        hearing = self._hearing
        hearing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        if self.family is Family.IPV4:
            hearing.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            return
        for option, value in (
            (IPV6_MULTICAST_ALL, 0),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (socket.IPV6_MULTICAST_HOPS, TTL),
            (socket.IPV6_RECVHOPLIMIT, 1),
            (socket.IPV6_RECVPKTINFO, 1),
        ):
            hearing.setsockopt(socket.IPPROTO_IPV6, option, value)

    def _join(self) -> None:
        self._hearing.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, self.ifindex)
        if self.family is Family.IPV6:
            self._hearing.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self.ifindex)
        self._hearing.setsockopt(*self._membership(join=True))

    def _membership(self, *, join: bool) -> tuple[int, int, bytes]:
        if self.family is Family.IPV4:
            option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
            # struct ip_mreqn, ip(7)
            return socket.IPPROTO_IP, option, struct.pack("=4s4si", GROUP4.packed, bytes(4), self.ifindex)
        option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
        return socket.IPPROTO_IPV6, option, struct.pack("=16si", GROUP6.packed, self.ifindex)

    def _link(self, mac: bytes) -> tuple[str, int, int, int, bytes]:
        # Python wants a name, of which it asks the index again. The name is the one of now.
        assert self._frames is not None
        answer = ioctl(self._frames, SIOCGIFNAME, IFREQ.pack(b"", self.ifindex))
        name = IFREQ.unpack(answer)[0].rstrip(b"\0")
        return os.fsdecode(name), ETHERTYPE_IPV4, 0, 0, mac


def _ipv4(data: bytes, source: IPv4Address) -> bytes:
    """An IPv4 packet to the group around `data`."""

    def header(total: int) -> bytes:
        length = IPV4_HEADER.size + len(data)
        parts = (0x45, LOW_DELAY, length, 0, DO_NOT_FRAGMENT, TTL, PROTOCOL, total)
        return IPV4_HEADER.pack(*parts, source.packed, GROUP4.packed)

    return header(checksum(header(0))) + data


def _of_ipv4(packet: bytes) -> Packet | None:
    """The kernel has checked the header; raw(7) hands it on."""
    if len(packet) < IPV4_HEADER.size:
        return None
    first, _, _, _, _, ttl, _, _, source, destination = IPV4_HEADER.unpack_from(packet)
    if ttl != TTL or destination != GROUP4.packed:
        return None
    return Packet(packet[(first & 0xF) * 4 :], IPv4Address(source))


def _of_ipv6(data: bytes, ancillary: list[tuple[int, int, bytes]], address: tuple[str, ...]) -> Packet | None:
    """The header's fields come beside the payload, ipv6(7)."""
    fields = {kind: value for level, kind, value in ancillary if level == socket.IPPROTO_IPV6}
    hops = fields.get(socket.IPV6_HOPLIMIT, b"")
    destination = fields.get(socket.IPV6_PKTINFO, b"")[:16]
    if hops != struct.pack("=i", TTL) or destination != GROUP6.packed:
        return None
    return Packet(data, IPv6Address(address[0].partition("%")[0]))


def _sentence(error: OSError) -> str:
    return error.strerror or str(error)
