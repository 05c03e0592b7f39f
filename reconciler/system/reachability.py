"""Reachability: hosts that answer an echo of a given size, and places that take a TCP connection.

Echo requests (RFC 792, RFC 4443) go out whole: the kernel neither fragments them nor remembers a smaller path MTU
(IP_PMTUDISC_PROBE, ip(7)). All are sent at once, and one wait serves all. Names are resolved in threads of their own,
because a resolver that does not answer has no deadline (getaddrinfo(3)).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection
from typing import Final, TypeAlias

#: An address, with its link where it is link-local (`fe80::1%eth0`), and the bytes of the whole IP packet.
EchoTarget: TypeAlias = tuple[str, int]

ECHO_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
IP4_HEADER_BYTES, IP6_HEADER_BYTES = 20, 40
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 10, 23, 3
#: The smallest packet that has a header of IPv6 and an echo.
SIZE_MIN: Final = 64
SIZE_MAX: Final = 65_000
RECEIVE_BYTES: Final = 65_536
TARGETS_MAX: Final = 512


def echoes(targets: Collection[EchoTarget], timeout_s: float) -> frozenset[EchoTarget]:
    """The targets that answer an echo request of their size within `timeout_s`. Needs CAP_NET_RAW; without it, none."""
    wanted = list(dict.fromkeys(targets))[:TARGETS_MAX]
    identifier = int.from_bytes(os.urandom(2), "big")
    answered: set[EchoTarget] = set()
    with contextlib.ExitStack() as stack:
        sockets: dict[int, socket.socket] = {}
        for version in {ipaddress.ip_address(target.partition("%")[0]).version for target, _ in wanted}:
            with contextlib.suppress(OSError):
                sockets[version] = stack.enter_context(_echo_socket(version))
        sent: dict[int, EchoTarget] = {}
        for number, (target, size) in enumerate(wanted):
            version = ipaddress.ip_address(target.partition("%")[0]).version
            with contextlib.suppress(OSError):
                if version in sockets:
                    _send(sockets[version], version, target, size, identifier, number)
                    sent[number] = (target, size)
        end_s = time.monotonic() + timeout_s
        while len(answered) < len(sent) and (left_s := end_s - time.monotonic()) > 0:
            for ready in select.select(list(sockets.values()), [], [], left_s)[0]:
                number = _received(ready, identifier)
                if number in sent:
                    answered.add(sent[number])
    return frozenset(answered)


def connections(places: Collection[str], timeout_s: float) -> frozenset[str]:
    """The places (`host:port`, `[address]:port`) that answer a TCP connection within `timeout_s`. Sends no byte.

    A refusal (ECONNREFUSED) is an answer: the host was reached, and its program may be starting again.
    """
    found: list[str] = []

    def connect(place: str) -> None:
        host, _, port = place.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout_s):
                found.append(place)
        except ConnectionRefusedError:
            found.append(place)
        except (OSError, ValueError, UnicodeError):
            return

    threads = [threading.Thread(target=connect, args=(place,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    end_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    return frozenset(found)


def addresses_of(host: str, timeout_s: float) -> tuple[str, ...]:
    """The addresses of a host name; empty when no resolver answers within `timeout_s`."""
    found: list[str] = []

    def resolve() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return tuple(dict.fromkeys(found))


def _echo_socket(version: int) -> socket.socket:
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    made = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        if version == 4:
            made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        else:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    except OSError:
        made.close()
        raise
    return made


def _send(to: socket.socket, version: int, target: str, size: int, identifier: int, number: int) -> None:
    headers = (IP4_HEADER_BYTES if version == 4 else IP6_HEADER_BYTES) + ECHO_HEADER.size
    data = bytes(max(SIZE_MIN, min(size, SIZE_MAX)) - headers)
    kind = 8 if version == 4 else 128
    packet = ECHO_HEADER.pack(kind, 0, 0, identifier, number) + data
    if version == 4:
        # The kernel fills in the checksum of ICMPv6 itself (RFC 3542, 3.1).
        packet = ECHO_HEADER.pack(kind, 0, _checksum(packet), identifier, number) + data
    address, _, link = target.partition("%")
    if version == 4:
        to.sendto(packet, (address, 0))
    else:
        to.sendto(packet, (address, 0, 0, socket.if_nametoindex(link) if link else 0))


def _received(ready: socket.socket, identifier: int) -> int:
    """The number of the request that a packet answers; -1 for any other packet."""
    try:
        data = ready.recv(RECEIVE_BYTES)
    except OSError:
        return -1
    at = (data[0] & 0x0F) * 4 if ready.family == socket.AF_INET and data else 0
    if len(data) < at + ECHO_HEADER.size:
        return -1
    kind, _, _, of, number = ECHO_HEADER.unpack_from(data, at)
    reply = 0 if ready.family == socket.AF_INET else 129
    return int(number) if kind == reply and of == identifier else -1


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071). `data` has an even length or is padded."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
