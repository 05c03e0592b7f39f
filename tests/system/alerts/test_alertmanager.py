import statistics
import time

import pytest

from reconciler.core.alerts.alert import AlertKind, AlertStatus
from reconciler.system.alerts.alertmanager import DURATION_S_MIN, alertmanager_document
from reconciler.system.alerts.delivery import AlertsDelivered, Delivery
from reconciler.system.alerts.outbox import Outbox
from reconciler.system.alerts.targets import AlertmanagerTarget

RESOLVED = AlertStatus.RESOLVED


@pytest.fixture
def running(tmp_path, waiting):
    with_outbox = Outbox(tmp_path / "outbox")
    delivery = Delivery(with_outbox, waiting)
    yield with_outbox, delivery
    delivery.close()
    with_outbox.close()


def subjects(manager):
    return sorted(alert["labels"]["subject"] for alert in manager.alerts())


def test_an_alert_fires_and_is_resolved_in_the_real_one(alertmanager, running, drift):
    box, delivery = running
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    box.put(drift(1, since_s=time.time() - DURATION_S_MIN))
    box.put(drift(2, since_s=time.time() - DURATION_S_MIN))
    assert delivery.wait_delivered(10)
    alertmanager.until(lambda: subjects(alertmanager) == [drift(1).subject, drift(2).subject])
    fired = next(alert for alert in alertmanager.alerts() if alert["labels"]["subject"] == drift(1).subject)
    assert fired["labels"] == {
        "alertname": "HagitDrift",
        "pair": "tank",
        "controller": "a",
        "resource": "Interface/storage0",
        "subject": "address 10.0.0.1/24 on eth1",
        "severity": "warning",
    }
    assert fired["annotations"]["origin"] == "network.yaml:12"
    assert fired["annotations"]["desired"] == "present"
    box.put(drift(1, RESOLVED, since_s=box.firing()[0].since_s, ended_s=time.time()))
    assert delivery.wait_delivered(10)
    alertmanager.until(lambda: subjects(alertmanager) == [drift(2).subject])


def test_it_fires_again_after_it_was_over(alertmanager, running, drift):
    box, delivery = running
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    for _ in range(3):
        since_s = time.time() - DURATION_S_MIN
        box.put(drift(since_s=since_s))
        assert delivery.wait_delivered(10)
        alertmanager.until(lambda: len(alertmanager.alerts()) == 1)
        box.put(drift(status=RESOLVED, since_s=since_s, ended_s=time.time()))
        assert delivery.wait_delivered(10)
        alertmanager.until(lambda: alertmanager.alerts() == [])


def test_one_that_was_down_hears_what_stands(alertmanager, running, drift):
    box, delivery = running
    alertmanager.stop()
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    now_s = time.time()
    box.put(drift(1, since_s=now_s - DURATION_S_MIN))
    box.put(drift(2, since_s=now_s))
    box.put(drift(1, RESOLVED, since_s=now_s - DURATION_S_MIN, ended_s=now_s))
    alertmanager.start()
    assert delivery.wait_delivered(20)
    alertmanager.until(lambda: subjects(alertmanager) == [drift(2).subject])


def test_alertmanager_gets_its_alerts_again_after_it_lost_them(alertmanager, tmp_path, waiting, drift):
    box = Outbox(tmp_path / "outbox")
    delivery = Delivery(box, waiting, refresh_interval_s=0.2)
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    box.put(drift(1, since_s=time.time()))
    assert delivery.wait_delivered(10)
    alertmanager.stop()
    alertmanager.start()
    alertmanager.until(lambda: subjects(alertmanager) == [drift(1).subject])
    delivery.close()
    box.close()


def test_every_kind_of_alert_is_accepted(alertmanager, running, drift):
    box, delivery = running
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    for kind in AlertKind:
        box.put(drift(kind=kind, since_s=time.time(), resource="", live="\x00\n“é”\U0001f600" * 400))
    assert delivery.wait_delivered(10)
    alertmanager.until(lambda: len(alertmanager.alerts()) == len(AlertKind))


def test_from_the_outbox_to_alertmanager_takes_milliseconds(alertmanager, running, drift, waiting):
    box, delivery = running
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    took_s = []
    for number in range(200):
        begin_s = time.monotonic()
        box.put(drift(number, since_s=time.time()))
        waiting.until(lambda got, count=number + 1: len(got) == count)
        took_s.append(time.monotonic() - begin_s)
    assert all(isinstance(outcome, AlertsDelivered) for outcome in waiting.got)
    cuts = statistics.quantiles(took_s, n=100)
    print(f"outbox to Alertmanager: p50 {1000 * cuts[49]:.1f} ms, p99 {1000 * cuts[98]:.1f} ms")
    # Most of them: what a busy machine holds up now and then says nothing about us.
    assert cuts[49] < 0.25


def test_an_alert_that_ends_at_once_lasts_until_it_is_notified(alertmanager, running, drift):
    """Told as standing, then as over a moment later: it stands until it was heard, and not a moment longer."""
    box, delivery = running
    delivery.configure([AlertmanagerTarget(alertmanager.url)])
    # The moment until which it stands; a machine that was too busy to tell both by then gets a later one.
    for number, heard_s in enumerate((1.5, 5.0, 15.0)):
        since_s = time.time() - DURATION_S_MIN + heard_s
        box.put(drift(number, since_s=since_s))
        assert delivery.wait_delivered(10)
        alertmanager.until(lambda number=number: drift(number).subject in subjects(alertmanager))
        box.put(drift(number, RESOLVED, since_s=since_s, ended_s=since_s + 0.1))
        assert delivery.wait_delivered(10)
        told = subjects(alertmanager)
        if time.time() < since_s + DURATION_S_MIN:
            break
    assert drift(number).subject in told
    alertmanager.until(lambda: alertmanager.alerts() == [])
    assert since_s + DURATION_S_MIN <= time.time()


def test_a_firing_alert_has_no_end_and_a_resolved_one_lasts_long_enough(drift):
    since_s = drift().since_s
    assert "endsAt" not in alertmanager_document(drift())
    soon = alertmanager_document(drift(status=RESOLVED, ended_s=since_s + 0.2))
    assert (soon["startsAt"], soon["endsAt"]) == ("2026-01-01T00:00:01.000Z", "2026-01-01T00:00:41.000Z")
    late = alertmanager_document(drift(status=RESOLVED, ended_s=since_s + 100))
    assert late["endsAt"] == "2026-01-01T00:01:41.000Z"
    before = alertmanager_document(drift(status=RESOLVED, ended_s=since_s - 100))
    assert before["endsAt"] == "2026-01-01T00:00:41.000Z"
