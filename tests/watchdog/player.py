"""`python -m tests.watchdog.player INTERFACE MAC`: remembers the heartbeats that leave there and says them again.

What it sends has the MAC address it was given, so that it does not repeat itself. Commands, a line each, answered with
one: `late MS` (everything is said again so much later; 0 ends that), `count` (how many are remembered), `forget`,
`replay` (all that is remembered at once), `forge` (the same with one bit turned each, and rubbish).
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections import deque

from reconciler.system.frames import ETHER_TYPE

KEPT_MAX = 400
OUTGOING = 4  # PACKET_OUTGOING, packet(7)


class Tap:
    """One interface, heard and spoken to."""

    def __init__(self, interface: str, mac: bytes) -> None:
        self.interface, self.mac = interface, mac
        # Only a socket for all protocols sees what leaves (packet(7)).
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 3))
        self.socket.setblocking(False)
        self.kept: deque[bytes] = deque(maxlen=KEPT_MAX)
        self.waiting: deque[tuple[float, bytes]] = deque(maxlen=KEPT_MAX)
        self.late_s = 0.0

    def hear(self) -> None:
        """Everything that is there."""
        while True:
            try:
                data, (_, _, kind, _, _) = self.socket.recvfrom(2_000)
            except BlockingIOError:
                return
            except OSError:
                # The interface went down; it may come back.
                continue
            if kind == OUTGOING and data[12:14] == ETHER_TYPE.to_bytes(2) and data[6:12] != self.mac:
                self.kept.append(data)
                if self.late_s:
                    self.waiting.append((time.monotonic() + self.late_s, data))

    def say(self, data: bytes) -> None:
        """One frame, if the interface takes it."""
        try:
            self.socket.send(data[:6] + self.mac + data[12:])
        except OSError:
            return

    def due(self) -> float | None:
        """Say what is due; seconds until there is more."""
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            self.say(self.waiting.popleft()[1])
        return max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None

    def command(self, words: list[str]) -> str:
        """What a person asks for."""
        match words:
            case ["late", ms]:
                self.late_s = int(ms) / 1_000
                if not self.late_s:
                    self.waiting.clear()
            case ["count"]:
                return str(len(self.kept))
            case ["forget"]:
                self.kept.clear()
            case ["replay"]:
                for data in self.kept:
                    self.say(data)
            case ["forge"]:
                for data in self.kept:
                    self.say(data[:-1] + bytes([data[-1] ^ 1]))
                for size in (0, 1, 60, 376, 377, 1_400):
                    self.say(data[:14] + b"x" * size)
            case _:
                return "what?"
        return "done"


def main() -> None:
    tap = Tap(sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")))
    print("ready", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(tap.socket, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(tap.due()):
                if key.fileobj is tap.socket:
                    tap.hear()
                else:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    print(tap.command(line.split()), flush=True)


if __name__ == "__main__":
    main()
