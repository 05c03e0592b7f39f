"""One change of one fact as requests to the kernel.

Decides which requests make a change, and which answers of the kernel mean that it is done already. Each change is
one request where the kernel allows it. Does not know why, or in which order, changes are made.
"""

from __future__ import annotations

import errno
import socket
from typing import assert_never

from reconciler.core.facts.fact import Address, Link, LinkKind, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.ownership import MARK_LENGTH_MAX, mark_text
from reconciler.errors import PerformError
from reconciler.system.netlink import wire
from reconciler.system.netlink.addresses import (
    addresses_request,
    new_address,
    old_address,
    promote_secondaries,
    raw_form,
    read_address,
)
from reconciler.system.netlink.channel import KernelRefused, NetlinkChannel
from reconciler.system.netlink.links import LinkRecord
from reconciler.system.netlink.look import NarrowLook
from reconciler.system.netlink.routes import route_message

#: Facts that live in the kernel's network tables.
NetlinkFact = Link | Port | Power | Mtu | Mark | Address | Route

_NO_LINK = wire.LINK_HEADER.pack(0, 0, 0, 0, 0)
_UP = wire.LINK_HEADER.pack(0, 0, 0, wire.IFF_UP, wire.IFF_UP)
_DOWN = wire.LINK_HEADER.pack(0, 0, 0, 0, wire.IFF_UP)


class Changes:
    """Makes changes over one channel. Every method raises Refused, or PerformError where hagit itself refuses."""

    def __init__(self, channel: NetlinkChannel, narrow: NarrowLook) -> None:
        self._channel = channel
        self._narrow = narrow

    def make(self, before: NetlinkFact | None, after: NetlinkFact | None) -> None:
        """The one change."""
        match after if after is not None else before:
            case Address() as address:
                self._address(before, address) if after is not None else self._no_address(address)
            case Route() as route:
                self._route(route, replace=before is not None) if after is not None else self._no_route(route)
            case Mtu(link=link, size=size):
                _never_removed(after, "an MTU")
                self._set(link, _NO_LINK, wire.number(wire.IFLA_MTU, size))
            case Mark(link=link, text=text):
                self._mark(link, text) if after is not None else self._no_mark(link)
            case Power(link=link, up=up):
                _never_removed(after, "a power state")
                self._set(link, _UP if up else _DOWN, b"")
            case Port() as port:
                self._port(port) if after is not None else self._no_port(port)
            case Link() as link:
                assert before is None or isinstance(before, Link)
                self._link(before, link) if after is not None else self._no_link(link)
            case None:
                raise AssertionError("a change of nothing")
            case other:
                assert_never(other)

    def _set(self, link: str, header: bytes, attributes: bytes) -> None:
        self._channel.request(wire.SET_LINK, 0, header + wire.text(wire.IFLA_IFNAME, link) + attributes)

    def _address(self, before: NetlinkFact | None, fact: Address) -> None:
        index = self._channel.index_of(fact.link)
        # A change is one of lifetime and stamp, in place: the address answers all the time.
        flags = wire.CREATE | (wire.EXCLUSIVE if before is None else wire.REPLACE)
        try:
            self._channel.request(wire.NEW_ADDRESS, flags, new_address(index, fact.address))
        except KernelRefused as problem:
            if problem.code != errno.EEXIST or not self._holds(fact):
                raise

    def _holds(self, fact: Address) -> bool:
        return any(record.fact(fact.link) == fact for record in self._narrow.addresses(fact.link))

    def _no_address(self, fact: Address) -> None:
        raw_peer = b""
        try:
            index = self._channel.index_of(fact.link)
            if raw_form(fact.address)[0] == socket.AF_INET:
                payloads = self._channel.dump(wire.GET_ADDRESS, addresses_request(socket.AF_INET, index))
                held = [read_address(payload) for payload in payloads]
                # The kernel seeks by IFA_ADDRESS, which is the other end's where the address has a peer.
                raw_peer = next((record.raw_peer for record in held if record.address == fact.address), b"")
                # Setting this costs more than looking whether it is of use.
                if len(held) > 1:
                    self._channel.request(wire.SET_LINK, 0, promote_secondaries(index))
            self._channel.request(wire.DEL_ADDRESS, 0, old_address(index, fact.address, raw_peer))
        except KernelRefused as problem:
            if problem.code not in (errno.ENODEV, errno.EADDRNOTAVAIL):
                raise

    def _route(self, fact: Route, *, replace: bool) -> None:
        index = self._channel.index_of(fact.link) if fact.link is not None else 0
        flags = wire.CREATE | (wire.REPLACE if replace else wire.EXCLUSIVE)
        try:
            self._channel.request(wire.NEW_ROUTE, flags, route_message(fact, index))
        except KernelRefused as problem:
            if problem.code != errno.EEXIST:
                raise
            found = self._narrow.route(fact.destination, fact.metric)
            live = found.route if found is not None else None
            if live is None or live.traits or live.gateway != fact.gateway or fact.link not in (None, live.link):
                raise

    def _no_route(self, fact: Route) -> None:
        # To the kernel metric 0 means any, so without a look the next best route to the place would go instead.
        if fact.metric == 0 and self._narrow.route(fact.destination, 0) is None:
            return
        try:
            index = self._channel.index_of(fact.link) if fact.link is not None else 0
            self._channel.request(wire.DEL_ROUTE, 0, route_message(fact, index, remove=True))
        except KernelRefused as problem:
            if problem.code not in (errno.ESRCH, errno.ENODEV):
                raise

    def _mark(self, link: str, text: str) -> None:
        if len(text.encode()) > MARK_LENGTH_MAX:
            raise PerformError(f"an alias has at most {MARK_LENGTH_MAX} bytes", where=link, remedy="use shorter names")
        self._set(link, _NO_LINK, wire.attribute(wire.IFLA_IFALIAS, text.encode()))

    def _no_mark(self, link: str) -> None:
        try:
            self._set(link, _NO_LINK, wire.attribute(wire.IFLA_IFALIAS, b""))
        except KernelRefused as problem:
            if problem.code != errno.ENODEV:
                raise

    def _port(self, fact: Port) -> None:
        master, port = self._narrow.link(fact.master), self._narrow.link(fact.link)
        if master is None or port is None:
            raise KernelRefused(errno.ENODEV, f"no link {fact.master if master is None else fact.link}")
        if port.master == master.index:
            return
        if master.kind is LinkKind.BOND and port.up:
            # Bonding takes only a port that is down, and opens it itself.
            self._set(fact.link, _DOWN, b"")
        self._set(fact.link, _NO_LINK, wire.number(wire.IFLA_MASTER, master.index))

    def _no_port(self, fact: Port) -> None:
        port = self._narrow.link(fact.link)
        if port is None or not port.master:
            return
        master = self._narrow.link(fact.master)
        if master is not None and master.index != port.master:
            raise PerformError(
                f"{fact.link} left {fact.master} for another master since the plan was made",
                where=fact.link,
                remedy="make a new plan",
            )
        self._set(fact.link, _NO_LINK, wire.number(wire.IFLA_MASTER, 0))

    def _link(self, before: Link | None, after: Link) -> None:
        if after.kind is LinkKind.PHYSICAL:
            raise PerformError("hagit makes no NIC", where=after.name, remedy="plug it in, or correct its match")
        if before is not None and _make(before) != _make(after):
            raise PerformError("this change needs the link to be made anew", where=after.name, remedy="make a new plan")
        # Not before it is needed: this import costs a tenth of a second.
        from reconciler.system.netlink.creation import link_message

        if before is not None:
            body = link_message(after, 0, only=before.bond)
            return self._channel.request(wire.NEW_LINK, 0, body)
        parent = self._channel.index_of(after.parent) if after.parent is not None else 0
        try:
            self._channel.request(wire.NEW_LINK, wire.CREATE | wire.EXCLUSIVE, link_message(after, parent))
        except KernelRefused as problem:
            if problem.code != errno.EEXIST or self._narrow.at([after.key])[after.key] != after:
                raise
        found = self._narrow.link(after.name)
        # The kernel takes no alias at creation; without the stamp a crash would leave a link without an owner.
        if found is not None and not found.alias:
            self._mark(after.name, mark_text(after.name, None, interlink=False))
        return None

    def _no_link(self, fact: Link) -> None:
        found: LinkRecord | None = self._narrow.link(fact.name)
        if found is None:
            return
        if fact.kind is LinkKind.PHYSICAL or found.kind is not fact.kind:
            raise PerformError(
                f"hagit removes no {found.kind.value} link in the place of a {fact.kind.value} one",
                where=fact.name,
                remedy="make a new plan",
            )
        self._channel.request(wire.DEL_LINK, 0, wire.LINK_HEADER.pack(0, 0, found.index, 0, 0))


def _make(link: Link) -> tuple[object, ...]:
    """What cannot be changed in a link that exists."""
    return (link.name, link.kind, link.parent, link.vlan_id)


def _never_removed(after: NetlinkFact | None, what: str) -> None:
    if after is None:
        raise PerformError(f"{what} can be changed, not removed", remedy="this is a defect of the plan; report it")
