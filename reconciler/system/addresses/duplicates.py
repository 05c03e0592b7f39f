"""DuplicateWatch: detects other machines that answer for one of our virtual addresses.

Listens while the address is held (RFC 5227 section 2.4), so that a takeover never waits for silence. For IPv4 every
ARP packet whose sender has our address is evidence, for IPv6 a neighbour advertisement for it. The kernel drops all
other packets before they wake this process. MACs of this controller, and the virtual MACs that the pair itself uses, do
not count; the caller of `watch` names them. Does not know what to do about it.
"""

from __future__ import annotations

import array
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.errors import ObservationError
from reconciler.system.addresses import frame
from reconciler.system.addresses.plan import PLACES_MAX

#: A machine that was heard is asked again every 10 s (`announcer`), which renews the evidence while it lasts. Evidence
#: that is older than two and a half of these intervals is dropped.
REMEMBERED_MS: Final = 25_000
DUPLICATES_MAX: Final = 256
READS_MAX: Final = 256
_RECEIVE_BUFFER_BYTES: Final = 64 * 1024
_SO_ATTACH_FILTER: Final = 26
_ICMP6_FILTER: Final = 1
_IPV6_RECVPKTINFO, _IPV6_PKTINFO, _IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 49, 50, 51, 52
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_SENDER_AT: Final = 14  # the sender's protocol address in an ARP packet


@dataclass(frozen=True, slots=True, order=True)
class Duplicate:
    """A machine at `mac` claims, on the interface `index`, to have `address`."""

    address: str
    mac: str
    index: int


class DuplicateWatch:
    """Two non-blocking sockets, `sockets()`. Raises ObservationError when it cannot be made.

    Without IPv6 in the kernel there is only the one for ARP.
    """

    def __init__(self) -> None:
        self._hosts: frozenset[tuple[int, str]] = frozenset()
        self._own: frozenset[str] = frozenset()
        self._heard: dict[Duplicate, int] = {}
        flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._arp = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | flags, socket.htons(frame.ETHERTYPE_ARP))
        except OSError as problem:
            raise ObservationError(
                f"cannot open a packet socket: {problem.strerror}", remedy="run as root, or with CAP_NET_RAW"
            ) from problem
        self._icmp = self._open_icmp(flags)
        self._arp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._filter(())

    @staticmethod
    def _open_icmp(flags: int) -> socket.socket | None:
        try:
            opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW | flags, socket.IPPROTO_ICMPV6)
        except OSError:
            return None
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        for option in (_IPV6_RECVPKTINFO, _IPV6_RECVHOPLIMIT):
            opened.setsockopt(socket.IPPROTO_IPV6, option, 1)
        # A set bit blocks the type (RFC 3542 section 3.2; the kernel's words are little-endian bit numbers).
        words = [0xFFFFFFFF] * 8
        words[frame.NEIGHBOUR_ADVERTISEMENT >> 5] &= ~(1 << (frame.NEIGHBOUR_ADVERTISEMENT & 31))
        opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
        return opened

    def sockets(self) -> tuple[socket.socket, ...]:
        """What to select(2) on."""
        return (self._arp,) if self._icmp is None else (self._arp, self._icmp)

    def watch(self, hosts: Mapping[str, Collection[int]], own_macs: Collection[str]) -> None:
        """Which address is held on which interfaces (the macvlan's index as well), and what MACs are our own."""
        pairs = frozenset((index, host) for host in sorted(hosts)[:PLACES_MAX] for index in hosts[host])
        self._own = frozenset(own_macs)
        if pairs != self._hosts:
            self._hosts = pairs
            self._filter({socket.inet_aton(host) for _, host in pairs if ":" not in host})
        addresses = {host for _, host in pairs}
        self._heard = {seen: at for seen, at in self._heard.items() if seen.address in addresses}

    def _filter(self, raw_addresses: Collection[bytes]) -> None:
        """Classic BPF: ARP packets whose sender is one of these, nothing else."""
        code = [(_LOAD_WORD, 0, 0, _SENDER_AT)]
        for raw in sorted(raw_addresses):
            code += [(_JUMP_IF_EQUAL, 0, 1, int.from_bytes(raw, "big")), (_RETURN, 0, 0, 64)]
        code.append((_RETURN, 0, 0, 0))
        program = array.array("B", b"".join(struct.pack("=HBBI", *line) for line in code))
        pointer = struct.pack("@HP", len(code), program.buffer_info()[0])
        self._arp.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)

    def drain(self, now_ms: int) -> tuple[Duplicate, ...]:
        """Takes what waits, at most READS_MAX packets of each kind; the duplicates heard in them."""
        found = [*self._read(self._next_arp), *self._read(self._next_advertisement)]
        for seen in found:
            if seen in self._heard or len(self._heard) < DUPLICATES_MAX:
                self._heard[seen] = now_ms
        return tuple(dict.fromkeys(found))

    def present(self, now_ms: int) -> tuple[Duplicate, ...]:
        """Who was heard within the last REMEMBERED_MS, for reasons."""
        self._heard = {seen: at for seen, at in self._heard.items() if now_ms - at < REMEMBERED_MS}
        return tuple(sorted(self._heard))

    def ages_ms(self, now_ms: int) -> dict[Duplicate, int]:
        """How long ago each of those that are present was heard last."""
        return {seen: now_ms - self._heard[seen] for seen in self.present(now_ms)}

    def _read(self, take: Callable[[], Duplicate | None]) -> list[Duplicate]:
        found: list[Duplicate] = []
        for _ in range(READS_MAX):
            try:
                seen = take()
            except BlockingIOError:
                break
            except OSError:
                continue  # an interface went down; what waits for the others is still there
            if seen is not None and (seen.index, seen.address) in self._hosts and seen.mac not in self._own:
                found.append(seen)
        return found

    def _next_arp(self) -> Duplicate | None:
        packet, where = self._arp.recvfrom(64)
        said = frame.read_arp(packet)
        if said is None:
            return None
        return Duplicate(*said, socket.if_nametoindex(where[0]))

    def _next_advertisement(self) -> Duplicate | None:
        if self._icmp is None:
            raise BlockingIOError
        body, ancillary, _, _ = self._icmp.recvmsg(256, 128)
        said = frame.read_advertisement(body)
        index, hops = 0, 0
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == _IPV6_PKTINFO and len(data) >= 20:
                index = struct.unpack_from("=I", data, 16)[0]
            elif level == socket.IPPROTO_IPV6 and kind == _IPV6_HOPLIMIT and len(data) >= 4:
                hops = struct.unpack_from("=i", data)[0]
        # Only a neighbour's packet still has all its hops (RFC 4861 section 7.1.2).
        return Duplicate(*said, index) if said is not None and hops == 255 else None

    def close(self) -> None:
        """Gives the sockets back."""
        for opened in self.sockets():
            opened.close()
