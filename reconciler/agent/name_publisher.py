"""Publishing of the virtual host name while this controller is active: one thread for DNS and one for mDNS.

Level-triggered: each thread looks whether the name is published as it should be, at once after a change of revision or
role, then at intervals. So a record that someone changes comes back, and a lost event costs one interval. The name
takes no part in a failover: its addresses are the same on both controllers. The agent's loop waits for neither thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.core.facts.virtual_name import DnsUpdate, VirtualName
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.status.publication import LASTING_FAILURES, NamePublication, PublicationState
from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.errors import HagitError, PublicationError
from reconciler.system.clock import monotonic_s
from reconciler.system.node import load_node

if TYPE_CHECKING:
    from reconciler.system.names.tsig_keys import TsigKey

#: Interval between two looks at a published name.
DNS_S: Final = 600.0
#: The same while the other controller publishes, and this one sees whether it could.
STANDBY_S: Final = 600.0
MDNS_S: Final = 5.0
#: Wait after a failed try; it doubles with each.
RETRY_S_MIN: Final = 2.0
RETRY_S_MAX: Final = 300.0
#: A watchdog without a fresh status for longer no longer makes this controller active.
UNKNOWN_S_MAX: Final = 10.0


class NameMethod(Protocol):
    """One way to publish a name. Called by one thread, and may block for its own limit."""

    interval_s: float

    def described(self, wanted: VirtualName) -> NamePublication | None:
        """What is to be published in this way; None for nothing."""

    def require_ready(self, wanted: VirtualName) -> None:
        """See whether what is needed is here, before it is needed. Raises HagitError."""

    def publish(self, wanted: VirtualName) -> None:
        """Publish, or see that it is published. Raises HagitError."""

    def withdraw(self) -> None:
        """End what must end with the role of this controller. Never raises."""


class DnsMethod:
    """Address records in DNS. They stay when the controller is not active any more: the peer has the same ones."""

    interval_s = DNS_S

    def __init__(self, node: Path) -> None:
        self._node = node

    def described(self, wanted: VirtualName) -> NamePublication | None:
        """See `NameMethod`."""
        dns = wanted.dns
        return NamePublication("dns", dns.name, dns.addresses, dns.server) if dns is not None else None

    def require_ready(self, wanted: VirtualName) -> None:
        """See `NameMethod`."""
        assert wanted.dns is not None
        self._key(wanted.dns)

    def publish(self, wanted: VirtualName) -> None:
        """See `NameMethod`."""
        from reconciler.system.names.dns_update import publish_records

        assert wanted.dns is not None
        publish_records(wanted.dns, self._key(wanted.dns))

    def _key(self, update: DnsUpdate) -> TsigKey:
        from reconciler.system.names.tsig_keys import read_tsig_key

        # Node file and key are read each time: a new key needs no restart.
        return read_tsig_key(load_node(self._node), update.key, update.server)

    def withdraw(self) -> None:
        """See `NameMethod`."""


class MulticastMethod:
    """The announcement by mDNS. It ends with the role, and with the agent."""

    interval_s = MDNS_S

    def __init__(self) -> None:
        from reconciler.system.names.avahi import AvahiAnnouncement

        self._announcement = AvahiAnnouncement()

    def described(self, wanted: VirtualName) -> NamePublication | None:
        """See `NameMethod`."""
        return NamePublication("mdns", wanted.mdns.name, wanted.mdns.addresses) if wanted.mdns is not None else None

    def require_ready(self, wanted: VirtualName) -> None:
        """See `NameMethod`."""
        from reconciler.system.names.avahi import require_installed

        require_installed()

    def publish(self, wanted: VirtualName) -> None:
        """See `NameMethod`."""
        assert wanted.mdns is not None
        self._announcement.publish(wanted.mdns)

    def withdraw(self) -> None:
        """See `NameMethod`."""
        self._announcement.withdraw()


@dataclass(frozen=True, slots=True)
class _Order:
    """What one thread is to do. `serial` counts, so that a repeated order is a new one."""

    wanted: VirtualName
    active: bool
    serial: int


class NamePublisher:
    """Both threads. `follow` and `observe` belong to the agent's loop; `changed` is called by the threads.

    `node`: the node file.
    """

    def __init__(self, node: Path, changed: Callable[[], None], clock: Callable[[], float] = monotonic_s) -> None:
        self._clock = clock
        self._changed = changed
        self._node = node
        self._workers: tuple[_Worker, ...] = ()
        self._wanted = VirtualName()
        self._active = False
        self._addresses: frozenset[str] = frozenset()
        self._seen_s = float("-inf")
        self._serial = 0

    def follow(self, wanted: VirtualName) -> None:
        """Publish the name of the revision in force from now on."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._tell()

    def observe(self, status: WatchdogStatus | None) -> None:
        """Take the role from the status of the watchdog; None while there is no fresh one.

        For a short time without a status the role counts as unchanged: a daemon that is replaced pauses.
        """
        now_s = self._clock()
        if status is None and now_s - self._seen_s < UNKNOWN_S_MAX:
            return
        active = status is not None and status.phase == Phase.ACTIVE
        present = frozenset(row.address for row in status.addresses if row.present) if status is not None else None
        if status is not None:
            self._seen_s = now_s
        if (active, present or frozenset()) != (self._active, self._addresses):
            self._active, self._addresses = active, present or frozenset()
            self._tell()

    def publications(self) -> tuple[NamePublication, ...]:
        """How far each name is published."""
        return tuple(shown for worker in self._workers if (shown := worker.shown) is not None)

    def failures(self) -> tuple[tuple[str, PublicationError], ...]:
        """What fails for longer than a moment: the subject of an alert, and the error."""
        return tuple(
            (one.subject, PublicationError(one.why, where=one.name, remedy=one.remedy))
            for one in self.publications()
            if one.failures >= LASTING_FAILURES
        )

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop. A message on its way ends within its own limit, without effect; the announcement ends now."""
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(timeout_s)

    def _tell(self) -> None:
        if not self._workers and self._wanted != VirtualName():
            # Made late: most pairs publish no name, and need neither threads nor libraries.
            self._workers = (_Worker(DnsMethod(self._node), self._changed), _Worker(MulticastMethod(), self._changed))
            for worker in self._workers:
                worker.start()
        self._serial += 1
        for worker in self._workers:
            worker.order(_Order(self._wanted, self._active, self._serial))


class _Worker(threading.Thread):
    """Publishes in one way."""

    def __init__(self, method: NameMethod, changed: Callable[[], None]) -> None:
        # A daemon thread: a server that does not answer must not keep the agent from stopping.
        super().__init__(name=type(method).__name__, daemon=True)
        self._method, self._changed = method, changed
        self._order = _Order(VirtualName(), False, 0)
        self._wake = threading.Event()
        self._stopped = False
        self._failures = 0
        #: Read by the loop of the agent.
        self.shown: NamePublication | None = None

    def order(self, order: _Order) -> None:
        """Do this from now on, at once."""
        self._order = order
        self._wake.set()

    def stop(self) -> None:
        """End after the running try."""
        self._stopped = True
        self._wake.set()

    def run(self) -> None:
        """Publish until stopped."""
        serial = -1
        while not self._stopped:
            self._wake.clear()
            order = self._order
            if order.serial != serial:
                serial, self._failures = order.serial, 0
            self._wake.wait(self._step(order))
        self._method.withdraw()

    def _step(self, order: _Order) -> float | None:
        """One look; returns the seconds until the next one, None if only an order brings it."""
        described = self._method.described(order.wanted)
        if described is None or not order.active:
            self._method.withdraw()
        if described is None:
            self._show(None)
            return None
        if self.shown is None or self.shown.untried() != described:
            self._show(described)
        try:
            if order.active:
                self._method.publish(order.wanted)
            else:
                self._method.require_ready(order.wanted)
        except HagitError as error:
            return self._fail(described, str(error.what), error.remedy)
        except Exception as error:
            # A defect of hagit or of a library must not end this thread.
            return self._fail(described, f"{type(error).__name__}: {error!s:.200}", "please report this")
        self._failures = 0
        state = PublicationState.PUBLISHED if order.active else PublicationState.STANDBY
        self._show(replace(described, state=state))
        return self._method.interval_s if order.active else STANDBY_S

    def _fail(self, described: NamePublication, why: str, remedy: str) -> float:
        self._failures += 1
        state = PublicationState.FAILING
        self._show(replace(described, state=state, why=why, remedy=remedy, failures=self._failures))
        return min(RETRY_S_MIN * 2.0 ** min(self._failures - 1, 16), RETRY_S_MAX)

    def _show(self, shown: NamePublication | None) -> None:
        # Of failures only the first ones are told: the count alone is no news.
        told = self.shown is None or shown is None or shown.failures <= LASTING_FAILURES or shown.why != self.shown.why
        if shown != self.shown:
            self.shown = shown
            if told and not self._stopped:
                self._changed()
