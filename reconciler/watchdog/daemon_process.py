"""Whether this process decides: the daemon of its controller, or one that waits to take over from it.

`Role.begin` makes it the daemon, at a start at once and at a replacement with what the predecessor hands over; before,
it serves no socket, publishes nothing and has no core. Joins orders, requests, service manager and succession to the
parts; decides nothing about failover.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.phase import Phase
from reconciler.core.status.watchdog import ReasonStatus
from reconciler.errors import StateError
from reconciler.system.control import ControlServer
from reconciler.system.files import Lock
from reconciler.watchdog.control_requests import Asking, resume
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.dispatcher import Labour
from reconciler.watchdog.event_loop import Loop, monotonic_ms
from reconciler.watchdog.file_thread import Clerk
from reconciler.watchdog.handover import Inheritance, inheritance_handle
from reconciler.watchdog.heartbeats import Beats
from reconciler.watchdog.pair_keys import PairKeys
from reconciler.watchdog.power_fencing import Fencing
from reconciler.watchdog.process_protection import Systemd
from reconciler.watchdog.published_files import Published, first_refused
from reconciler.watchdog.status_publisher import Publisher
from reconciler.watchdog.successor import Predecessor, Received, Successor
from reconciler.watchdog.successor_handle import OPTION, HandedOver, Succession
from reconciler.watchdog.systemd_service import Service
from reconciler.watchdog.timeline import Chronicle
from reconciler.watchdog.virtual_addresses import Places

#: How often the control socket is served though nothing is readable: callers that are too slow are ended.
SERVE_MS: Final = 1_000
#: Between two looks whether the time that has passed is to be saved.
TIME_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs in the loop."""

    loop: Loop
    clerk: Clerk
    daemon: Daemon
    beats: Beats
    work: Labour
    places: Places
    publisher: Publisher
    chronicle: Chronicle
    power: Fencing
    keys: PairKeys
    systemd: Systemd
    lock: Lock


def successor_command() -> list[str]:
    """The command line that started this process, for the files that lie there now."""
    words = [sys.executable, *sys.orig_argv[1:]]
    return words[:-2] if words[-2:-1] == [OPTION] else words


class Role:
    """`files`: what the agent publishes. `group`: who may use the control socket in `run`."""

    def __init__(
        self,
        parts: Parts,
        run: Path,
        group: str | None,
        side: Side,
        files: Published,
        predecessor: Predecessor | None,
    ) -> None:
        self._parts, self._run, self._group, self._side, self._files = parts, run, group, side, files
        self._control: ControlServer | None = None
        #: Whether this process is the daemon.
        self.begun = False
        loop = parts.loop
        self._succession = Succession(
            loop, successor_command(), parts.systemd.environment, self._busy, self._inheritance
        )
        self.service = Service(
            loop,
            parts.systemd,
            replaceable=self._irreplaceable,
            begin=self._succession.begin,
            end=loop.stop,
        )
        self._succession.failed = self._failed
        self._successor = (
            Successor(loop, parts.daemon, predecessor, self._take_over) if predecessor is not None else None
        )
        files.begun = lambda: resume(parts.daemon, parts.publisher)
        files.prepares = self._prepare if self._successor is not None else None
        more = parts.publisher.more
        parts.publisher.more = lambda: (*more(), *self._succession.reasons(), *self.service.reasons())
        ticked = parts.daemon.ticked

        def ticked_too() -> None:
            ticked()
            self._consider()

        parts.daemon.ticked = ticked_too

    # The daemon ------------------------------------------------------------------------------------------------------

    def begin(self, listener: socket.socket | None = None, since: str = "") -> None:
        """Be the daemon: serve the control socket and publish."""
        parts = self._parts
        asking = Asking(parts.daemon, parts.chronicle, parts.publisher, parts.power, self.replace, self.service.adopted)
        control = self._control = ControlServer(self._run / "watchdog.sock", self._group, asking.answer, listener)
        self.begun = True
        parts.loop.watch(control.fileno(), control.serve)
        repeat(parts.loop, SERVE_MS, control.serve)
        repeat(parts.loop, TIME_MS, parts.daemon.ledger.time.tick)
        parts.publisher.begin(since)

    def _prepare(self, orders: Orders | str) -> None:
        """Get ready for the published orders; without good ones there is nothing to take over with."""
        assert self._successor is not None
        ledger = self._parts.daemon.ledger
        if isinstance(orders, str):
            raise StateError(orders)
        if refused := first_refused(orders, self._side, ledger.pair, ledger.generation_max):
            raise StateError(refused)
        self._successor.follow(orders)

    def close(self) -> None:
        """Give the sockets back."""
        self._succession.close()
        if self._control is not None:
            self._control.close()

    # Replaced by a successor -----------------------------------------------------------------------------------------

    def replace(self) -> str:
        """Have a successor started; "" or why not."""
        return self._irreplaceable() or self._succession.begin()

    def _irreplaceable(self) -> str:
        core = self._parts.daemon.core
        if core is None:
            return "there are no orders yet"
        return "this controller is about to be reset" if core.phase is Phase.HALTED else ""

    def _busy(self) -> str:
        parts = self._parts
        waiting = "" if parts.clerk.idle else "the state directory has not taken all files yet"
        unlike = "the files hold none of the secrets in force" if parts.keys.unlike else ""
        return parts.daemon.at_rest() or parts.power.at_work() or unlike or waiting

    def _inheritance(self) -> tuple[int, ...]:
        parts = self._parts
        assert parts.daemon.core is not None and self._control is not None
        left = Inheritance(
            parts.daemon.core,
            counter=parts.beats.counter,
            carp=parts.places.counters(),
            here=parts.places.here,
            story=parts.chronicle.memory(),
            since=parts.publisher.since,
            override=parts.publisher.override,
            supervised=self.service.keeps_unit,
        )
        document = inheritance_handle(left)
        return (document, parts.lock.handle, self._control.listener, *parts.daemon.deadman.handles())

    def _consider(self) -> None:
        try:
            self._succession.consider()
        except HandedOver:
            assert self._control is not None
            if self.service.keeps_unit:
                self._parts.systemd.main_process(self._succession.pid)
            self._control.hand_over()
            raise

    def _failed(self, why: str) -> None:
        print(f"hagit: a new daemon could not take over: {why}", file=sys.stderr, flush=True)
        self.service.failed(why)
        self._parts.publisher.write()

    # Taking over -----------------------------------------------------------------------------------------------------

    def _take_over(self, received: Received) -> None:
        """The predecessor decides nothing any more. Whatever it was about to be asked is asked of this process."""
        left, parts = received.left, self._parts
        daemon, state = parts.daemon, received.left.state
        assert self._successor is not None and self._successor.orders is not None
        orders = self._successor.orders
        self._files.prepares = None
        parts.lock.adopt(received.lock)
        daemon.deadman.adopt(received.deadman)
        daemon.ledger.take_over(None if state is None else state.incarnation)
        parts.chronicle.go_on(left.story)
        parts.publisher.override = left.override
        if state is not None:
            parts.beats.counter = left.counter
            parts.places.go_on(left.carp, here=left.here)
            daemon.go_on(state)
        else:
            parts.places.go_on((), here=left.here)
            daemon.begin(orders)
        if not left.supervised:
            self.service.alone_ms = monotonic_ms()
        self.begin(received.control, left.since if state is not None else "")
        if state is None:
            resume(daemon, parts.publisher)
        daemon.publish(orders)


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


def repeat(loop: Loop, interval_ms: int, act: Callable[[], None]) -> None:
    """Call `act` at this interval, for ever."""

    def again() -> None:
        loop.after(interval_ms, again)
        act()

    loop.after(interval_ms, again)
