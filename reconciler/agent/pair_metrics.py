"""Metrics of the pair for Prometheus, from the status of the watchdog.

Decides names and labels. Without a fresh status only `hagit_watchdog_up 0` remains: old values would look present.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from reconciler.core.status.watchdog import WatchdogStatus
from reconciler.printing import printable

ROLES: Final = ("MASTER", "BACKUP", "ELECTING", "IMPORTING", "ERROR")
PHASES: Final = ("booting", "standby", "claiming", "importing", "active", "releasing", "halted")
VERDICT: Final = "HA active"


class PairMetrics:
    """The gauges of one watchdog."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"hagit_{name}", text, labels, registry=registry)

        self._up = gauge("watchdog_up", "1 while the watchdog publishes its status.")
        self._role = gauge("role", "1 for the role of this controller, 0 for the others.", "role")
        self._phase = gauge("phase", "1 for the phase of this controller, 0 for the others.", "phase")
        self._available = gauge("ha_available", "1 while nothing makes HA unavailable.")
        self._possible = gauge("failover_possible", "1 while the standby could take the pools.")
        self._reason = gauge("reason", "1 for each reason that holds.", "code")
        self._age = gauge("heartbeat_age_seconds", "Time since the last heartbeat on the channel.", "channel")
        self._failovers = Counter("hagit_failovers", "Takeovers that this controller has begun.", registry=registry)
        self._last = gauge("last_failover_seconds", "How long each part of the last failover took.", "kind", "part")
        self._bound = gauge("predicted_outage_seconds", "The longest that the orders allow.", "move")
        self._generation = gauge("orders_generation", "Generation of the orders in force.", "side")
        self._lateness = gauge("watchdog_lateness_seconds", "The latest that the watchdog ever woke.")
        self._quiet = gauge("maintenance_left_seconds", "Until maintenance or an override ends; 0 without one.")
        self._share = gauge("share_served", "1 for a share that clients can use, else 0.", "protocol", "name")
        self._clients = gauge("share_clients", "Clients of the shares.", "protocol")
        self._server = gauge("share_server_up", "1 while the server of the protocol serves.", "protocol")
        self._moves = gauge("share_server_seconds", "How long the last start or stop took.", "protocol", "what")
        self._seen: tuple[str, int, int] = ("", 0, 0)

    def show(self, status: WatchdogStatus | None) -> None:
        """Set all metrics from a fresh status; None without one."""
        self._up.set(0 if status is None else 1)
        for one in (self._role, self._phase, self._reason, self._age, self._last, self._bound, self._generation,
                    self._share, self._clients, self._server, self._moves):  # fmt: skip
            one.clear()
        for gauge in (self._available, self._possible, self._quiet):
            gauge.set(0)
        if status is None:
            return
        for role in ROLES:
            self._role.labels(role).set(1 if role == status.role else 0)
        for phase in PHASES:
            self._phase.labels(phase).set(1 if phase == status.phase else 0)
        self._available.set(1 if status.verdict == VERDICT else 0)
        self._possible.set(1 if failover_possible(status) else 0)
        for code in {reason.code for reason in status.reasons}:
            self._reason.labels(code).set(1)
        for channel in (*status.channels, *((status.record,) if status.record is not None else ())):
            self._age.labels(printable(channel.name)).set(channel.age_ms / 1_000)
        self._bound.labels("switchover").set(status.readiness.switchover_ms / 1_000)
        self._bound.labels("takeover").set(status.readiness.takeover_ms / 1_000)
        self._generation.labels("here").set(status.orders.here)
        if status.orders.there is not None:
            self._generation.labels("there").set(status.orders.there)
        self._lateness.set(status.lateness_ms_max / 1_000)
        self._quiet.set((status.maintenance_left_ms or 0) / 1_000)
        self._show_shares(status)
        self._count(status)
        self._show_last(status)

    def _show_shares(self, status: WatchdogStatus) -> None:
        """The servers of shares. On a standby no share is served, and none should be."""
        for server in status.servers:
            protocol = printable(server.protocol)
            self._server.labels(protocol).set(1 if server.serving == "up" else 0)
            self._clients.labels(protocol).set(server.clients)
            for served, names in ((1, server.served), (0, server.unserved)):
                for name in names if server.wanted else ():
                    self._share.labels(protocol, printable(name)).set(served)
            for what, took_ms in (("start", server.start_ms), ("stop", server.stop_ms)):
                if took_ms is not None:
                    self._moves.labels(protocol, what).set(took_ms / 1_000)

    def _count(self, status: WatchdogStatus) -> None:
        """Count new failovers. The watchdog counts from its start; this counter goes on through its restarts."""
        boot, started_ms, count = self._seen
        same = (boot, started_ms) == (status.boot, status.started_ms)
        self._failovers.inc(max(0, status.failovers - count) if same else status.failovers)
        self._seen = status.boot, status.started_ms, status.failovers

    def _show_last(self, status: WatchdogStatus) -> None:
        last = status.failover
        if last is None:
            return
        parts = (
            ("detection", last.detection_ms),
            ("claim", last.claim_ms),
            ("import", last.import_ms),
            ("shares", last.shares_ms),
            ("addresses", last.addresses_ms),
            ("release", last.release_ms),
            ("total", last.total_ms),
        )
        for part, took_ms in parts:
            if took_ms is not None:
                self._last.labels(last.kind, part).set(took_ms / 1_000)


def failover_possible(status: WatchdogStatus) -> bool:
    """Whether the standby could take over the pools now, as far as this controller knows."""
    if status.phase == "active":
        return status.peer.phase == "standby" and status.peer.able and status.orders.there is not None
    return status.able and status.phase == "standby"
