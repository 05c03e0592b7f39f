"""One TCP segment to each client that was connected to the peer, after which it connects again at once.

A client that waits for an answer repeats its packet after ever longer times; a silent one notices nothing for minutes.
The tickle is an acknowledgment with sequence number 0 from the virtual address. It lies outside the client's window, so
the client answers with the numbers it expects (RFC 9293, 3.10.7.4); this kernel knows no such connection and sends a
RST, which carries exactly these numbers. It is the method of CTDB and of Pacemaker's portblock. Decides the pace.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from typing import Final

from reconciler.core.failover.carp.checksum import checksum
from reconciler.system.findings import Finding
from reconciler.system.shares.clients.connections import ClientConnection

#: When the tickles are sent, in seconds from the first: a lost one, or one for a client whose MAC address was not known
#: yet, is repeated.
ROUNDS_S: Final = (0.0, 0.1, 0.5)
#: At most 10,000 packets a second: this many, then a pause.
BATCH: Final = 50
PAUSE_S: Final = 0.005
#: Room for packets to clients whose MAC address the kernel still asks for.
SEND_BUFFER_BYTES: Final = 4 << 20

_ACK: Final = 0x10
_TCP: Final = struct.Struct("!HHIIBBHHH")
_HOPS: Final = 64
_SO_SNDBUFFORCE: Final = 32  # asm-generic/socket.h


def tickle_packet(connection: ClientConnection) -> bytes:
    """Return the segment with its IP header. Raises OSError if an address of the connection is none."""
    family = socket.AF_INET6 if ":" in connection.address else socket.AF_INET
    source, destination = (socket.inet_pton(family, one) for one in (connection.address, connection.client))
    segment = _TCP.pack(connection.port, connection.client_port, 0, 0, _TCP.size // 4 << 4, _ACK, 65_535, 0, 0)
    pseudo = source + destination + struct.pack("!II", len(segment), socket.IPPROTO_TCP)
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    if family == socket.AF_INET6:
        header = struct.pack("!IHBB", 6 << 28, len(segment), socket.IPPROTO_TCP, _HOPS)
        return header + source + destination + segment
    # The kernel fills in identification and checksum (raw(7)).
    total = 20 + len(segment)
    return struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0, _HOPS, socket.IPPROTO_TCP, 0) + source + destination + segment


def tickle(connections: Sequence[ClientConnection]) -> int | Finding:
    """Send the tickles of all rounds; return how many clients got at least one. Raises OSError for no address.

    Takes the time of the rounds, at most 2 s. A client is left out while its virtual address is not on this controller.
    """
    packets = [(connection, tickle_packet(connection)) for connection in connections]
    if not packets:
        return 0
    sockets: dict[str, socket.socket] = {}
    reached: set[ClientConnection] = set()
    last = ""
    began_s = time.monotonic()
    try:
        for at_s in ROUNDS_S:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            for number, (connection, packet) in enumerate(packets, 1):
                try:
                    if connection.address not in sockets:
                        sockets[connection.address] = _open(connection.address)
                    sockets[connection.address].sendto(packet, (connection.client, 0))
                    reached.add(connection)
                except OSError as problem:
                    last = f"to {connection.client} from {connection.address}: {problem.strerror}"
                if number % BATCH == 0:
                    time.sleep(PAUSE_S)
    finally:
        for opened in sockets.values():
            opened.close()
    return len(reached) if reached else _untickled(last)


def _open(address: str) -> socket.socket:
    """A socket that sends whole packets by the routes of this address and receives none (raw(7), IPPROTO_RAW).

    Raises OSError, also if this controller does not have the address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SEND_BUFFER_BYTES)
        opened.bind((address, 0))
    except BaseException:
        opened.close()
        raise
    return opened


def _untickled(why: str) -> Finding:
    text = "no client was told to connect again: clients connect again when their own timers expire"
    return Finding("clients-untickled", text, why[:200], "look at the virtual addresses: hagit status")
