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
from reconciler.system.files import Lock
from reconciler.system.systemd_notifier import SystemdNotifier
from reconciler.watchdog.control_requests import ControlRequests, resume
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.dispatcher import Dispatcher
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.file_thread import FileThread
from reconciler.watchdog.handover import Handover, handover_file
from reconciler.watchdog.heartbeats import Heartbeats
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.power_fencing import PowerFencing
from reconciler.watchdog.published_files import PublishedFiles, first_refused
from reconciler.watchdog.status_publisher import StatusPublisher
from reconciler.watchdog.successor import PredecessorLink, ReceivedHandover, Successor
from reconciler.watchdog.successor_handle import OPTION, HandedOver, SuccessorHandle
from reconciler.watchdog.systemd_service import SystemdService
from reconciler.watchdog.timeline import Timeline
from reconciler.watchdog.virtual_addresses import AddressService

#: How often the control socket is served though nothing is readable: callers that are too slow are ended.
SERVE_MS: Final = 1_000
#: Between two looks whether the time that has passed is to be saved.
TIME_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class DaemonParts:
    """Everything that runs in the loop."""

    loop: EventLoop
    clerk: FileThread
    daemon: Daemon
    beats: Heartbeats
    work: Dispatcher
    addresses: AddressService
    publisher: StatusPublisher
    timeline: Timeline
    power: PowerFencing
    keys: PairKeys
    systemd: SystemdNotifier
    lock: Lock


def successor_command() -> list[str]:
    """The command line that started this process, for the files that lie there now."""
    words = [sys.executable, *sys.orig_argv[1:]]
    return words[:-2] if words[-2:-1] == [OPTION] else words


class DaemonProcess:
    """`files`: what the agent publishes. `group`: who may use the control socket in `run`."""

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
        files.on_first_orders = lambda: resume(parts.daemon, parts.publisher)
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
        """Be the daemon: serve the control socket and publish."""
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
        """Get ready for the published orders; without good ones there is nothing to take over with."""
        assert self._successor is not None
        durable = self._parts.daemon.durable
        if isinstance(orders, str):
            raise StateError(orders)
        if refused := first_refused(orders, self._side, durable.pair, durable.generation_max):
            raise StateError(refused)
        self._successor.set_orders(orders)

    def close(self) -> None:
        """Give the sockets back."""
        self._successor_handle.close()
        if self._control is not None:
            self._control.close()

    # Replaced by a successor -----------------------------------------------------------------------------------------

    def replace(self) -> str:
        """Have a successor started; "" or why not."""
        return self._why_not_replaceable() or self._successor_handle.start()

    def _why_not_replaceable(self) -> str:
        core = self._parts.daemon.core
        if core is None:
            return "there are no orders yet"
        return "this controller is about to be reset" if core.phase is Phase.HALTED else ""

    def _activity(self) -> str:
        parts = self._parts
        waiting = "" if parts.clerk.idle else "the state directory has not taken all files yet"
        unlike = "the files hold none of the secrets in force" if parts.keys.differ_from_files else ""
        return parts.daemon.activity() or parts.power.activity() or unlike or waiting

    def _handover(self) -> tuple[int, ...]:
        parts = self._parts
        assert parts.daemon.core is not None and self._control is not None
        left = Handover(
            parts.daemon.core,
            counter=parts.beats.counter,
            carp=parts.addresses.carp_counters(),
            addresses_present=parts.addresses.all_present,
            timeline=parts.timeline.handover_memory(),
            phase_since=parts.publisher.phase_since,
            override=parts.publisher.override,
            supervised=self.service.keeps_unit,
        )
        document = handover_file(left)
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
        """The predecessor decides nothing any more. Whatever it was about to be asked is asked of this process."""
        left, parts = received.handover, self._parts
        daemon, state = parts.daemon, received.handover.state
        assert self._successor is not None and self._successor.orders is not None
        orders = self._successor.orders
        self._files.on_orders_to_prepare = None
        parts.lock.adopt(received.lock)
        daemon.deadman.adopt(received.deadman)
        daemon.durable.reload(None if state is None else state.incarnation)
        parts.timeline.resume(left.timeline)
        parts.publisher.override = left.override
        if state is not None:
            parts.beats.counter = left.counter
            parts.addresses.resume(left.carp, here=left.addresses_present)
            daemon.resume(state)
        else:
            parts.addresses.resume((), here=left.addresses_present)
            daemon.start(orders)
        if not left.supervised:
            self.service.unsupervised_since_ms = monotonic_ms()
        self.start(received.control, left.phase_since if state is not None else "")
        if state is None:
            resume(daemon, parts.publisher)
        daemon.follow_orders(orders)


def complaints_of(missing: tuple[str, ...]) -> tuple[ReasonStatus, ...]:
    """What keeps this process from being as well protected as it could be."""
    return tuple(
        ReasonStatus(
            code="LIFELINE",
            text=f"the watchdog runs less protected than it could: {problem}",
            remedy="let systemd start it, whose unit gives it what it needs: systemctl start hagit-watchdog",
        )
        for problem in missing
    )


def repeat(loop: EventLoop, interval_ms: int, act: Callable[[], None]) -> None:
    """Call `act` at this interval, for ever."""

    def again() -> None:
        loop.after(interval_ms, again)
        act()

    loop.after(interval_ms, again)
