"""Virtual addresses and links on this controller, as the daemon wants them and as the core has to know them.

Decides what a name of the orders stands for where no device tells: the kernel's interface of that name. Tells the
beats and the advertisements whenever names, indices or links changed; nothing here remembers a name of the kernel.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.failover.orders.orders import Device, DeviceKey, Orders
from reconciler.core.status.watchdog import AddressStatus, CarpStatus, ReasonStatus
from reconciler.system.addresses.placement import AddressPlacement
from reconciler.watchdog.carp_advertiser import CarpAdvertiser
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import EventLoop, Timer, monotonic_ms
from reconciler.watchdog.heartbeats import Heartbeats
from reconciler.watchdog.timeline import Timeline


class AddressService:
    """The network side of one daemon besides its beats."""

    def __init__(
        self,
        loop: EventLoop,
        daemon: Daemon,
        beats: Heartbeats,
        timeline: Timeline,
        run: Path,
        passwords: tuple[bytes, ...],
    ) -> None:
        self._loop, self._daemon, self._beats, self._timeline = loop, daemon, beats, timeline
        self._placement = AddressPlacement(run)
        self._placement.want(None)
        self._advertisements = CarpAdvertiser(
            loop, passwords, daemon.durable.incarnation, lambda: daemon.core.peer.incarnation if daemon.core else 0
        )
        self._orders: Orders | None = None
        self._wanted: bool | None = None
        self._looks = -1
        self._all_present: bool | None = None
        self._timer: Timer | None = None
        self._stepping = False
        for descriptor in self._placement.sockets():
            loop.watch(descriptor, self._step)

    def set_orders(self, orders: Orders) -> None:
        """New addresses, groups or devices."""
        self._orders = orders
        known = {device.name for device in orders.devices}
        named = [channel.name for channel in orders.channels]
        named += [name for group in orders.groups for name in group.interfaces]
        more = tuple(Device(name, DeviceKey.NAME, name) for name in dict.fromkeys(named) if name not in known)
        self._placement.follow(orders.addresses, (*orders.devices, *more), on_virtual_mac=orders.carp.virtual_mac)
        self._advertisements.set_orders(orders)
        # Look at once: a channel without its interface is deaf.
        self._looks = -1
        self._step()

    def set_passwords(self, passwords: tuple[bytes, ...]) -> None:
        """Other passwords of CARP; the first one seals."""
        self._advertisements.set_passwords(passwords)

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """The addresses are here, stay as they are, or are not here: when this returns, as far as the kernel lets."""
        here = True if wanted else None if kept else False
        if here == self._wanted:
            return
        self._wanted = here
        self._placement.want(here)
        if not here:
            # Where nothing is known or may be touched, nothing is said either.
            self._advertisements.set_advertising(False, farewell=here is False)
        self._step()
        if here:
            self._advertisements.set_advertising(True)

    def address_rows(self) -> tuple[AddressStatus, ...]:
        """For the status."""
        placed = self._placement.placed(monotonic_ms())
        if self._orders is None:
            return ()
        heard: dict[str, tuple[str, int | None]] = {}
        for duplicate, age_ms in sorted(placed.ages_ms.items(), key=lambda one: -one[1]):
            heard[duplicate.address] = duplicate.mac, age_ms
        peers = {line.peer_mac for line in self._beats.channels if line.peer_mac}
        found = []
        for address in self._orders.addresses:
            host = address.address.partition("/")[0]
            mac, since_ms = heard.get(host, ("", None))
            found.append(
                AddressStatus(
                    address=host,
                    interface=address.interface,
                    wanted=bool(self._wanted),
                    present=host in placed.present or any(stray.host == host for stray in placed.strays),
                    duplicate=mac,
                    duplicate_age_ms=since_ms,
                    of_the_peer=bool(mac) and mac in peers,
                )
            )
        return tuple(found)

    def carp_counters(self) -> tuple[tuple[str, int, int], ...]:
        """What the next daemon has to count on from, where it goes on in the same life."""
        return self._advertisements.counters()

    @property
    def all_present(self) -> bool:
        """Whether all addresses have been told of as here."""
        return self._all_present is True

    def resume(self, counters: tuple[tuple[str, int, int], ...], *, here: bool) -> None:
        """Another daemon's life goes on here, under its number; what it told of the addresses is not told again."""
        self._all_present = here
        self._advertisements.resume(counters, self._daemon.durable.incarnation)

    def carp_rows(self) -> tuple[CarpStatus, ...]:
        """For the status."""
        return self._advertisements.rows(monotonic_ms())

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """What is not as it should be."""
        placed = self._placement.placed(monotonic_ms())
        found = [
            ReasonStatus(
                code="ADDRESS_PROBLEM",
                text=f"{problem.where}: {problem.what}",
                remedy=problem.remedy or "look at `ip address` and `ip link` on this controller",
            )
            for problem in (*placed.problems, *(stray.problem() for stray in placed.strays))
        ]
        found += [
            ReasonStatus(
                code="CARP_PROBLEM",
                text=f"no advertisements on {interface}",
                evidence=problem,
                remedy=f"look whether {interface} is here, up, and has an address",
            )
            for interface, problem in self._advertisements.problems()
        ]
        return tuple(found)

    def close(self) -> None:
        """Gives the sockets back; addresses and settings stay for the next daemon."""
        for descriptor in self._placement.sockets():
            self._loop.unwatch(descriptor)
        self._placement.close(restore=False)
        self._advertisements.close()

    def _step(self) -> None:
        if self._orders is None:
            self._placement.links.drain()
            return
        if self._stepping:
            return
        self._stepping = True
        try:
            due_ms = self._placement.step(monotonic_ms())
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.at(due_ms, self._step)
            self._report()
        finally:
            self._stepping = False

    def _report(self) -> None:
        """What a new look means to the other parts."""
        placed, sight, orders = self._placement.placed(monotonic_ms()), self._placement.sight, self._orders
        if placed.looks == self._looks or sight is None or orders is None:
            return
        self._looks = placed.looks
        indices = placed.interfaces
        self._beats.bind_interfaces({name: index for name, index in indices.items() if index is not None})
        self._advertisements.bind_interfaces(indices, sight)
        up = set()
        for name in (name for group in orders.groups for name in group.interfaces):
            link = sight.links.get(indices.get(name) or 0)
            if link is not None and link.up and link.carrier:
                up.add(name)
        self._note_presence(len(placed.present) == len(orders.addresses) > 0)
        self._daemon.links_seen(frozenset(up))

    def _note_presence(self, all_here: bool) -> None:
        if self._wanted is not None and all_here is not self._all_present:
            if self._all_present is not None or all_here:
                self._timeline.addresses_changed(up=all_here)
            self._all_present = all_here
