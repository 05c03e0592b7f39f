"""Heartbeats as Ethernet frames: one socket for each interface, without address, route or neighbour (packet(7)).

Frames of EtherType 0x88B5 (IEEE 802: for local experiments) go to one multicast address, so they reach all
machines on the same segment and pass no router. The socket is bound to an interface's index; a name is only looked up
to hand it to the system call. Knows nothing of what a frame carries.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Final

from reconciler.errors import ObservationError

ETHER_TYPE: Final = 0x88B5
#: Locally administered, multicast.
GROUP: Final = bytes.fromhex("036867000001")
#: Room for a second of the fastest beats and a burst beside them.
RECEIVE_BUFFER_BYTES: Final = 256 << 10
FRAME_BYTES_MAX: Final = 1_500
#: Frames read in one turn of the loop; the rest waits for the next, so a flood starves no other work.
READS_MAX: Final = 64

_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_MR_MULTICAST: Final = 0
#: TC_PRIO_CONTROL (linux/pkt_sched.h): before everything else that waits in the queue of the interface.
_PRIORITY: Final = 7


class FrameSocket:
    """Sends and hears frames on one interface of this network namespace. Raises ObservationError when it cannot."""

    def __init__(self, index: int) -> None:
        self.index = index
        #: The MAC address from which the frame came that `frames` has just given.
        self.source = ""
        flags = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            name = socket.if_indextoname(index)
            # Protocol 0 hears nothing; so nothing comes in from other interfaces before it is bound.
            self._socket = socket.socket(socket.AF_PACKET, flags, 0)
        except OSError as problem:
            raise ObservationError(f"no heartbeats on interface {index}: {problem.strerror}") from problem
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY)
            membership = struct.pack("iHH8s", index, _PACKET_MR_MULTICAST, len(GROUP), GROUP)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
            self._socket.bind((name, ETHER_TYPE))
        except OSError as problem:
            self._socket.close()
            raise ObservationError(f"no heartbeats on {name}: {problem.strerror}") from problem

    def fileno(self) -> int:
        """For the loop."""
        return self._socket.fileno()

    def send(self, data: bytes) -> bool:
        """One frame; False when the interface does not take it now (down, gone, full): a lost frame like any other."""
        try:
            name = socket.if_indextoname(self.index)
            self._socket.sendto(data, (name, ETHER_TYPE, 0, 0, GROUP))
        except OSError:
            return False
        return True

    def frames(self) -> Iterator[bytes]:
        """Whatever arrived, oldest first, at most READS_MAX. Frames of our own are left out."""
        for _ in range(READS_MAX):
            try:
                data, address = self._socket.recvfrom(FRAME_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                # The interface went down or away; the error is told once and the link watch says the rest.
                continue
            if address[2] != socket.PACKET_OUTGOING:
                self.source = address[4].hex(":")
                yield data

    def close(self) -> None:
        """Gives the socket back; the membership goes with it."""
        with contextlib.suppress(OSError):
            self._socket.close()
