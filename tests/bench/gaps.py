"""`python -m tests.bench.gaps INTERFACE`: the longest time between two heartbeats of each sender, on the wire.

The kernel's moments of arrival (SO_TIMESTAMPNS, socket(7)), so that it does not matter how late this program itself is.
Prints a line of JSON, MAC address -> milliseconds, for whatever comes on standard input; begins anew at `again`.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
from typing import Final

from reconciler.system.frames import ETHER_TYPE

SO_TIMESTAMPNS: Final = 35
_TIME: Final = struct.Struct("qq")


class Gaps:
    """The longest gap of each sender, in nanoseconds."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind((interface, ETHER_TYPE))
        self.worst_ns: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}

    def read(self) -> None:
        """One frame."""
        _, ancillary, _, address = self.socket.recvmsg(2_048, socket.CMSG_SPACE(_TIME.size))
        sender = address[4].hex(":")
        ((_, _, stamp),) = ancillary
        seconds, nanoseconds = _TIME.unpack(stamp)
        now_ns = seconds * 1_000_000_000 + nanoseconds
        if sender in self._last_ns:
            self.worst_ns[sender] = max(self.worst_ns.get(sender, 0), now_ns - self._last_ns[sender])
        self._last_ns[sender] = now_ns


def main() -> int:
    """Listen until standard input ends."""
    gaps = Gaps(sys.argv[1])
    with selectors.DefaultSelector() as selector:
        selector.register(gaps.socket, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is gaps.socket:
                    gaps.read()
                    continue
                word = sys.stdin.buffer.readline()
                if not word:
                    return 0
                if word == b"again\n":
                    gaps.worst_ns.clear()
                print(json.dumps({sender: worst / 1e6 for sender, worst in gaps.worst_ns.items()}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
