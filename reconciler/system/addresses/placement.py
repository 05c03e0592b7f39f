"""AddressPlacement: the virtual addresses of one controller behind one object for a loop of file descriptors.

Joins the parts. Decides when to look again: at once when asked or when the kernel says that something changed, a
second after something was refused, and every few seconds anyhow. Never raises because of the network: interfaces that
are gone, renamed or refused are `Problem` values. Does not know roles: `want` says whether the addresses belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

from reconciler.core.failover.orders.orders import Device, DeviceKey, VirtualAddress
from reconciler.system.addresses.announcer import Announcer, Target
from reconciler.system.addresses.duplicates import Duplicate, DuplicateWatch
from reconciler.system.addresses.executor import PlanExecutor
from reconciler.system.addresses.links import Links
from reconciler.system.addresses.plan import AddressPlace, Problem, Stray, is_own_link, plan, strays, virtual_mac
from reconciler.system.addresses.resolve import resolve
from reconciler.system.addresses.settings import InterfaceSettings
from reconciler.system.addresses.snapshot import Blind, NetworkSnapshot

#: Another process may change what no event reports.
LOOK_EVERY_MS: Final = 5_000
RETRY_MS: Final = 1_000
BLIND_MS: Final = 100
#: A storm of events costs one look in this time.
LOOKS_APART_MS: Final = 20
JOURNAL: Final = "addresses.json"


@dataclass(frozen=True, slots=True)
class Placed:
    """What is where now. Addresses without prefix, as the kernel writes them.

    `wanted` is empty while the addresses do not belong here; `strays` are those that are here all the same. `ages_ms`:
    how long ago each duplicate was heard last. `interfaces`: resource name -> index, None when no
    interface, or several, answer to it. `looks` rises with every look: callers then derive from `snapshot` anew.
    """

    wanted: tuple[str, ...]
    present: tuple[str, ...]
    problems: tuple[Problem, ...]
    interfaces: dict[str, int | None]
    looks: int
    strays: tuple[Stray, ...] = ()
    ages_ms: Mapping[Duplicate, int] = field(default_factory=dict)

    @property
    def duplicates(self) -> tuple[Duplicate, ...]:
        """Other machines that say to have one of the addresses."""
        return tuple(sorted(self.ages_ms))


class AddressPlacement:
    """Places, announces and guards the addresses. `run` is the directory for the journal of settings.

    Call `step` whenever one of `sockets()` is readable and at the moment the last `step` named. Raises
    ObservationError only when it cannot be made.
    """

    def __init__(self, run: Path) -> None:
        self.links = Links()
        self.announcer = Announcer()
        self.watch = DuplicateWatch()
        self.snapshot: NetworkSnapshot | None = None
        self._addresses = PlanExecutor(self.links)
        self._settings = InterfaceSettings(self.links, run / JOURNAL)
        self._orders: tuple[VirtualAddress, ...] = ()
        self._devices: tuple[Device, ...] = ()
        self._on_virtual_mac = False
        self._wanted: bool | None = False
        self._look_ms: int | None = None
        self._looked_ms = 0
        self._looks = 0
        self._interfaces: dict[str, int | None] = {}
        self._present: tuple[AddressPlace, ...] = ()
        self._problems: tuple[Problem, ...] = ()
        self._strays: tuple[Stray, ...] = ()

    def sockets(self) -> tuple[int, ...]:
        """The descriptors to wait for; they stay the same."""
        return (self.links.fileno(), *(opened.fileno() for opened in self.watch.sockets()))

    def follow(
        self, addresses: Sequence[VirtualAddress], devices: Sequence[Device], *, on_virtual_mac: bool = False
    ) -> None:
        """Which addresses from now on. An interface that no device tells is the kernel's name of it.

        The settings are kept on their interfaces from the next step on, wanted or not.
        """
        known = {device.name for device in devices}
        names = dict.fromkeys(address.interface for address in addresses if address.interface not in known)
        self._orders = tuple(addresses)
        self._devices = (*devices, *(Device(name, DeviceKey.NAME, name) for name in names))
        self._on_virtual_mac = on_virtual_mac
        self._look_ms = None

    def want(self, wanted: bool | None) -> None:
        """Whether the addresses belong on this controller; the next step acts on it. None: they stay as they are."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._look_ms = None

    def step(self, now_ms: int) -> int:
        """Everything that is to be done now; the moment of the next step if no socket is readable before."""
        if self.links.drain() and self._look_ms is not None:
            self._look_ms = min(self._look_ms, self._looked_ms + LOOKS_APART_MS)
        # Before the look: what was said while we did not have an address is nothing against us.
        duplicates = self.watch.drain(now_ms)
        if self._look_ms is None or now_ms >= self._look_ms:
            self._look(now_ms)
        for seen in duplicates:
            self.announcer.defend(seen.address, now_ms)
        self.announcer.ask({seen.address for seen in self.watch.present(now_ms)}, now_ms)
        self.announcer.send_due(now_ms)
        assert self._look_ms is not None
        announcing_ms = self.announcer.next_ms()
        return self._look_ms if announcing_ms is None else min(self._look_ms, announcing_ms)

    def _look(self, now_ms: int) -> None:
        self._looked_ms = now_ms
        snapshot = self.links.snapshot()
        if isinstance(snapshot, Blind):
            self._problems = (Problem("netlink", snapshot.why),)
            self._look_ms = now_ms + BLIND_MS
            if not self._wanted:
                # They may still be here, but are no longer announced.
                self.announcer.follow((), now_ms)
            return
        self._interfaces = resolve(self._devices, snapshot)
        places, problems = self._places()
        self._strays = strays(snapshot, places) if self._wanted is False else ()
        problems += self._settings.manage({place.index for place in places}, snapshot)
        if self._wanted is None:
            self._present = plan(snapshot, places, on_virtual_mac=self._on_virtual_mac).present
            self.snapshot, self._problems = snapshot, tuple(dict.fromkeys(problems))
            self._looks += 1
            # What may not be touched is not answered for either; a burst follows when it is wanted again.
            self.announcer.follow((), now_ms)
            self._look_ms = now_ms + (RETRY_MS if problems else LOOK_EVERY_MS)
            return
        wanted = places if self._wanted else []
        outcome = self._addresses.reconcile(wanted, on_virtual_mac=self._on_virtual_mac, look=snapshot)
        problems += outcome.problems
        self._present = outcome.present
        if outcome.snapshot is not None:
            self.snapshot = outcome.snapshot
            self._looks += 1
            self._tell(outcome.snapshot, now_ms)
        if self._settings.problem is not None and self._settings.problem not in problems:
            problems.append(self._settings.problem)
        self._problems = tuple(dict.fromkeys(problems))
        self._look_ms = now_ms + (LOOKS_APART_MS if outcome.later else RETRY_MS if problems else LOOK_EVERY_MS)

    def _places(self) -> tuple[list[AddressPlace], list[Problem]]:
        places: list[AddressPlace] = []
        problems: list[Problem] = []
        for order in self._orders:
            index = self._interfaces.get(order.interface)
            if index is None:
                what = f"no interface, or more than one, answers to {order.interface}"
                problems.append(Problem(order.address, what))
                continue
            place = AddressPlace(index, order.address, order.vhid)
            try:
                _ = place.host
            except ValueError as problem:
                problems.append(Problem(order.address, str(problem)))
                continue
            places.append(place)
        return places, problems

    def _tell(self, snapshot: NetworkSnapshot, now_ms: int) -> None:
        """Announce what is there over links that carry something; a link that comes back begins with a burst."""
        targets: list[Target] = []
        hosts: dict[str, set[int]] = {}
        for place in self._present:
            link = snapshot.links.get(place.index)
            if link is None:
                continue
            over = {made.index for made in snapshot.links.values() if is_own_link(made) and made.parent == place.index}
            hosts.setdefault(place.host, set()).update({place.index}, over)
            if link.carrier and link.mac:
                on_virtual = self._on_virtual_mac and place.vhid
                targets.append(Target(place.index, place.host, virtual_mac(place.vhid) if on_virtual else link.mac))
        own = {mac for link in snapshot.links.values() for mac in (link.mac, link.permanent) if mac}
        if self._on_virtual_mac:
            # The peer answers with it while it lets go of the address; a VRRP router of the same VHID is heard by CARP.
            own |= {virtual_mac(place.vhid) for place in self._present if place.vhid}
        self.watch.watch(hosts, own)
        self.announcer.follow(targets, now_ms)

    def placed(self, now_ms: int) -> Placed:
        """For status, reasons and the core."""
        wanted = tuple(_host(order.address) for order in self._orders) if self._wanted else ()
        return Placed(
            wanted=wanted,
            present=tuple(place.host for place in self._present),
            problems=self._problems,
            interfaces=dict(self._interfaces),
            looks=self._looks,
            strays=self._strays,
            ages_ms=self.watch.ages_ms(now_ms),
        )

    def close(self, *, restore: bool) -> tuple[Problem, ...]:
        """Gives the sockets back. `restore`: and the settings; without it the next start goes on where this one was.

        The addresses stay as they are. To remove them before closing, want none and step once more.
        """
        problems: tuple[Problem, ...] = ()
        if restore:
            snapshot = self.links.snapshot()
            problems = (
                (Problem("netlink", snapshot.why),) if isinstance(snapshot, Blind) else self._settings.restore(snapshot)
            )
        for part in (self.links, self.announcer, self.watch):
            part.close()
        return problems


def _host(address: str) -> str:
    """An address in the kernel's form; what cannot be read as one stays as it is, and has a problem of its own."""
    try:
        return str(ip_interface(address).ip)
    except ValueError:
        return address
