"""Alerts as CloudEvents 1.0 in structured mode, signed, for a webhook.

Decides the envelope (CloudEvents specification 1.0.2, sections 2 and 3; its HTTP binding, section 3.2) and the
signature. A receiver verifies it so:

    header   X-Hagit-Signature: t=1767225600,v1=<64 hex digits>
    v1       HMAC-SHA256 with the shared secret over `<t>.<body>`, the body being the bytes as they came
    accept   when v1 is right (compared in constant time) and t is at most five minutes from now

Every try carries the same event `id` (and a fresh signature), so a receiver that remembers ids takes each piece of news
once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Final

from reconciler.core.alerts.alert import Alert
from reconciler.errors import HagitError, NodeFileError, UsageError
from reconciler.system.alerts.alertmanager import timestamp
from reconciler.system.alerts.sender import SendFailed, SendResult, result_of_reply
from reconciler.system.alerts.targets import WebhookTarget
from reconciler.system.http.client import HttpPoster
from reconciler.system.secret import read_secret

SIGNATURE_HEADER: Final = "X-Hagit-Signature"
SIGNATURE_AGE_S_MAX: Final = 300.0

_TIMEOUT_S: Final = 5.0


def cloud_event(alert: Alert) -> dict[str, object]:
    """The event: type `io.hagit.drift.detected.v1` or `….resolved.v1`; `data` is `Alert.document` and its identity."""
    what = "resolved" if alert.ended else "detected"
    return {
        "specversion": "1.0",
        "id": alert.transition,
        "source": f"/hagit/{alert.pair}/{alert.controller}",
        "type": f"io.hagit.{alert.kind.value}.{what}.v1",
        "subject": f"{alert.resource}: {alert.subject}" if alert.resource else alert.subject,
        "time": timestamp((alert.ended_s or alert.since_s) if alert.ended else alert.since_s),
        "datacontenttype": "application/json",
        "data": {**alert.document(), "identity": alert.identity},
    }


def signature(body: bytes, secret: bytes, at_s: int) -> str:
    """The value of the signature header for `body` at `at_s` seconds since 1970."""
    return f"t={at_s},v1={hmac.new(secret, b'%d.%s' % (at_s, body), hashlib.sha256).hexdigest()}"


def verified(header: str, body: bytes, secret: bytes, now_s: float) -> bool:
    """True when `header` signs `body` with `secret` and is not older (or newer) than five minutes."""
    parts = dict(item.partition("=")[::2] for item in header.strip().split(",")[:8])
    moment = parts.get("t", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        return False
    expected = signature(body, secret, int(moment)).partition("v1=")[2]
    right = hmac.compare_digest(expected.encode(), parts.get("v1", "").encode(errors="replace"))
    return right and abs(now_s - int(moment)) <= SIGNATURE_AGE_S_MAX


class WebhookSender:
    """Sends to one webhook, one event in each request. The secret is read anew each time, so that it can be changed."""

    batch_count_max = 1
    pause_s_max = 60.0

    def __init__(self, target: WebhookTarget) -> None:
        self._target = target
        self._secret_file = target.secret_file
        self._url = target.url
        self._poster: HttpPoster | None = None if target.url_file else self._poster_to(target.url)

    def send(self, alerts: Sequence[Alert]) -> SendResult:
        """See `Sender`."""
        (alert,) = alerts
        body = json.dumps(cloud_event(alert)).encode()
        try:
            poster = self._current()
        except HagitError as error:
            return SendFailed(str(error))
        headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
        if self._secret_file is not None:
            try:
                secret = read_secret(self._secret_file)
            except HagitError as error:
                return SendFailed(str(error))
            headers[SIGNATURE_HEADER] = signature(body, secret, int(time.time()))
        return result_of_reply(poster.post(body, headers))

    def close(self) -> None:
        """See `Sender`."""
        if self._poster is not None:
            self._poster.close()

    def _current(self) -> HttpPoster:
        """The connection to the URL, which a file may hold, and which may have changed there."""
        if self._target.url_file:
            url = read_secret(self._target.url_file, bytes_min=1).decode(errors="replace")
            if self._poster is None or url != self._url:
                self.close()
                try:
                    self._url, self._poster = url, self._poster_to(url)
                except UsageError as error:
                    # The URL is the secret: nothing of it is repeated.
                    self._poster = None
                    raise NodeFileError(f"what it holds is {error.what}", where=self._target.url_file) from None
        assert self._poster is not None
        return self._poster

    def _poster_to(self, url: str) -> HttpPoster:
        return HttpPoster(url, timeout_s=_TIMEOUT_S, ca_file=self._target.ca_file)
