"""The agent monitored a watchdog: its reasons, roles and silence become alerts and metrics, each once, and resolved."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from reconciler.agent.metrics import Metrics
from reconciler.agent.pair_metrics import PairMetrics
from reconciler.agent.pair_monitor import POLL_S, PairMonitor
from reconciler.core.alerts.alert import Alert
from reconciler.core.alerts.pair_alerts import HOLD_S, MOVING_S, ROLE_S
from reconciler.core.status.watchdog import STALE_MS, ReasonStatus, ServerStatus, WatchdogStatus, watchdog_document
from reconciler.errors import StateError
from reconciler.system.files import write_json
from reconciler.system.node import load_node
from tests.cli.simulated_pair import node_file
from tests.controller import Controller
from tests.standings import SWITCHOVER, standing_of, told
from tests.wait import until


class MonitoredWatchdog:
    """A pair monitor with a clock that tests set, and the alerts that it emitted."""

    def __init__(self, root: Path) -> None:
        for name in ("run", "state"):
            (root / "a" / name).mkdir(parents=True)
        self.root, self.now_s = root, 1_000.0
        self.node = load_node(node_file(root, "a"))
        self.alerts: list[Alert] = []
        self.full = False
        self.begin()

    def begin(self, firing: tuple[Alert, ...] = ()) -> None:
        """Start the agent, or start it again. `firing`: the firing alerts in its outbox."""
        self.registry = CollectorRegistry()
        path = self.root / "a" / "state" / "pair.json"
        self.monitor = PairMonitor(
            self.node, path, PairMetrics(self.registry), self.emit, lambda: self.now_s, lambda: self.now_s, firing
        )

    def emit(self, alert: Alert) -> None:
        if self.full:
            raise StateError("no space left")
        self.alerts.append(alert)

    def publish(self, status: WatchdogStatus) -> None:
        write_json(self.root / "a" / "run" / "watchdog.json", watchdog_document(status), sync=False)

    def after(self, *statuses: WatchdogStatus | None, polls: int = 1) -> list[tuple[str, str, str]]:
        """The alerts while these statuses are published one after the other. None: no new status."""
        before = len(self.alerts)
        for status in statuses:
            if status is not None:
                self.publish(status)
            for _ in range(polls):
                self.now_s += POLL_S
                self.monitor.poll()
        return [(alert.kind.value, alert.status.value, alert.subject) for alert in self.alerts[before:]]

    def metrics(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def monitored(tmp_path: Path) -> MonitoredWatchdog:
    return MonitoredWatchdog(tmp_path)


def healthy(**changes: Any) -> WatchdogStatus:
    return replace(standing_of(told()), **changes)


def unhealthy(*codes: str, **changes: Any) -> WatchdogStatus:
    return healthy(
        reasons=tuple(ReasonStatus(code=code, text="because", remedy="repair it") for code in codes), **changes
    )


def stale() -> WatchdogStatus:
    status = healthy()
    return replace(status, at_ms=status.at_ms - STALE_MS - 1)


def test_metrics_and_alerts_tell_of_shares(monitored: MonitoredWatchdog) -> None:
    server = ServerStatus(
        protocol="nfs",
        serving="up",
        wanted=True,
        shares=2,
        served_count=1,
        served=("home",),
        unserved=("mail",),
        clients=3,
        start_ms=412,
    )
    text = "NFS share mail is not served"
    reason = ReasonStatus(code="SHARE_PROBLEM", text=text, evidence="its dataset is missing", remedy="mount it")
    fired = monitored.after(healthy(servers=(server,), reasons=(reason,)), polls=10)
    assert fired == [("ha-reason", "firing", f"SHARE_PROBLEM: {text}")]
    assert monitored.alerts[0].severity == "warning"
    for line in (
        'hagit_share_served{name="home",protocol="nfs"} 1.0',
        'hagit_share_served{name="mail",protocol="nfs"} 0.0',
        'hagit_share_clients{protocol="nfs"} 3.0',
        'hagit_share_server_up{protocol="nfs"} 1.0',
        'hagit_share_server_seconds{protocol="nfs",what="start"} 0.412',
    ):
        assert line in monitored.metrics(), monitored.metrics()
    monitored.after(healthy())
    assert "hagit_share_served{" not in monitored.metrics()


def test_a_healthy_pair_causes_no_alert(monitored: MonitoredWatchdog) -> None:
    assert monitored.after(healthy(), healthy(), polls=10) == []


def test_a_reason_is_sent_once_and_resolved(monitored: MonitoredWatchdog) -> None:
    isolated = standing_of(told("at 12s cable-pull interlink"))
    subject = "NO_HEARTBEAT: the peer is not heard on interlink"
    assert monitored.after(isolated, polls=20) == [("ha-reason", "firing", subject)]
    assert monitored.after(healthy(), polls=3) == [("ha-reason", "resolved", subject)]
    firing, resolved = monitored.alerts
    assert (firing.severity, firing.pair, firing.controller) == ("warning", "tank", "a")
    assert firing.remedy == "check that network"
    assert "8200 ms" in firing.live
    assert resolved.since_s == firing.since_s


@pytest.mark.parametrize(
    ("code", "severity"),
    [("NO_PONG", "critical"), ("ISOLATED", "critical"), ("DISAGREE_VIP", "critical"), ("LOC_HALTED", "critical"),
     ("NO_DISKS", "critical"), ("OVERRIDE", "warning"), ("MAINTENANCE", "warning"), ("NO_HEARTBEAT", "warning"),
     ("NO_DEADMAN", "warning"), ("SOMETHING_NEW", "critical")],
)  # fmt: skip
def test_how_grave_a_reason_is(monitored: MonitoredWatchdog, code: str, severity: str) -> None:
    assert monitored.after(unhealthy(code), polls=6) == [("ha-reason", "firing", f"{code}: because")]
    assert monitored.alerts[0].severity == severity


def test_a_reason_that_comes_and_goes_causes_no_alert(monitored: MonitoredWatchdog) -> None:
    assert monitored.after(unhealthy("NO_PONG"), healthy(), unhealthy("NO_PONG"), healthy()) == []
    assert monitored.after(unhealthy("LOC_FAILOVER_ONGOING"), polls=int(MOVING_S / POLL_S)) == []
    assert monitored.after(unhealthy("LOC_FAILOVER_ONGOING"), polls=2) == [
        ("ha-reason", "firing", "LOC_FAILOVER_ONGOING: because")
    ]


def test_a_change_of_role_is_sent_and_ends_after_a_while(
    monitored: MonitoredWatchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = healthy(role="BACKUP", phase="standby")
    assert monitored.after(healthy(), healthy(role="ELECTING"), backup) == [
        ("role-changed", "firing", "role MASTER → BACKUP")
    ]
    assert monitored.alerts[-1].summary.startswith("storage-a is BACKUP now, it was MASTER: ")
    assert monitored.after(backup, polls=5) == []
    assert monitored.after(healthy()) == [
        ("role-changed", "firing", "role BACKUP → MASTER"),
        ("role-changed", "resolved", "role MASTER → BACKUP"),
    ]
    assert monitored.after(healthy(role="ERROR", phase="halted"))[0] == (
        "role-changed",
        "firing",
        "role MASTER → ERROR",
    )
    assert monitored.alerts[-2].severity == "critical"
    monitored.now_s += ROLE_S
    assert monitored.after(None)[-1] == ("role-changed", "resolved", "role MASTER → ERROR")


def test_a_watchdog_that_is_silent(monitored: MonitoredWatchdog) -> None:
    assert monitored.after(unhealthy("NO_DISKS"), polls=6) == [("ha-reason", "firing", "NO_DISKS: because")]
    assert monitored.after(stale(), polls=int(HOLD_S / POLL_S) + 1) == [("watchdog-down", "firing", "watchdog")]
    assert monitored.alerts[-1].severity == "critical"
    assert monitored.after(None, polls=10) == [], "without a status the reason goes on"
    (monitored.root / "a" / "run" / "watchdog.json").unlink()
    assert monitored.after(None, polls=10) == []
    assert sorted(monitored.after(healthy())) == [
        ("ha-reason", "resolved", "NO_DISKS: because"),
        ("watchdog-down", "resolved", "watchdog"),
    ]


def test_a_watchdog_that_never_was(monitored: MonitoredWatchdog) -> None:
    assert monitored.after(None, polls=2) == []
    assert monitored.after(None, polls=10) == [("watchdog-down", "firing", "watchdog")]
    assert "has not published" in monitored.alerts[0].summary


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 9_999])
def test_a_damaged_document_is_silence(monitored: MonitoredWatchdog, content: bytes) -> None:
    (monitored.root / "a" / "run" / "watchdog.json").write_bytes(content)
    assert monitored.after(None, polls=10) == [("watchdog-down", "firing", "watchdog")]


def test_what_stood_is_resolved_after_a_restart_of_the_agent(monitored: MonitoredWatchdog) -> None:
    monitored.after(unhealthy("NO_DISKS"), polls=6)
    monitored.begin()
    assert monitored.after(unhealthy("NO_DISKS"), polls=6) == []
    monitored.begin()
    assert monitored.after(healthy(role="BACKUP", phase="standby")) == [
        ("role-changed", "firing", "role MASTER → BACKUP"),
        ("ha-reason", "resolved", "NO_DISKS: because"),
    ]


def test_an_alert_of_an_agent_killed_before_it_saved_it_is_sent_once_and_resolved(monitored: MonitoredWatchdog) -> None:
    monitored.after(healthy())
    kept = monitored.root / "a" / "state" / "pair.json"
    before = kept.read_bytes()
    assert monitored.after(unhealthy("NO_DISKS"), polls=6) == [("ha-reason", "firing", "NO_DISKS: because")]
    kept.write_bytes(before)
    monitored.begin(tuple(monitored.alerts))
    assert monitored.after(unhealthy("NO_DISKS"), polls=6) == []
    assert monitored.after(healthy()) == [("ha-reason", "resolved", "NO_DISKS: because")]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"standing":[{}]}', b'{"standing":5}'])
def test_a_damaged_memory_is_forgotten(monitored: MonitoredWatchdog, content: bytes) -> None:
    (monitored.root / "a" / "state" / "pair.json").write_bytes(content)
    monitored.begin()
    assert monitored.after(unhealthy("NO_DISKS"), polls=6) == [("ha-reason", "firing", "NO_DISKS: because")]


def test_an_alert_that_cannot_be_stored_is_sent_later(monitored: MonitoredWatchdog) -> None:
    monitored.full = True
    assert monitored.after(healthy(), unhealthy("NO_DISKS"), polls=6) == []
    assert "no space left" in monitored.monitor.problem
    monitored.full = False
    assert monitored.after(unhealthy("NO_DISKS")) == [("ha-reason", "firing", "NO_DISKS: because")]


def test_evidence_that_changes_is_not_written_each_time(monitored: MonitoredWatchdog) -> None:
    monitored.after(unhealthy("NO_DISKS"), polls=6)
    path = monitored.root / "a" / "state" / "pair.json"
    before = path.stat().st_ino
    for age in range(5):
        reason = ReasonStatus(code="NO_DISKS", text="because", evidence=f"{age} ms")
        assert monitored.after(healthy(reasons=(reason,))) == []
    assert path.stat().st_ino == before


def test_metrics_of_a_status(monitored: MonitoredWatchdog) -> None:
    monitored.after(
        standing_of(told("at 12s cable-pull interlink"), done=(SWITCHOVER,), failovers=2, lateness_ms_max=7)
    )
    text = monitored.metrics()
    for line in (
        'hagit_role{role="MASTER"} 1.0',
        'hagit_role{role="BACKUP"} 0.0',
        'hagit_phase{phase="active"} 1.0',
        "hagit_watchdog_up 1.0",
        "hagit_failover_possible 1.0",
        "hagit_ha_available 1.0",
        'hagit_reason{code="NO_HEARTBEAT"} 1.0',
        'hagit_heartbeat_age_seconds{channel="interlink"} 8.2',
        "hagit_failovers_total 2.0",
        'hagit_last_failover_seconds{kind="release",part="total"} 1.204',
        'hagit_predicted_outage_seconds{move="switchover"} 73.6',
        'hagit_orders_generation{side="there"} 1.0',
        "hagit_watchdog_lateness_seconds 0.007",
    ):
        assert line in text, text


def test_failovers_are_counted_through_restarts_of_the_watchdog(monitored: MonitoredWatchdog) -> None:
    for failovers, started_ms in ((2, 0), (3, 0), (3, 0), (0, 500), (1, 500)):
        monitored.after(healthy(failovers=failovers, started_ms=started_ms))
    assert "hagit_failovers_total 4.0" in monitored.metrics()


def test_an_old_status_leaves_no_metrics(monitored: MonitoredWatchdog) -> None:
    monitored.after(healthy(), stale())
    text = monitored.metrics()
    assert "hagit_watchdog_up 0.0" in text
    assert "hagit_failover_possible 0.0" in text
    assert not re.search(r"^hagit_(role|phase|reason|heartbeat_age_seconds)\{", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("story", "side", "possible"),
    [((), "a", 1), ((), "b", 1), (("at 12s disks-lost b",), "a", 0), (("at 12s disks-lost b",), "b", 0),
     (("at 12s power-loss b",), "a", 0), (("at 12s disable",), "a", 0)],
)  # fmt: skip
def test_whether_a_failover_is_possible(
    monitored: MonitoredWatchdog, story: tuple[str, ...], side: str, possible: int
) -> None:
    monitored.after(standing_of(told(*story), side))
    assert f"hagit_failover_possible {possible}.0" in monitored.metrics()


def test_an_agent_without_a_watchdog_has_no_metrics_of_a_pair() -> None:
    assert b"hagit_watchdog_up" not in Metrics().render()


def test_the_agent_looks_alerts_and_is_scraped(controller: Controller) -> None:
    """The real agent, with a document that changes under it."""
    run = controller.root / "run"
    run.mkdir()
    controller.write_node(listen="port = 0")
    secret = f'[watchdog]\nsecret = "{controller.root / "secret"}"\nshelf = "simulated:/nowhere"\nrun = "{run}"\n'
    controller.node.write_text(controller.node.read_text() + secret + "deadman = false\n")
    (controller.root / "secret").write_bytes(bytes(32))

    def publish(status: Callable[[], WatchdogStatus]) -> Callable[[], bool]:
        def keep() -> bool:
            write_json(run / "watchdog.json", watchdog_document(status()), sync=False)
            # Until the alert comes: a busy machine may read an old status first, and emit an alert about that.
            return "ha-reason" in {kind for kind, _, _ in controller.alerts()}

        return keep

    publish(healthy)()
    controller.start_agent()
    port = until(lambda: controller.status().get("port"), controller.logs)

    def scraped(line: str) -> bool:
        publish(healthy)()
        text = controller.inside(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read())
        return line.encode() in text

    until(lambda: scraped('hagit_role{role="MASTER"} 1.0'), controller.logs)
    until(publish(lambda: unhealthy("NO_PONG")), controller.logs)
    assert controller.until_alert("ha-reason")["subject"] == "NO_PONG: because"
    # No status is published any more.
    assert controller.until_alert("watchdog-down")["severity"] == "critical"
