"""Announcer: tells the neighbours where the virtual addresses are, in bursts and then regularly.

Decides that a process that was paused sends one announcement and not the missed ones, and that a frame
that cannot be sent now is counted and forgotten: the schedule brings the next. Sends with the MAC it is told, over the
interface itself also where the address is on a macvlan. Does not know whether the address is really placed.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from reconciler.errors import ObservationError
from reconciler.system.addresses import frame, schedule

#: An address is defended no more often than this (RFC 5227 section 2.4), or two holders would fight for ever.
DEFEND_MS: Final = 10_000
PROBED_AGAIN_MS: Final = 1_000
#: Another machine that has said to have an address is asked this often whether it still does.
ASKED_AGAIN_MS: Final = 10_000
TARGETS_MAX: Final = 256


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One address to be announced over the interface `index` as being at `mac`."""

    index: int
    address: str
    mac: str


@dataclass(slots=True)
class _Sent:
    since_ms: int
    count: int = 0
    defended_ms: int | None = None
    asked_ms: int | None = None


class Announcer:
    """Sends over one packet(7) socket that receives nothing. Raises ObservationError when it cannot be made."""

    def __init__(self) -> None:
        self.sent = 0
        self.lost = 0
        self._targets: dict[Target, _Sent] = {}
        try:
            flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_PACKET, flags, 0)
        except OSError as problem:
            raise ObservationError(
                f"cannot open a packet socket: {problem.strerror}", remedy="run as root, or with CAP_NET_RAW"
            ) from problem

    def follow(self, targets: Collection[Target], now_ms: int) -> None:
        """Exactly these are announced from now on. One that is new, or came back, begins with a burst."""
        self._targets = {
            target: self._targets.get(target) or _Sent(now_ms) for target in sorted(set(targets))[:TARGETS_MAX]
        }

    def send_due(self, now_ms: int) -> None:
        """Sends what the schedule asks for by now.

        With the first goes a probe, and with each one from a second on: another holder that came at the same moment
        may not have answered yet.
        """
        for target, sent in self._targets.items():
            count = schedule.due(sent.since_ms, now_ms)
            if count <= sent.count:
                continue
            if sent.count == 0 or now_ms - sent.since_ms >= PROBED_AGAIN_MS:
                self.probe(target)
            self._announce(target)
            sent.count = count

    def next_ms(self) -> int | None:
        """The moment of the next announcement, None when there is nothing to announce."""
        moments = [schedule.at(sent.since_ms, sent.count) for sent in self._targets.values()]
        moments += [sent.asked_ms + ASKED_AGAIN_MS for sent in self._targets.values() if sent.asked_ms is not None]
        return min(moments, default=None)

    def ask(self, addresses: Collection[str], now_ms: int) -> None:
        """Ask again, in time, whether another machine has these addresses; it was heard to say so."""
        for target, sent in self._targets.items():
            if target.address not in addresses:
                sent.asked_ms = None
            elif sent.asked_ms is None:
                sent.asked_ms = now_ms
            elif now_ms - sent.asked_ms >= ASKED_AGAIN_MS:
                sent.asked_ms = now_ms
                self.probe(target)

    def probe(self, target: Target) -> None:
        """Asks whether another machine has the address; `DuplicateWatch` hears the answer."""
        try:
            self._send(target.index, frame.probe(target.address, target.mac))
        except ValueError:
            self.lost += 1

    def defend(self, address: str, now_ms: int) -> None:
        """Announces at once an address that another machine claims, at most every DEFEND_MS."""
        for target, sent in self._targets.items():
            if target.address != address:
                continue
            if sent.defended_ms is None or now_ms - sent.defended_ms >= DEFEND_MS:
                sent.defended_ms = now_ms
                self._announce(target)

    def _announce(self, target: Target) -> None:
        try:
            frames = frame.announcements(target.address, target.mac)
        except ValueError:
            self.lost += 1
            return
        for data in frames:
            self._send(target.index, data)

    def _send(self, index: int, data: bytes) -> None:
        try:
            # The name is looked up for this one frame: it may be another tomorrow.
            self._socket.sendto(data, (socket.if_indextoname(index), 0))
            self.sent += 1
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()
