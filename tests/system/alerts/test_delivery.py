import json
import time

import pytest

from reconciler.core.alerts.alert import AlertStatus
from reconciler.core.facts.settings import AlertPolicy, Receiver
from reconciler.system.alerts.delivery import (
    TARGET_COUNT_MAX,
    AlertsDelivered,
    AlertsDropped,
    Delivery,
    DeliveryDelayed,
)
from reconciler.system.alerts.outbox import Outbox
from reconciler.system.alerts.targets import AlertmanagerTarget, ChatTarget, WebhookTarget, target_name, targets_of

RESOLVED = AlertStatus.RESOLVED


@pytest.fixture
def box(tmp_path):
    outbox = Outbox(tmp_path / "outbox")
    yield outbox
    outbox.close()


@pytest.fixture
def delivery(box, waiting):
    running = Delivery(box, waiting)
    yield running
    running.close()


def events(receiver):
    return [(json.loads(r.body)["type"].split(".")[-2], json.loads(r.body)["subject"]) for r in receiver.requests.got]


def of(kind, target=None):
    return lambda got: any(isinstance(item, kind) and (target is None or item.target == target) for item in got)


def test_a_webhook_receives_every_alert_once_in_order_over_one_connection(
    box, delivery, receiver, secret_file, drift, waiting
):
    delivery.configure([WebhookTarget(receiver.url, str(secret_file))])
    news = [drift(1), drift(2), drift(1, RESOLVED), drift(3), drift(2, RESOLVED)]
    for alert in news:
        box.put(alert)
        box.put(alert)
    assert delivery.wait_delivered(10)
    expected = [("resolved" if a.ended else "detected", f"Interface/storage0: {a.subject}") for a in news]
    assert events(receiver) == expected
    assert len({request.connection for request in receiver.requests.got}) == 1
    assert [type(outcome) for outcome in waiting.until(lambda got: len(got) == 5)] == [AlertsDelivered] * 5


def test_a_dead_target_hears_it_when_it_is_back(box, delivery, receivers, dead_port, secret_file, drift, waiting):
    delivery.configure([WebhookTarget(f"http://127.0.0.1:{dead_port}/hook", str(secret_file))])
    box.put(drift(1))
    box.put(drift(1, RESOLVED))
    delayed = waiting.until(lambda got: len(got) >= 2)
    assert all(isinstance(outcome, DeliveryDelayed) and "refused" in outcome.why for outcome in delayed)
    receiver = receivers(dead_port)
    assert delivery.wait_delivered(20)
    assert [what for what, _ in events(receiver)] == ["detected", "resolved"]


def test_pauses_double_with_jitter_and_are_bounded(box, delivery, dead_port, secret_file, drift, waiting):
    delivery.configure([WebhookTarget(f"http://127.0.0.1:{dead_port}/", str(secret_file))])
    box.put(drift())
    pauses = [outcome.pause_s for outcome in waiting.until(lambda got: len(got) >= 4)]
    for attempt, pause_s in enumerate(pauses[:4]):
        assert 0.125 * 2**attempt <= pause_s <= 0.25 * 2**attempt
    assert len({pause_s / 2**n for n, pause_s in enumerate(pauses)}) == len(pauses)


def test_dead_and_hanging_targets_delay_no_other(box, delivery, receiver, mute, dead_port, secret_file, drift, waiting):
    hanging = WebhookTarget(f"http://127.0.0.1:{mute}/", str(secret_file))
    delivery.configure(
        [
            WebhookTarget(f"http://127.0.0.1:{dead_port}/", str(secret_file)),
            hanging,
            WebhookTarget(receiver.url, str(secret_file)),
        ]
    )
    for number in range(20):
        box.put(drift(number))
    receiver.requests.until(lambda got: len(got) == 20)
    assert box.pending_counts()[target_name(hanging)] == 20
    outcome = next(
        o for o in waiting.until(of(DeliveryDelayed, target_name(hanging))) if o.target == target_name(hanging)
    )
    assert outcome.why == "no answer within 5 s"
    assert box.pending_counts()[target_name(hanging)] == 20


def test_what_was_not_delivered_is_delivered_after_a_restart(
    box, delivery, receivers, dead_port, secret_file, drift, waiting, tmp_path
):
    target = WebhookTarget(f"http://127.0.0.1:{dead_port}/hook", str(secret_file))
    delivery.configure([target])
    box.put(drift(1))
    box.put(drift(2))
    waiting.until(of(DeliveryDelayed))
    delivery.close()
    box.close()
    receiver = receivers(dead_port)
    box = Outbox(tmp_path / "outbox")
    delivery = Delivery(box, waiting)
    delivery.configure([target])
    assert delivery.wait_delivered(10)
    assert len(receiver.requests.got) == 2
    delivery.close()
    box.close()


def test_errors_of_the_server_are_tried_again_with_the_same_id_and_a_fresh_signature(
    box, delivery, receiver, secret_file, drift, waiting
):
    for status in (500, 503, 429):
        receiver.will_answer(status, text=b"come   back\nlater")
    delivery.configure([WebhookTarget(receiver.url, str(secret_file))])
    box.put(drift())
    assert delivery.wait_delivered(20)
    assert len({json.loads(request.body)["id"] for request in receiver.requests.got}) == 1
    assert len({request.headers["x-hagit-signature"] for request in receiver.requests.got}) > 1
    outcomes = waiting.until(of(AlertsDelivered))
    assert [outcome.why for outcome in outcomes[:1]] == ["it answered status 500: come back later"]
    assert outcomes[-1].attempts == 3


def test_a_message_that_is_refused_for_good_does_not_block_the_next(
    box, delivery, receiver, secret_file, drift, waiting
):
    receiver.will_answer(422, text=b"no such field")
    delivery.configure([WebhookTarget(receiver.url, str(secret_file))])
    box.put(drift(1))
    box.put(drift(2))
    assert delivery.wait_delivered(10)
    kinds = [json.loads(request.body)["type"] for request in receiver.requests.got]
    assert kinds == [
        "io.hagit.drift.detected.v1",
        "io.hagit.alerts-collapsed.detected.v1",
        "io.hagit.drift.detected.v1",
    ]
    assert waiting.until(of(AlertsDropped))[0].alerts == (drift(1),)


def test_a_redirect_is_not_followed(box, delivery, receivers, secret_file, drift, waiting):
    elsewhere, receiver = receivers(), receivers()
    receiver.will_answer(302, {"Location": elsewhere.url})
    delivery.configure([WebhookTarget(receiver.url, str(secret_file))])
    box.put(drift())
    assert delivery.wait_delivered(10)
    assert "redirects (status 302)" in waiting.until(of(DeliveryDelayed))[0].why
    assert elsewhere.requests.got == []
    assert len(receiver.requests.got) == 2


def test_a_secret_that_everybody_may_read_is_refused(box, delivery, receiver, secret_file, drift, waiting):
    secret_file.chmod(0o644)
    delivery.configure([WebhookTarget(receiver.url, str(secret_file))])
    box.put(drift())
    why = waiting.until(of(DeliveryDelayed))[0].why
    assert "others may read or change this secret (mode 0644)" in why
    assert f"chmod 600 {secret_file}" in why
    assert receiver.requests.got == []
    secret_file.chmod(0o600)
    assert delivery.wait_delivered(10)


def test_a_target_that_goes_and_one_that_comes(box, delivery, receivers, secret_file, drift):
    first, second = receivers(), receivers()
    targets = [WebhookTarget(receiver.url, str(secret_file)) for receiver in (first, second)]
    delivery.configure(targets[:1])
    box.put(drift(1))
    assert delivery.wait_delivered(10)
    delivery.configure(targets[1:])
    box.put(drift(2))
    assert delivery.wait_delivered(10)
    assert (len(first.requests.got), len(second.requests.got)) == (1, 1)


def test_firing_alerts_are_sent_again_and_resolved_ones_are_not(box, receiver, drift, waiting):
    delivery = Delivery(box, waiting, refresh_interval_s=0.1)
    delivery.configure([AlertmanagerTarget(receiver.url)])
    box.put(drift(1))
    receiver.requests.until(lambda got: len(got) >= 3)
    box.put(drift(1, RESOLVED))
    assert delivery.wait_delivered(10)
    count = len(receiver.requests.got)
    box.put(drift(2))
    receiver.requests.until(lambda got: len(got) >= count + 3)
    told = [json.loads(request.body) for request in receiver.requests.got]
    assert {alert["labels"]["subject"] for body in told[-3:] for alert in body} == {drift(2).subject}
    assert len(waiting.got) == 3, "repetitions are no news"
    delivery.close()


def test_many_alerts_are_sent_in_batches(box, delivery, receiver, drift):
    for number in range(450):
        box.put(drift(number))
    delivery.configure([AlertmanagerTarget(receiver.url)])
    assert delivery.wait_delivered(20)
    assert [len(json.loads(request.body)) for request in receiver.requests.got] == [200, 200, 50]


def test_a_target_that_makes_no_sense_is_refused_and_no_other(box, delivery, receiver, secret_file, drift):
    good = WebhookTarget(receiver.url, str(secret_file))
    assert delivery.configure([good]) == ()
    for url in (
        "ftp://host/", "http://", "http://host:99999/", "http://user:pass@host/", "http://host/a b", "host",
        "http://[::1/token", "http://host\x7f/",
    ):  # fmt: skip
        (refused,) = delivery.configure([AlertmanagerTarget(url), good])
        assert "URL" in refused and "token" not in refused and "pass@" not in refused and refused.isprintable()
    many = [AlertmanagerTarget(f"http://127.0.0.1:{9000 + n}") for n in range(TARGET_COUNT_MAX)]
    assert delivery.configure([good, *many]) == ("alertmanager:127.0.0.1:9015: there are 16 targets already",)
    assert delivery.configure([good]) == ()
    box.put(drift())
    assert delivery.wait_delivered(10)
    assert len(receiver.requests.got) == 1


def test_a_revision_names_its_targets():
    policy = AlertPolicy(
        ("http://am:9093",), (Receiver("https://hook", "/s"), Receiver("https://open")), ("/mail.url",)
    )
    assert targets_of(policy) == (
        AlertmanagerTarget("http://am:9093"),
        WebhookTarget("https://hook", "/s"),
        WebhookTarget("https://open"),
        ChatTarget("/mail.url"),
    )


def test_names_of_targets_hold_no_secret():
    assert target_name(AlertmanagerTarget("https://am.example")) == "alertmanager:am.example:443"
    assert target_name(AlertmanagerTarget("http://[fd00::1]:9093/")) == "alertmanager:[fd00::1]:9093"
    name = target_name(WebhookTarget("https://hooks.example/T0/S3cr3t?token=abc", "/s"))
    assert name.startswith("webhook:hooks.example:443/")
    assert "S3cr3t" not in name and "abc" not in name
    assert name != target_name(WebhookTarget("https://hooks.example/T1", "/s"))


def test_closing_does_not_wait_for_a_target_that_hangs(box, delivery, mute, secret_file, drift):
    delivery.configure([WebhookTarget(f"http://127.0.0.1:{mute}/", str(secret_file))])
    box.put(drift())
    begin_s = time.monotonic()
    delivery.close(0.2)
    assert time.monotonic() - begin_s < 4.0, "the try under way takes 5 s"
