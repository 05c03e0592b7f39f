"""Ping an address at a steady pace and print the time of each answer, to measure how long clients wait.

python -m reconciler.demo.pinger ADDRESS INTERVAL-MS

Prints `START <monotonic s>` once, then a line `<sequence> <sent s> <answered s>` for each answer, until its standard
input is closed. Raw ICMP (RFC 792, RFC 4443), so that nothing but the network lies between two probes. An answer is
matched by identifier and sequence; one that never comes leaves a gap.
"""

from __future__ import annotations

import ipaddress
import os
import selectors
import socket
import struct
import sys
import time
from typing import Final

from reconciler.core.failover.carp.checksum import checksum

#: Number of probes that are remembered; an answer to an older one is ignored.
PENDING_MAX: Final = 4_096
_ECHO: Final = struct.Struct("!BBHHH")
_ECHO_REQUEST: Final = {4: 8, 6: 128}
_ECHO_REPLY: Final = {4: 0, 6: 129}


class Pinger:
    """Sends and matches echo requests for one address; `fileno` is readable when an answer has come."""

    def __init__(self, address: str) -> None:
        parsed = ipaddress.ip_address(address)
        self._version = parsed.version
        self._target = (address, 0)
        if parsed.version == 4:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._socket.setblocking(False)
        self._identifier = os.getpid() & 0xFFFF
        self._sequence = 0
        self._sent: dict[int, float] = {}

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def send(self) -> None:
        """Send one probe. An unreachable host is a probe without an answer."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._sent[self._sequence] = time.monotonic()
        if len(self._sent) > PENDING_MAX:
            del self._sent[next(iter(self._sent))]
        kind = _ECHO_REQUEST[self._version]
        header = _ECHO.pack(kind, 0, 0, self._identifier, self._sequence)
        if self._version == 4:
            # For ICMPv6 the kernel fills the checksum in (RFC 3542, 3.1).
            header = _ECHO.pack(kind, 0, checksum(header), self._identifier, self._sequence)
        try:
            self._socket.sendto(header, self._target)
        except OSError:
            return

    def receive(self) -> list[tuple[int, float, float]]:
        """Read all waiting answers: (sequence, sent, answered), times in monotonic seconds."""
        found: list[tuple[int, float, float]] = []
        while True:
            try:
                data = self._socket.recv(2048)
            except BlockingIOError:
                return found
            except OSError:
                continue
            now_s = time.monotonic()
            body = data[(data[0] & 0xF) * 4 :] if self._version == 4 else data
            if len(body) < _ECHO.size:
                continue
            kind, _, _, identifier, sequence = _ECHO.unpack_from(body)
            if kind == _ECHO_REPLY[self._version] and identifier == self._identifier and sequence in self._sent:
                found.append((sequence, self._sent.pop(sequence), now_s))


def main() -> int:
    """Ping until standard input closes."""
    if len(sys.argv) != 3:
        print("usage: pinger ADDRESS INTERVAL-MS", file=sys.stderr)
        return 2
    pinger, interval_s = Pinger(sys.argv[1]), float(sys.argv[2]) / 1000
    with selectors.DefaultSelector() as selector:
        selector.register(pinger, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        next_s = time.monotonic()
        print(f"START {next_s:.6f}", flush=True)
        while True:
            now_s = time.monotonic()
            if now_s >= next_s:
                pinger.send()
                # After a delay of its own it goes on from now: a burst would be no steady pace.
                next_s = max(next_s + interval_s, now_s)
            for key, _ in selector.select(max(0.0, next_s - time.monotonic())):
                if key.fileobj is not pinger:
                    if not os.read(key.fd, 4_096):
                        return 0
                    continue
                for sequence, sent_s, answered_s in pinger.receive():
                    sys.stdout.write(f"{sequence} {sent_s:.6f} {answered_s:.6f}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
