"""The status document: gathers the status from the parts of the daemon and writes `watchdog.json` once a second.

Decides when the file is written. A status that cannot be built or written must never stop the daemon: only systemd is
told about it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler import __version__
from reconciler.core.failover.heartbeats.failure_detector import network_alive, undecoded
from reconciler.core.failover.machine.outputs import outputs
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.reasons import NOT_UNDERSTOOD, UNDERSTAND
from reconciler.core.failover.machine.state import State
from reconciler.core.failover.refusal import Refusal
from reconciler.core.status.watchdog import (
    AddressStatus,
    CarpStatus,
    DeadmanStatus,
    OverrideStatus,
    PowerStatus,
    ReasonStatus,
    SecretStatus,
    ServerStatus,
    WatchdogStatus,
    watchdog_document,
)
from reconciler.core.watchdog_status import DaemonReport, status_without_orders, watchdog_status
from reconciler.system.atomic_file import replace_file
from reconciler.system.clock import wall_s
from reconciler.system.deadman import Deadman
from reconciler.system.files import json_line
from reconciler.system.systemd_notifier import SystemdNotifier
from reconciler.watchdog.daemon import Daemon
from reconciler.watchdog.event_loop import EventLoop, monotonic_ms
from reconciler.watchdog.heartbeats import Heartbeats
from reconciler.watchdog.timeline import Timeline, iso

INTERVAL_MS: Final = 900
#: Refusals of frames that a peer with another secret or of another release sends.
UNDECODABLE: Final = frozenset({Refusal.SEAL.value, Refusal.VERSION.value})


class StatusPublisher:
    """Writes `watchdog.json`. The other parts give their reasons (`extra_reasons`) and their rows of the status."""

    def __init__(
        self, loop: EventLoop, run: Path, side: str, systemd: SystemdNotifier, reasons: tuple[ReasonStatus, ...]
    ) -> None:
        self._loop, self._path, self._side, self._systemd = loop, run / "watchdog.json", side, systemd
        self._own_reasons = reasons
        self._started_publishing = False
        self._pid = os.getpid()
        self._started, self._started_ms = iso(wall_s()), monotonic_ms()
        self._phase_since = self._started
        self.override = False
        self.extra_reasons: Callable[[], tuple[ReasonStatus, ...]] = lambda: ()
        self.carp_rows: Callable[[], tuple[CarpStatus, ...]] = lambda: ()
        self.power_status: Callable[[], PowerStatus | None] = lambda: None
        self.secret_status: Callable[[], SecretStatus | None] = lambda: None
        self.share_rows: Callable[[], tuple[ServerStatus, ...]] = lambda: ()
        self.address_rows: Callable[[], tuple[AddressStatus, ...]] = lambda: ()

    def attach(self, daemon: Daemon, heartbeats: Heartbeats, timeline: Timeline) -> None:
        """Set the parts whose status is published."""
        self._daemon, self._heartbeats, self._timeline = daemon, heartbeats, timeline

    def start(self, since: str = "") -> None:
        """Start publishing. `since`: when the phase began, if this daemon continues the phase of a predecessor."""
        self._phase_since, self._started_publishing = since or self._phase_since, True
        self._write_and_repeat()

    @property
    def phase_since(self) -> str:
        """When the present phase began, ISO 8601, for people."""
        return self._phase_since

    def deadman_stays_armed(self, why: str) -> None:
        """Publish that the hardware watchdog will reset this controller although its daemon stops in good order."""
        remedy = "start the daemon at once, or load the watchdog's driver without nowayout"
        text = "the hardware watchdog resets this controller soon"
        self._own_reasons = (
            *self._own_reasons,
            ReasonStatus(code="DEADMAN_RUNS", text=text, evidence=why, remedy=remedy),
        )

    def phase_changed(self, after: State) -> None:
        """Publish a change of phase after its effects, HALTED immediately."""
        self._phase_since = iso(wall_s())
        if after.phase is Phase.HALTED:
            self.write()
        else:
            self._loop.after(0, self.write)

    def status(self) -> WatchdogStatus:
        """The present status."""
        daemon, now_ms = self._daemon, monotonic_ms()
        core, deadman = daemon.core, daemon.deadman
        around = DaemonReport(
            at=iso(wall_s()),
            boot=daemon.durable.boot,
            pid=self._pid,
            started=self._started,
            started_ms=self._started_ms,
            since=self._phase_since,
            deadman=_deadman(core, deadman),
            carp=self.carp_rows(),
            addresses=self.address_rows(),
            servers=self.share_rows(),
            override=self._override(core, now_ms),
            power=self.power_status(),
            secret=self.secret_status(),
            refused=daemon.orders_refusal,
            done=self._timeline.failover_summaries,
            failovers=self._timeline.failovers,
            lateness_ms_max=self._loop.lateness_ms_max,
            version=__version__,
            more=(
                *self.extra_reasons(),
                *self._channel_reasons(now_ms),
                *self._peer_not_understood(core, now_ms),
                *self._own_reasons,
            ),
        )
        if core is None:
            return status_without_orders(socket.gethostname(), self._side, now_ms, around)
        return watchdog_status(core, now_ms, around)

    def _override(self, core: State | None, now_ms: int) -> OverrideStatus | None:
        until_ms = core.maintenance_ms if core is not None else None
        if not self.override or until_ms is None or until_ms <= now_ms:
            return None
        return OverrideStatus(enabled=False, left_ms=until_ms - now_ms)

    def write(self) -> None:
        """Write the document, unless another daemon still publishes it."""
        if not self._started_publishing:
            return
        line = ""
        try:
            status = self.status()
            content = json_line(watchdog_document(status))
            replace_file(self._path, content, mode=0o644, sync=False)
            line = f"{status.role} ({status.phase}): {status.why}"
        except Exception as error:
            # A defect in the status must not end the daemon.
            line = f"no status: {error!r}"
        self._systemd.status(line)

    def _write_and_repeat(self) -> None:
        self._loop.after(INTERVAL_MS, self._write_and_repeat)
        self.write()
        self._systemd.keep_alive(monotonic_ms())

    def _peer_not_understood(self, core: State | None, now_ms: int) -> tuple[ReasonStatus, ...]:
        """The reason if only frames arrive that cannot be decoded. They do not prove that the peer lives."""
        if core is None or network_alive(core, now_ms) or undecoded(core, now_ms):
            return ()
        unfit = [
            one for one in self._heartbeats.rejected(now_ms) if now_ms - one.last_ms < core.orders.timers.silence_ms
        ]
        found = [one for one in unfit if one.problem in UNDECODABLE]
        if not found:
            return ()
        evidence = ", ".join(f"{one.channel}: {one.problem}" for one in found)
        text = "heartbeats arrive and cannot be understood: probably the peer's"
        return (ReasonStatus(code=NOT_UNDERSTOOD, text=text, evidence=evidence, remedy=UNDERSTAND),)

    def _channel_reasons(self, now_ms: int) -> tuple[ReasonStatus, ...]:
        found = [
            ReasonStatus(
                code="HEARTBEAT_REFUSED",
                text=f"heartbeats on {unfit.channel} are refused: {unfit.problem}",
                evidence=f"{unfit.count} frames, the last {now_ms - unfit.last_ms} ms ago",
                remedy="put the same secret on both controllers, or find who else sends such frames",
            )
            for unfit in self._heartbeats.rejected(now_ms)
        ]
        found += [
            ReasonStatus(
                code="CHANNEL_DOWN",
                text=f"no heartbeats can be sent on {line.name}",
                evidence=line.problem,
                remedy="look whether its interface is there, and what `match` says of it",
            )
            for line in self._heartbeats.channels
            if line.problem
        ]
        return tuple(found)


def _deadman(core: State | None, deadman: Deadman) -> DeadmanStatus:
    if deadman.problem:
        return DeadmanStatus(state="absent", device=deadman.problem)
    name = deadman.name
    if deadman.lasting:
        name = f"{name}, which resets this controller also when the daemon is stopped (nowayout)"
    fed = core is not None and deadman.armed and outputs(core).feed
    timeout_ms = core.orders.timers.deadman_ms if core is not None else 0
    return DeadmanStatus(state="fed" if fed else "unfed", device=name, timeout_ms=timeout_ms)
