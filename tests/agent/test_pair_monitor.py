"""The agent beside a watchdog: its reasons, roles and silence become alerts and metrics, each once, and resolved."""

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
from reconciler.core.status.watchdog import STALE_MS, ReasonStatus, WatchdogStatus, watchdog_document
from reconciler.errors import StateError
from reconciler.system.files import write_json
from reconciler.system.node import load_node
from tests.cli.simulated_pair import node_file
from tests.controller import Controller
from tests.standings import SWITCHOVER, standing_of, told
from tests.wait import until


class Beside:
    """A pair watch with a clock that is set by hand, and what it told."""

    def __init__(self, root: Path) -> None:
        for name in ("run", "state"):
            (root / "a" / name).mkdir(parents=True)
        self.root, self.now_s = root, 1_000.0
        self.node = load_node(node_file(root, "a"))
        self.told: list[Alert] = []
        self.full = False
        self.begin()

    def begin(self, firing: tuple[Alert, ...] = ()) -> None:
        """The agent starts, or starts again; `firing` is what stands in its outbox."""
        self.registry = CollectorRegistry()
        path = self.root / "a" / "state" / "pair.json"
        self.watch = PairMonitor(
            self.node, path, PairMetrics(self.registry), self.tell, lambda: self.now_s, lambda: self.now_s, firing
        )

    def tell(self, alert: Alert) -> None:
        if self.full:
            raise StateError("no space left")
        self.told.append(alert)

    def publish(self, status: WatchdogStatus) -> None:
        write_json(self.root / "a" / "run" / "watchdog.json", watchdog_document(status), sync=False)

    def after(self, *statuses: WatchdogStatus | None, looks: int = 1) -> list[tuple[str, str, str]]:
        """What is told while these are published one after the other; None: nothing new is."""
        before = len(self.told)
        for status in statuses:
            if status is not None:
                self.publish(status)
            for _ in range(looks):
                self.now_s += POLL_S
                self.watch.poll()
        return [(alert.kind.value, alert.status.value, alert.subject) for alert in self.told[before:]]

    def metrics(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    return Beside(tmp_path)


def well(**changes: Any) -> WatchdogStatus:
    return replace(standing_of(told()), **changes)


def wrong(*codes: str, **changes: Any) -> WatchdogStatus:
    return well(reasons=tuple(ReasonStatus(code=code, text="because", remedy="mend it") for code in codes), **changes)


def stale() -> WatchdogStatus:
    status = well()
    return replace(status, at_ms=status.at_ms - STALE_MS - 1)


def test_a_healthy_pair_causes_no_alert(beside: Beside) -> None:
    assert beside.after(well(), well(), looks=10) == []


def test_a_reason_is_sent_once_and_resolved(beside: Beside) -> None:
    isolated = standing_of(told("at 12s cable-pull interlink"))
    subject = "NO_HEARTBEAT: the peer is not heard on interlink"
    assert beside.after(isolated, looks=20) == [("ha-reason", "firing", subject)]
    assert beside.after(well(), looks=3) == [("ha-reason", "resolved", subject)]
    firing, resolved = beside.told
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
def test_how_grave_a_reason_is(beside: Beside, code: str, severity: str) -> None:
    assert beside.after(wrong(code), looks=6) == [("ha-reason", "firing", f"{code}: because")]
    assert beside.told[0].severity == severity


def test_a_reason_that_comes_and_goes_causes_no_alert(beside: Beside) -> None:
    assert beside.after(wrong("NO_PONG"), well(), wrong("NO_PONG"), well()) == []
    assert beside.after(wrong("LOC_FAILOVER_ONGOING"), looks=int(MOVING_S / POLL_S)) == []
    assert beside.after(wrong("LOC_FAILOVER_ONGOING"), looks=2) == [
        ("ha-reason", "firing", "LOC_FAILOVER_ONGOING: because")
    ]


def test_a_change_of_role_is_sent_and_ends_after_a_while(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = well(role="BACKUP", phase="standby")
    assert beside.after(well(), well(role="ELECTING"), backup) == [("role-changed", "firing", "role MASTER → BACKUP")]
    assert beside.told[-1].summary.startswith("storage-a is BACKUP now, it was MASTER: ")
    assert beside.after(backup, looks=5) == []
    assert beside.after(well()) == [
        ("role-changed", "firing", "role BACKUP → MASTER"),
        ("role-changed", "resolved", "role MASTER → BACKUP"),
    ]
    assert beside.after(well(role="ERROR", phase="halted"))[0] == ("role-changed", "firing", "role MASTER → ERROR")
    assert beside.told[-2].severity == "critical"
    beside.now_s += ROLE_S
    assert beside.after(None)[-1] == ("role-changed", "resolved", "role MASTER → ERROR")


def test_a_watchdog_that_is_silent(beside: Beside) -> None:
    assert beside.after(wrong("NO_DISKS"), looks=6) == [("ha-reason", "firing", "NO_DISKS: because")]
    assert beside.after(stale(), looks=int(HOLD_S / POLL_S) + 1) == [("watchdog-down", "firing", "watchdog")]
    assert beside.told[-1].severity == "critical"
    assert beside.after(None, looks=10) == [], "the reason neither holds nor is over: nobody knows"
    (beside.root / "a" / "run" / "watchdog.json").unlink()
    assert beside.after(None, looks=10) == []
    assert sorted(beside.after(well())) == [
        ("ha-reason", "resolved", "NO_DISKS: because"),
        ("watchdog-down", "resolved", "watchdog"),
    ]


def test_a_watchdog_that_never_was(beside: Beside) -> None:
    assert beside.after(None, looks=2) == []
    assert beside.after(None, looks=10) == [("watchdog-down", "firing", "watchdog")]
    assert "has not published" in beside.told[0].summary


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 9_999])
def test_a_damaged_document_is_silence(beside: Beside, content: bytes) -> None:
    (beside.root / "a" / "run" / "watchdog.json").write_bytes(content)
    assert beside.after(None, looks=10) == [("watchdog-down", "firing", "watchdog")]


def test_what_stood_is_resolved_after_a_restart_of_the_agent(beside: Beside) -> None:
    beside.after(wrong("NO_DISKS"), looks=6)
    beside.begin()
    assert beside.after(wrong("NO_DISKS"), looks=6) == []
    beside.begin()
    assert beside.after(well(role="BACKUP", phase="standby")) == [
        ("role-changed", "firing", "role MASTER → BACKUP"),
        ("ha-reason", "resolved", "NO_DISKS: because"),
    ]


def test_an_alert_of_an_agent_killed_before_it_saved_it_is_sent_once_and_resolved(beside: Beside) -> None:
    beside.after(well())
    kept = beside.root / "a" / "state" / "pair.json"
    before = kept.read_bytes()
    assert beside.after(wrong("NO_DISKS"), looks=6) == [("ha-reason", "firing", "NO_DISKS: because")]
    kept.write_bytes(before)
    beside.begin(tuple(beside.told))
    assert beside.after(wrong("NO_DISKS"), looks=6) == []
    assert beside.after(well()) == [("ha-reason", "resolved", "NO_DISKS: because")]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"standing":[{}]}', b'{"standing":5}'])
def test_a_damaged_memory_is_forgotten(beside: Beside, content: bytes) -> None:
    (beside.root / "a" / "state" / "pair.json").write_bytes(content)
    beside.begin()
    assert beside.after(wrong("NO_DISKS"), looks=6) == [("ha-reason", "firing", "NO_DISKS: because")]


def test_an_alert_that_cannot_be_stored_is_sent_later(beside: Beside) -> None:
    beside.full = True
    assert beside.after(well(), wrong("NO_DISKS"), looks=6) == []
    assert "no space left" in beside.watch.problem
    beside.full = False
    assert beside.after(wrong("NO_DISKS")) == [("ha-reason", "firing", "NO_DISKS: because")]


def test_evidence_that_changes_is_not_written_each_time(beside: Beside) -> None:
    beside.after(wrong("NO_DISKS"), looks=6)
    path = beside.root / "a" / "state" / "pair.json"
    before = path.stat().st_ino
    for age in range(5):
        reason = ReasonStatus(code="NO_DISKS", text="because", evidence=f"{age} ms")
        assert beside.after(well(reasons=(reason,))) == []
    assert path.stat().st_ino == before


def test_metrics_of_a_status(beside: Beside) -> None:
    beside.after(standing_of(told("at 12s cable-pull interlink"), done=(SWITCHOVER,), failovers=2, lateness_ms_max=7))
    text = beside.metrics()
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


def test_failovers_are_counted_through_restarts_of_the_watchdog(beside: Beside) -> None:
    for failovers, started_ms in ((2, 0), (3, 0), (3, 0), (0, 500), (1, 500)):
        beside.after(well(failovers=failovers, started_ms=started_ms))
    assert "hagit_failovers_total 4.0" in beside.metrics()


def test_an_old_status_leaves_no_metrics(beside: Beside) -> None:
    beside.after(well(), stale())
    text = beside.metrics()
    assert "hagit_watchdog_up 0.0" in text
    assert "hagit_failover_possible 0.0" in text
    assert not re.search(r"^hagit_(role|phase|reason|heartbeat_age_seconds)\{", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("story", "side", "possible"),
    [((), "a", 1), ((), "b", 1), (("at 12s disks-lost b",), "a", 0), (("at 12s disks-lost b",), "b", 0),
     (("at 12s power-loss b",), "a", 0), (("at 12s disable",), "a", 0)],
)  # fmt: skip
def test_whether_a_failover_is_possible(beside: Beside, story: tuple[str, ...], side: str, possible: int) -> None:
    beside.after(standing_of(told(*story), side))
    assert f"hagit_failover_possible {possible}.0" in beside.metrics()


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
            # Until it is told: a machine so busy that it looked late saw a document that was old, and told that first.
            return "ha-reason" in {kind for kind, _, _ in controller.alerts()}

        return keep

    publish(well)()
    controller.start_agent()
    port = until(lambda: controller.status().get("port"), controller.logs)

    def scraped(line: str) -> bool:
        publish(well)()
        text = controller.inside(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read())
        return line.encode() in text

    until(lambda: scraped('hagit_role{role="MASTER"} 1.0'), controller.logs)
    until(publish(lambda: wrong("NO_PONG")), controller.logs)
    assert controller.until_alert("ha-reason")["subject"] == "NO_PONG: because"
    # Nobody publishes any more.
    assert controller.until_alert("watchdog-down")["severity"] == "critical"
