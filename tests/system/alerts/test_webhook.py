import hashlib
import hmac
import json
import os
import time

import pytest

from reconciler.core.alerts.alert import AlertStatus, alert_from_document
from reconciler.errors import NodeFileError
from reconciler.system.alerts.delivery import Delivery
from reconciler.system.alerts.outbox import Outbox
from reconciler.system.alerts.sender import SendAccepted
from reconciler.system.alerts.targets import WebhookTarget
from reconciler.system.alerts.webhook import WebhookSender, cloud_event
from reconciler.system.http.webhook_signatures import is_valid_signature, sign_webhook
from reconciler.system.secret import read_secret

SECRET = b"correct-horse-battery-staple"


def test_a_receiver_can_verify_it_with_what_every_language_has(tmp_path, receiver, secret_file, drift, waiting):
    box = Outbox(tmp_path / "outbox")
    delivery = Delivery(box, waiting)
    delivery.configure([WebhookTarget(receiver.url, str(secret_file))])
    box.put(drift())
    (request,) = receiver.requests.until(lambda got: len(got) == 1)
    delivery.close()
    box.close()
    assert request.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    moment, digest = request.headers["x-hagit-signature"].split(",")
    signed = moment.removeprefix("t=").encode() + b"." + request.body
    assert digest == "v1=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    event = json.loads(request.body)
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": drift().transition,
        "source": "/hagit/tank/a",
        "type": "io.hagit.drift.detected.v1",
        "subject": "Interface/storage0: address 10.0.0.1/24 on eth1",
        "time": "2026-01-01T00:00:01.000Z",
        "datacontenttype": "application/json",
    }
    assert data.pop("identity") == drift().identity
    assert alert_from_document(data) == drift()
    assert SECRET not in request.body


def test_without_a_secret_it_is_not_signed(receiver, drift):
    sender = WebhookSender(WebhookTarget(receiver.url, None))
    assert sender.send([drift()]) == SendAccepted()
    sender.close()
    assert "x-hagit-signature" not in receiver.requests.got[0].headers


def test_the_end_is_another_event_about_the_same_matter(drift):
    over = cloud_event(drift(status=AlertStatus.RESOLVED, ended_s=drift().since_s + 5))
    assert over["type"] == "io.hagit.drift.resolved.v1"
    assert over["time"] == "2026-01-01T00:00:06.000Z"
    assert over["id"] != cloud_event(drift())["id"]
    assert over["data"]["identity"] == cloud_event(drift())["data"]["identity"]


def test_signatures_are_bound_to_body_secret_and_time():
    header = sign_webhook(b"body", SECRET, 1000)
    assert is_valid_signature(header, b"body", SECRET, 1000.0)
    assert is_valid_signature(header, b"body", SECRET, 1299.0)
    assert not is_valid_signature(header, b"body", SECRET, 1301.0)
    assert not is_valid_signature(header, b"body", SECRET, 699.0)
    assert not is_valid_signature(header, b"Body", SECRET, 1000.0)
    assert not is_valid_signature(header, b"body", b"another", 1000.0)
    assert not is_valid_signature(header.replace("t=1000", "t=1001"), b"body", SECRET, 1000.0)


@pytest.mark.parametrize(
    "header", ["", "t=1000", "v1=00", "t=x,v1=0", "t=٣,v1=0", "t=1000,v1=é", "t=" + "9" * 99, ",,,="]
)
def test_headers_that_are_none_verify_nothing(header):
    assert not is_valid_signature(header, b"body", SECRET, 1000.0)


@pytest.mark.parametrize("mode", [0o604, 0o601, 0o620, 0o640, 0o666])
def test_secrets_that_others_may_read_or_change_are_refused(secret_file, mode):
    secret_file.chmod(mode)
    with pytest.raises(NodeFileError, match="others may read or change") as caught:
        read_secret(secret_file)
    assert str(secret_file) in str(caught.value)
    assert "correct" not in str(caught.value)


def test_secrets_are_read_without_white_space(secret_file):
    assert read_secret(secret_file) == SECRET


def test_files_that_are_no_secrets_are_refused(tmp_path, secret_file):
    os.mkfifo(tmp_path / "fifo", 0o600)
    secret_file.write_bytes(b"short\n")
    for path, complaint in (
        (tmp_path / "fifo", "regular file"),
        (tmp_path / "none", "No such file"),
        (secret_file, "shorter than 16 bytes"),
    ):
        with pytest.raises(NodeFileError, match=complaint):
            read_secret(path)
    secret_file.write_bytes(b"x" * 5000)
    with pytest.raises(NodeFileError, match="longer than 4096"):
        read_secret(secret_file)


def test_the_age_of_a_signature_is_that_of_the_clock():
    assert is_valid_signature(sign_webhook(b"", SECRET, int(time.time())), b"", SECRET, time.time())
