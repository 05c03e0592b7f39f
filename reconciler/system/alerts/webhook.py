"""Alerts for a webhook: signed CloudEvents 1.0 in structured mode.

Builds the envelope (CloudEvents specification 1.0.2, sections 2 and 3; its HTTP binding, section 3.2). The signature is
that of `system/http/webhook_signatures`. Every try carries the same event `id` and a new signature, so a receiver that
remembers ids accepts each alert once.
"""

from __future__ import annotations

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
from reconciler.system.http.webhook_signatures import SIGNATURE_HEADER, sign_webhook
from reconciler.system.secret import read_secret

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


class WebhookSender:
    """Sends to one webhook, one event in each request. Reads the secret for each one, so that it can be changed."""

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
            headers[SIGNATURE_HEADER] = sign_webhook(body, secret, int(time.time()))
        return result_of_reply(poster.post(body, headers))

    def close(self) -> None:
        """See `Sender`."""
        if self._poster is not None:
            self._poster.close()

    def _current(self) -> HttpPoster:
        """The client for the URL. A URL that a file holds may have changed."""
        if self._target.url_file:
            url = read_secret(self._target.url_file, bytes_min=1).decode(errors="replace")
            if self._poster is None or url != self._url:
                self.close()
                try:
                    self._url, self._poster = url, self._poster_to(url)
                except UsageError as error:
                    # The URL is the secret: the message must not repeat any of it.
                    self._poster = None
                    raise NodeFileError(f"what it holds is {error.what}", where=self._target.url_file) from None
        assert self._poster is not None
        return self._poster

    def _poster_to(self, url: str) -> HttpPoster:
        return HttpPoster(url, timeout_s=_TIMEOUT_S, ca_file=self._target.ca_file)
