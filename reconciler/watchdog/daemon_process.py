"""The role of this process: the daemon of its controller, or a successor that waits to take over from the daemon.

`DaemonProcess.start` makes this process the daemon: immediately after a normal start, or when the predecessor hands
over. Before that it serves no socket, publishes nothing and has no core. Connects orders, control requests, systemd and
hand-over with the parts. Decides nothing about failover.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.errors import StateError
from reconciler.system.control import ControlServer
from reconciler.system.file_thread import FileThread
from reconciler.system.files import Lock
from reconciler.system.systemd_notifier import SystemdNotifier
from reconciler.watchdog.control_requests import ControlRequests, resume_maintenance
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.dispatcher import Dispatcher
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.handover import Handover, handover_file
from reconciler.watchdog.heartbeats import Heartbeats
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.power_fencing import PowerFencing
from reconciler.watchdog.published_files import PublishedFiles, first_refused
from reconciler.watchdog.share_service import ShareService
from reconciler.watchdog.status_publisher import StatusPublisher
from reconciler.watchdog.successor import PredecessorLink, ReceivedHandover, Successor
from reconciler.watchdog.successor_handle import OPTION, HandedOver, SuccessorHandle
from reconciler.watchdog.systemd_service import SystemdService
from reconciler.watchdog.timeline import Timeline
from reconciler.watchdog.virtual_addresses import AddressService

#: Interval of serving the control socket even if nothing is readable, which closes connections of slow clients.
SERVE_MS: Final = 1_000
#: Interval of checks whether the elapsed time must be saved.
TIME_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class DaemonParts:
    """The parts of a daemon, all driven by the event loop."""

    loop: EventLoop
    file_thread: FileThread
    daemon: Daemon
    heartbeats: Heartbeats
    dispatcher: Dispatcher
    addresses: AddressService
    shares: ShareService
    publisher: StatusPublisher
    timeline: Timeline
    power: PowerFencing
    keys: PairKeys
    systemd: SystemdNotifier
    lock: Lock


def successor_command() -> list[str]:
    """The command line that started this process, without the option of a successor. It runs the installed files."""
    words = [sys.executable, *sys.orig_argv[1:]]
    return words[:-2] if words[-2:-1] == [OPTION] else words


class DaemonProcess:
    """Makes this process the daemon or a successor.

    `files`: the files that the agent publishes. `group`: the group that may use the control socket in `run`.
    `predecessor`: the running daemon that this process will replace; None after a normal start.
    """

    def __init__(
        self,
        parts: DaemonParts,
        run: Path,
        group: str | None,
        side: Side,
        files: PublishedFiles,
        predecessor: PredecessorLink | None,
    ) -> None:
        self._parts, self._run, self._group, self._side, self._files = parts, run, group, side, files
        self._control: ControlServer | None = None
        #: Whether this process is the daemon.
        self.is_daemon = False
        loop = parts.loop
        self._successor_handle = SuccessorHandle(
            loop, successor_command(), parts.systemd.environment, self._activity, self._handover
        )
        self.service = SystemdService(
            loop,
            parts.systemd,
            replaceable=self._why_not_replaceable,
            begin=self._successor_handle.start,
            end=loop.stop,
        )
        self._successor_handle.on_failure = self._successor_failed
        self._successor = (
            Successor(loop, parts.daemon, predecessor, self._take_over) if predecessor is not None else None
        )
        files.on_first_orders = lambda: resume_maintenance(parts.daemon, parts.publisher)
        files.on_orders_to_prepare = self._prepare if self._successor is not None else None
        more = parts.publisher.extra_reasons
        parts.publisher.extra_reasons = lambda: (*more(), *self._successor_handle.reasons(), *self.service.reasons())
        ticked = parts.daemon.on_tick

        def ticked_too() -> None:
            ticked()
            self._hand_over_if_ready()

        parts.daemon.on_tick = ticked_too

    # The daemon ------------------------------------------------------------------------------------------------------

    def start(self, listener: socket.socket | None = None, since: str = "") -> None:
        """Become the daemon: serve the control socket and publish the status. `since`: when the phase began."""
        parts = self._parts
        requests = ControlRequests(
            parts.daemon, parts.timeline, parts.publisher, parts.power, self.replace, self.service.adopt_this_process
        )
        control = self._control = ControlServer(self._run / "watchdog.sock", self._group, requests.answer, listener)
        self.is_daemon = True
        parts.loop.watch(control.fileno(), control.serve)
        repeat(parts.loop, SERVE_MS, control.serve)
        repeat(parts.loop, TIME_MS, parts.daemon.durable.elapsed.save_if_due)
        parts.publisher.start(since)

    def _prepare(self, orders: Orders | str) -> None:
        """Prepare for the published orders. Raises StateError if there are none that this daemon would follow."""
        assert self._successor is not None
        durable = self._parts.daemon.durable
        if isinstance(orders, str):
            raise StateError(orders)
        if refused := first_refused(orders, self._side, durable.pair, durable.generation_max):
            raise StateError(refused)
        self._successor.set_orders(orders)

    def close(self) -> None:
        """Close the sockets."""
        self._successor_handle.close()
        if self._control is not None:
            self._control.close()

    # Replaced by a successor -----------------------------------------------------------------------------------------

    def replace(self) -> str:
        """Start a successor. Returns why that is not possible, or ""."""
        return self._why_not_replaceable() or self._successor_handle.start()

    def _why_not_replaceable(self) -> str:
        core = self._parts.daemon.core
        if core is None:
            return "there are no orders yet"
        return "this controller is about to be reset" if core.phase is Phase.HALTED else ""

    def _activity(self) -> str:
        parts = self._parts
        waiting = "" if parts.file_thread.idle else "the state directory has not taken all files yet"
        unlike = "the files hold none of the secrets in force" if parts.keys.differ_from_files else ""
        return parts.daemon.activity() or parts.power.activity() or unlike or waiting

    def _handover(self) -> tuple[int, ...]:
        parts = self._parts
        assert parts.daemon.core is not None and self._control is not None
        handover = Handover(
            parts.daemon.core,
            counter=parts.heartbeats.counter,
            carp=parts.addresses.carp_counters(),
            addresses_present=parts.addresses.all_present,
            timeline=parts.timeline.handover_memory(),
            phase_since=parts.publisher.phase_since,
            override=parts.publisher.override,
            supervised=self.service.keeps_unit,
        )
        document = handover_file(handover)
        return (document, parts.lock.handle, self._control.listener, *parts.daemon.deadman.handles())

    def _hand_over_if_ready(self) -> None:
        try:
            self._successor_handle.hand_over_if_ready()
        except HandedOver:
            assert self._control is not None
            if self.service.keeps_unit:
                self._parts.systemd.main_process(self._successor_handle.pid)
            self._control.hand_over()
            raise

    def _successor_failed(self, why: str) -> None:
        print(f"hagit: a new daemon could not take over: {why}", file=sys.stderr, flush=True)
        self.service.successor_failed(why)
        self._parts.publisher.write()

    # Taking over -----------------------------------------------------------------------------------------------------

    def _take_over(self, received: ReceivedHandover) -> None:
        """Become the daemon after the hand-over: from now on this process decides and answers requests."""
        handover, parts = received.handover, self._parts
        daemon, state = parts.daemon, received.handover.state
        assert self._successor is not None and self._successor.orders is not None
        orders = self._successor.orders
        self._files.on_orders_to_prepare = None
        parts.lock.adopt(received.lock)
        daemon.deadman.adopt(received.deadman)
        daemon.durable.reload(None if state is None else state.incarnation)
        parts.timeline.resume(handover.timeline)
        parts.publisher.override = handover.override
        if state is not None:
            parts.heartbeats.counter = handover.counter
            parts.addresses.resume(handover.carp, here=handover.addresses_present)
            daemon.resume(state)
        else:
            parts.addresses.resume((), here=handover.addresses_present)
            daemon.start(orders)
        if not handover.supervised:
            self.service.unsupervised_since_ms = monotonic_ms()
        self.start(received.control, handover.phase_since if state is not None else "")
        if state is None:
            resume_maintenance(daemon, parts.publisher)
        daemon.follow_orders(orders)


def protection_reasons(missing: tuple[str, ...]) -> tuple[ReasonStatus, ...]:
    """Reasons for protection that this process lacks."""
    return tuple(
        ReasonStatus(
            code="LIFELINE",
            text=f"the watchdog runs less protected than it could: {problem}",
            remedy="let systemd start it, whose unit gives it what it needs: systemctl start hagit-watchdog",
        )
        for problem in missing
    )


def repeat(loop: EventLoop, interval_ms: int, act: Callable[[], None]) -> None:
    """Call `act` at this interval, without end."""

    def again() -> None:
        loop.after(interval_ms, again)
        act()

    loop.after(interval_ms, again)
