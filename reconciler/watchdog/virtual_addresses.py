"""Virtual addresses and links of this controller: adds and removes addresses, and reports links to the core.

Where the orders name no device for an interface, the kernel's interface of that name is meant. Reports changed indices
and links to the heartbeats and to CARP. Stores no name of a kernel interface, because names may change.
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
    """The addresses, links and CARP advertisements of one daemon."""

    def __init__(
        self,
        loop: EventLoop,
        daemon: Daemon,
        heartbeats: Heartbeats,
        timeline: Timeline,
        run: Path,
        passwords: tuple[bytes, ...],
    ) -> None:
        self._loop, self._daemon, self._heartbeats, self._timeline = loop, daemon, heartbeats, timeline
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
        """Use the addresses, groups and devices of these orders."""
        self._orders = orders
        known = {device.name for device in orders.devices}
        named = [channel.name for channel in orders.channels]
        named += [name for group in orders.groups for name in group.interfaces]
        more = tuple(Device(name, DeviceKey.NAME, name) for name in dict.fromkeys(named) if name not in known)
        self._placement.follow(orders.addresses, (*orders.devices, *more), on_virtual_mac=orders.carp.virtual_mac)
        self._advertisements.set_orders(orders)
        # Look immediately: a channel without its interface receives nothing.
        self._looks = -1
        self._step()

    def set_passwords(self, passwords: tuple[bytes, ...]) -> None:
        """Use other CARP passwords: the first one seals."""
        self._advertisements.set_passwords(passwords)

    def set_wanted(self, *, wanted: bool, kept: bool) -> None:
        """Add the addresses (`wanted`), leave them as they are (`kept`), or remove them (neither).

        Done when this returns, as far as the kernel allows it.
        """
        here = True if wanted else None if kept else False
        if here == self._wanted:
            return
        self._wanted = here
        self._placement.want(here)
        if not here:
            # A last advertisement only if the addresses are removed, not if they are left as they are.
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
        peers = {line.peer_mac for line in self._heartbeats.channels if line.peer_mac}
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
        """The CARP counters that a successor continues."""
        return self._advertisements.counters()

    @property
    def all_present(self) -> bool:
        """Whether the timeline says that all addresses are here."""
        return self._all_present is True

    def resume(self, counters: tuple[tuple[str, int, int], ...], *, here: bool) -> None:
        """Continue after the predecessor. `here`: the timeline already says that all addresses are here."""
        self._all_present = here
        self._advertisements.resume(counters, self._daemon.durable.incarnation)

    def carp_rows(self) -> tuple[CarpStatus, ...]:
        """For the status."""
        return self._advertisements.rows(monotonic_ms())

    def reasons(self) -> tuple[ReasonStatus, ...]:
        """Problems with addresses and advertisements."""
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
        """Close the sockets. Addresses and settings stay for the next daemon."""
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
        """Report a new look to heartbeats, CARP, timeline and daemon."""
        placed, snapshot, orders = self._placement.placed(monotonic_ms()), self._placement.snapshot, self._orders
        if placed.looks == self._looks or snapshot is None or orders is None:
            return
        self._looks = placed.looks
        indices = placed.interfaces
        self._heartbeats.bind_interfaces({name: index for name, index in indices.items() if index is not None})
        self._advertisements.bind_interfaces(indices, snapshot)
        up = set()
        for name in (name for group in orders.groups for name in group.interfaces):
            link = snapshot.links.get(indices.get(name) or 0)
            if link is not None and link.up and link.carrier:
                up.add(name)
        self._note_presence(len(placed.present) == len(orders.addresses) > 0)
        self._daemon.links_seen(frozenset(up))

    def _note_presence(self, all_here: bool) -> None:
        if self._wanted is not None and all_here is not self._all_present:
            if self._all_present is not None or all_here:
                self._timeline.addresses_changed(up=all_here)
            self._all_present = all_here
