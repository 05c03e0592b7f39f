"""The interface of a sender to one target, and the three results of a try: accepted, failed, rejected.

Decides which HTTP status means which result. `system/alerts/delivery` decides when to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol, TypeAlias

from reconciler.core.alerts.alert import Alert
from reconciler.system.http.client import HttpFailure, HttpResponse, HttpResult


@dataclass(frozen=True, slots=True)
class SendAccepted:
    """The target has the alerts."""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The target did not accept the alerts; a later try may succeed."""

    why: str


@dataclass(frozen=True, slots=True)
class SendRejected:
    """The target refuses exactly these alerts; another try is useless."""

    why: str


SendResult: TypeAlias = SendAccepted | SendFailed | SendRejected


class Sender(Protocol):
    """A sender to one target. Used by one thread."""

    #: Most alerts in one `send`.
    batch_count_max: int
    #: The longest pause between two tries, in seconds.
    pause_s_max: float

    def send(self, alerts: Sequence[Alert]) -> SendResult:
        """Send alerts, oldest first, within seconds. Does not raise."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


#: Status codes that reject the message itself. Others (401, 404, ...) are problems of the target or its configuration.
_ABOUT_THE_MESSAGE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


def result_of_reply(reply: HttpResult) -> SendResult:
    """What an HTTP answer means (RFC 9110 section 15)."""
    if isinstance(reply, HttpFailure):
        return SendFailed(reply.why)
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return SendAccepted()
    why = _explained(reply)
    return SendRejected(why) if reply.status in _ABOUT_THE_MESSAGE else SendFailed(why)


def _explained(reply: HttpResponse) -> str:
    detail = f": {reply.text}" if reply.text else ""
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        return f"it redirects (status {reply.status}), which is not followed: configure the final URL"
    return f"it answered status {reply.status}{detail}"
