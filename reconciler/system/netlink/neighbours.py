"""Neighbours: which hosts the kernel knows on each link, and whether they answer now.

The kernel itself asks by ARP or neighbour discovery: an entry that it knows is put into the state PROBE, any other is
used, which starts its resolution (RTM_NEWNEIGH, rtnetlink(7), ip-neighbour(8)). A host answers when its entry becomes
REACHABLE. A permanent entry is never asked about, so it never answers.
"""

from __future__ import annotations

import contextlib
import ipaddress
import struct
import time
from collections.abc import Collection
from types import TracebackType
from typing import Final

from reconciler.core.facts.neighbour import Neighbour
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import text_form
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.netlink.links import ALL_LINKS, read_link

NEW_NEIGHBOUR, GET_NEIGHBOUR = 28, 30
#: ndmsg: family, link, state, flags, type.
NEIGHBOUR_HEADER: Final = struct.Struct("=BxxxiHBB")
NDA_DST, NDA_LLADDR = 1, 2
REACHABLE, STALE, DELAY, PROBE, NO_ARP, PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x40, 0x80
KNOWN: Final = REACHABLE | STALE | DELAY | PROBE
FIXED: Final = NO_ARP | PERMANENT
NTF_USE: Final = 0x01
POLL_S: Final = 0.01
_PROBLEMS: Final = (KernelRefused, Unreadable, wire.MalformedMessage)


class Neighbours:
    """The neighbours of this network namespace. Belongs to one thread. Raises OSError when it cannot be opened."""

    def __init__(self) -> None:
        self._channel = NetlinkChannel()

    def __enter__(self) -> Neighbours:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def known(self) -> tuple[Neighbour, ...]:
        """Every host that has answered on a link and is still known. Empty when the table cannot be read."""
        try:
            names = self._names()
            found = self._table()
        except _PROBLEMS:
            return ()
        return tuple(
            Neighbour(names[link], address, bool(state & REACHABLE))
            for (link, address), state in found.items()
            if state & KNOWN and link in names and not ipaddress.ip_address(address).is_multicast
        )

    def link_to(self, address: str) -> str | None:
        """The name of the link that packets to an address leave by, through a gateway or not. None without one."""
        try:
            link, _ = self._way_to(address)
            return self._names().get(link)
        except (*_PROBLEMS, ValueError):
            return None

    def answers(self, targets: Collection[str], timeout_s: float) -> frozenset[str]:
        """The targets that answer within `timeout_s`. A target is an address, `fe80::1%eth0` for a link-local one.

        A target that is no neighbour (behind a gateway, or without a route) does not answer.
        """
        waiting: dict[tuple[int, str], str] = {}
        states: dict[tuple[int, str], int] = {}
        with contextlib.suppress(*_PROBLEMS):
            states = self._table() if targets else {}
        for target in targets:
            with contextlib.suppress(*_PROBLEMS, ValueError):
                place = self._place(target)
                if place is not None and self._ask(*place, states.get(place, 0)):
                    waiting[place] = target
        answered: set[str] = set()
        end_s = time.monotonic() + timeout_s
        while waiting and time.monotonic() < end_s:
            try:
                states = self._table()
            except _PROBLEMS:
                break
            for place in [place for place in waiting if states.get(place, 0) & REACHABLE]:
                answered.add(waiting.pop(place))
            if waiting:
                time.sleep(POLL_S)
        return frozenset(answered)

    def _place(self, target: str) -> tuple[int, str] | None:
        """Link and address of a target; None when it is behind a gateway."""
        address, _, link = target.partition("%")
        if link:
            return self._channel.index_of(link), address
        index, is_direct = self._way_to(address)
        return (index, address) if is_direct else None

    def _ask(self, link: int, address: str, state: int) -> bool:
        """Make the kernel ask whether a neighbour is there, whose entry is in `state`; False when it would not."""
        if state & FIXED:
            return False
        ip = ipaddress.ip_address(address)
        family = 2 if ip.version == 4 else 10
        asked, flags = (PROBE, 0) if state & KNOWN else (0, NTF_USE)
        body = NEIGHBOUR_HEADER.pack(family, link, asked, flags, 0) + wire.attribute(NDA_DST, ip.packed)
        self._channel.request(NEW_NEIGHBOUR, wire.REPLACE if state & KNOWN else wire.CREATE, body)
        return True

    def _table(self) -> dict[tuple[int, str], int]:
        """The state of every entry by link and address."""
        found = {}
        for payload in self._channel.dump(GET_NEIGHBOUR, NEIGHBOUR_HEADER.pack(0, 0, 0, 0, 0)):
            family, link, state, _, _ = wire.header(NEIGHBOUR_HEADER, payload)
            raw = wire.attributes(payload, NEIGHBOUR_HEADER.size).get(NDA_DST)
            if raw is not None and len(raw) == {2: 4, 10: 16}.get(family):
                found[link, text_form(raw)] = state
        return found

    def _way_to(self, address: str) -> tuple[int, bool]:
        """The link that packets to an address leave by (the loopback for an own one), and whether it is a neighbour."""
        ip = ipaddress.ip_address(address)
        family = 2 if ip.version == 4 else 10
        fixed = wire.ROUTE_HEADER.pack(family, ip.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
        payload = self._channel.ask(wire.GET_ROUTE, fixed + wire.attribute(wire.RTA_DST, ip.packed))
        kind = wire.header(wire.ROUTE_HEADER, payload)[7]
        found = wire.attributes(payload, wire.ROUTE_HEADER.size)
        is_direct = kind == wire.UNICAST and wire.RTA_GATEWAY not in found and wire.RTA_VIA not in found
        return wire.value_of(wire.S32, found.get(wire.RTA_OIF)), is_direct

    def _names(self) -> dict[int, str]:
        found = {}
        for payload in self._channel.dump(wire.GET_LINK, ALL_LINKS):
            record = read_link(payload)
            found[record.index] = record.name
        return found
