"""CARP on the interfaces with virtual addresses: the active controller advertises, both controllers listen.

Advertisements tell network tools which controller is master. Received ones reveal wrong passwords, foreign users of the
VHID and two masters. They are no sign of life of the peer, and they decide no roles: the disks do. Does not know the
core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from reconciler.core.facts.ownership import Owner
from reconciler.core.failover.carp.advertisement import (
    Advertisement,
    CarpKey,
    carp_key,
    decode_advertisement,
    encode_advertisement,
)
from reconciler.core.failover.carp.monitor import (
    Overheard,
    Parties,
    counters_of,
    first_counter,
    overhear,
    role_seen,
)
from reconciler.core.failover.heartbeats.keyring import decode_any
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.status.watchdog import CarpStatus
from reconciler.system.addresses.snapshot import NetworkSnapshot
from reconciler.system.carp import CarpSocket, Family
from reconciler.watchdog.event_loop import EventLoop, Timer, monotonic_ms

#: advbase and advskew of the last advertisement: receivers do not wait for another one (ip_carp.c).
FAREWELL = 255


@dataclass(slots=True)
class CarpHost:
    """One virtual host ID on one interface.

    `others`: further accepted keys. `own`: the static addresses of this controller on the interface. `first`: the first
    counter of this daemon. `sent`: the number of advertisements sent.
    """

    interface: str
    key: CarpKey
    families: frozenset[Family]
    counter: int
    others: tuple[CarpKey, ...] = ()
    overheard: Overheard = field(default_factory=Overheard)
    sockets: dict[Family, CarpSocket] = field(default_factory=dict)
    own: frozenset[IPv4Address | IPv6Address] = frozenset()
    first: int = 0
    sent: int = 0
    problem: str = ""


class CarpAdvertiser:
    """All virtual hosts of the orders.

    `peer` returns the incarnation of the peer's daemon, 0 before its first heartbeat.
    """

    def __init__(
        self, loop: EventLoop, passwords: tuple[bytes, ...], incarnation: int, peer: Callable[[], int]
    ) -> None:
        self._loop, self._passwords, self._incarnation, self._peer = loop, passwords, incarnation, peer
        self._hosts: list[CarpHost] = []
        self._orders: Orders | None = None
        self._timer: Timer | None = None
        self.advertising = False

    def set_orders(self, orders: Orders) -> None:
        """Use the virtual hosts of these orders. One whose addresses stay keeps its counters."""
        before = {(host.interface, host.key.vhid): host for host in self._hosts}
        self._orders, self._hosts = orders, []
        wanted: dict[tuple[str, int], list[str]] = {}
        for address in orders.addresses:
            wanted.setdefault((address.interface, address.vhid), []).append(address.address)
        for (interface, vhid), addresses in wanted.items():
            key, *others = (carp_key(password, vhid, addresses) for password in self._passwords)
            old = before.get((interface, vhid))
            if old is not None and old.key == key:
                del before[interface, vhid]
                old.others = tuple(others)
                self._hosts.append(old)
                continue
            families = {Family.IPV6 if ip_interface(text).version == 6 else Family.IPV4 for text in addresses}
            first = old.counter + 1 if old is not None else first_counter(self._incarnation, orders.side)
            self._hosts.append(CarpHost(interface, key, frozenset(families), first, tuple(others), first=first))
        for gone in before.values():
            self._close(gone)

    def set_passwords(self, passwords: tuple[bytes, ...]) -> None:
        """Use other passwords: the first one seals. Counters continue."""
        self._passwords = passwords
        for host in self._hosts:
            host.key, *others = (replace(host.key, password=password) for password in passwords)
            host.others = tuple(others)

    def bind_interfaces(self, indices: Mapping[str, int | None], snapshot: NetworkSnapshot) -> None:
        """Bind each virtual host to the interface with this index, and note the static addresses there."""
        for host in self._hosts:
            index = indices.get(host.interface)
            for family in host.families:
                self._open(host, family, index)
            if index is not None:
                seen = (address for address in snapshot.on(index) if address.owner is not Owner.WATCHDOG)
                host.own = frozenset(ip_address(address.address) for address in seen)

    def _open(self, host: CarpHost, family: Family, index: int | None) -> None:
        opened = host.sockets.get(family)
        if opened is not None and opened.ifindex == index:
            return
        if opened is not None:
            self._loop.unwatch(opened.fileno())
            opened.close()
            del host.sockets[family]
        if index is None:
            host.problem = "its interface does not exist"
            return
        try:
            made = host.sockets[family] = CarpSocket(family, index)
        except OSError as error:
            host.problem = error.strerror or str(error)
            return
        host.problem = ""
        self._loop.watch(made.fileno(), lambda: self._receive(host, made))

    def set_advertising(self, wanted: bool, *, farewell: bool = False) -> None:
        """Start or stop advertising. `farewell`: send a last advertisement, so that receivers need not wait."""
        if wanted == self.advertising:
            return
        self.advertising = wanted
        if self._timer is not None:
            self._timer.cancel()
        if wanted:
            self._advertise()
        elif farewell:
            for host in self._hosts:
                self._send(host, FAREWELL, FAREWELL)

    def counters(self) -> tuple[tuple[str, int, int], ...]:
        """Interface, VHID and newest counter of each virtual host. Receivers reject a lower counter (ip_carp.c)."""
        return tuple((host.interface, host.key.vhid, host.counter) for host in self._hosts)

    def resume(self, counters: tuple[tuple[str, int, int], ...], incarnation: int) -> None:
        """Continue the counters of the predecessor. A virtual host that it did not have starts by this incarnation."""
        self._incarnation = incarnation
        known = {(interface, vhid): counter for interface, vhid, counter in counters}
        for host in self._hosts:
            first = first_counter(incarnation, self._orders.side) if self._orders is not None else host.first
            # What this process has received so far came from the predecessor.
            host.overheard = Overheard()
            host.first, host.counter = first, max(first, known.get((host.interface, host.key.vhid), first))

    def rows(self, now_ms: int) -> tuple[CarpStatus, ...]:
        """The rows of the status."""
        found = []
        for host in self._hosts:
            heard = host.overheard
            role = role_seen(heard, now_ms, advertising=self.advertising)
            found.append(
                CarpStatus(
                    interface=host.interface,
                    vhid=host.key.vhid,
                    role="" if role is None else role.value,
                    sent=host.sent,
                    heard=heard.good.count,
                    heard_age_ms=now_ms - heard.good.last_ms if heard.good.count else None,
                    bad=heard.password.count,
                    bad_age_ms=now_ms - heard.password.last_ms if heard.password.count else None,
                    strangers=heard.stranger.count,
                    stranger_age_ms=now_ms - heard.stranger.last_ms if heard.stranger.count else None,
                )
            )
        return tuple(found)

    def problems(self) -> tuple[tuple[str, str], ...]:
        """Interface and problem of each virtual host that cannot advertise."""
        return tuple((host.interface, host.problem) for host in self._hosts if host.problem)

    def close(self) -> None:
        """Close the sockets without a last advertisement: the next daemon may continue immediately."""
        if self._timer is not None:
            self._timer.cancel()
        for host in self._hosts:
            self._close(host)

    def _close(self, host: CarpHost) -> None:
        for opened in host.sockets.values():
            self._loop.unwatch(opened.fileno())
            opened.close()
        host.sockets.clear()

    def _advertise(self) -> None:
        if not self.advertising or self._orders is None:
            return
        carp = self._orders.carp
        self._timer = self._loop.after(carp.interval_ms, self._advertise)
        for host in self._hosts:
            self._send(host, carp.advbase, carp.advskew)

    def _send(self, host: CarpHost, advbase: int, advskew: int) -> None:
        host.counter += 1
        data = encode_advertisement(Advertisement(host.key.vhid, advbase, advskew, host.counter), host.key)
        source = min((address for address in host.own if isinstance(address, IPv4Address)), default=None)
        problem = ""
        for family, opened in host.sockets.items():
            problem = opened.send(data, source if family is Family.IPV4 else None) or problem
        host.problem = problem or ("" if host.sockets else host.problem)
        host.sent += not problem

    def _receive(self, host: CarpHost, opened: CarpSocket) -> None:
        peer, life = self._peer(), None
        if peer and self._orders is not None:
            life = counters_of(peer, self._orders.side.other)
        parties = Parties(host.own, life=life, sent=range(host.first, host.counter + 1))
        for packet in opened.receive():
            decoded, _ = decode_any(packet.data, (host.key, *host.others), decode_advertisement)
            host.overheard, _ = overhear(
                host.overheard, decoded, packet.source, parties, monotonic_ms(), advertising=self.advertising
            )
