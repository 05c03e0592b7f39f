"""Links: says when links and addresses changed, and looks at all of them.

Events are a trigger and the look is the truth, so their content is not read, and events lost to a full socket count as
one. Belongs to the network namespace it was made in. Does not know which interfaces matter.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Final

from reconciler.core.facts.ownership import WATCHDOG_PROTOCOL
from reconciler.errors import ObservationError
from reconciler.system.addresses.snapshot import Blind, NetworkSnapshot, address_seen, link_seen, route_seen
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import FAMILIES, addresses_request
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel, Unreadable
from reconciler.system.netlink.links import ALL_LINKS
from reconciler.system.netlink.monitor import NetlinkEvents

#: RTNLGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR (linux/rtnetlink.h). A route that is lost comes with one of these.
_GROUPS: Final = (1, 5, 9)
#: Enough for some thousand events. An overflow costs a look and nothing else.
_RECEIVE_BUFFER_BYTES: Final = 1 << 20
#: Reads in one `drain`; a storm that goes on is met again by the next.
READS_MAX: Final = 4_096


class Links:
    """Hears link and address events, and looks. Raises ObservationError when it cannot be made.

    `fileno()` is readable when there is something to drain. `channel` is for requests in the same namespace.
    """

    def __init__(self, receive_buffer_bytes: int = _RECEIVE_BUFFER_BYTES) -> None:
        with contextlib.ExitStack() as opened:
            try:
                self._events = NetlinkEvents(_GROUPS, receive_buffer_bytes, READS_MAX)
                opened.callback(self._events.close)
                self.channel = NetlinkChannel()
            except OSError as problem:
                raise ObservationError(
                    f"cannot listen to network events: {problem.strerror}", remedy="raise the limit of open files"
                ) from problem
            opened.pop_all()

    def fileno(self) -> int:
        """For select(2) and its kin."""
        return self._events.fileno()

    def drain(self) -> bool:
        """Takes what waits, at most READS_MAX events. True when something changed, or may have."""
        try:
            return self._events.drain()
        except OSError:
            # The socket reports nothing any more: look now.
            return True

    def snapshot(self) -> NetworkSnapshot | Blind:
        """One look at everything; bounded by the channel's limits, in practice by milliseconds."""
        try:
            links = {seen.index: seen for seen in map(link_seen, self.channel.dump(wire.GET_LINK, ALL_LINKS))}
            addresses = [
                address_seen(payload)
                for family in FAMILIES
                for payload in self._dump(wire.GET_ADDRESS, addresses_request(family))
            ]
            routes = [
                seen
                for family in FAMILIES
                for payload in self._dump(wire.GET_ROUTE, _own_routes(family))
                if (seen := route_seen(payload, WATCHDOG_PROTOCOL)) is not None
            ]
        except (KernelRefused, Unreadable, wire.MalformedMessage, OSError) as problem:
            return Blind(f"the network of this controller cannot be read: {problem}")
        # An address on a link that came after the links were read is left to the next look.
        return NetworkSnapshot(links, tuple(a for a in addresses if a.index in links), tuple(routes))

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        """A table; empty where the kernel has no such family or table."""
        try:
            return self.channel.dump(kind, body)
        except KernelRefused as problem:
            if problem.code in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.ENOENT):
                return []
            raise

    def close(self) -> None:
        """Gives the sockets back."""
        self._events.close()
        self.channel.close()


def _own_routes(family: int) -> bytes:
    """The request for the unicast routes of the main table that carry the watchdog's stamp: the kernel picks them."""
    fixed = wire.ROUTE_HEADER.pack(family, 0, 0, 0, wire.MAIN_TABLE, WATCHDOG_PROTOCOL, 0, wire.UNICAST, 0)
    return fixed + wire.number(wire.RTA_TABLE, wire.MAIN_TABLE)
