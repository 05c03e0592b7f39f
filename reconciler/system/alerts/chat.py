"""Alerts for people: mail, chat, pagers. A child process sends each message with Apprise.

Builds the text of a message and reads the result of the child (`system/alerts/chat_process`). Apprise would cost the
agent some 30 MB, and its URL holds passwords: the child reads the URL from its file and ends after one message.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Final

from reconciler.core.alerts.alert import Alert, Severity
from reconciler.printing import printable
from reconciler.system.alerts.alertmanager import timestamp
from reconciler.system.alerts.sender import SendAccepted, SendFailed, SendResult
from reconciler.system.alerts.targets import ChatTarget
from reconciler.system.process import Finished, Missing, TimedOut, run

#: Time limit of one message, including the start of the interpreter and all tries of the service.
DEADLINE_S: Final = 30.0

#: How the child ends (`chat_process`).
EXIT_TAKEN: Final = 0
EXIT_REFUSED: Final = 1

_WORKER: Final = "reconciler.system.alerts.chat_process"


def chat_message(alert: Alert) -> dict[str, str]:
    """Title, body and Apprise's type (`info`, `success`, `warning`, `failure`) of a message."""
    word = "resolved" if alert.ended else alert.severity.value
    lines = [_plain(alert.summary), ""]
    named = (
        ("resource", alert.resource),
        ("desired", alert.desired),
        ("live", alert.live),
        ("since", timestamp(alert.since_s)),
        ("until", timestamp(alert.ended_s) if alert.ended and alert.ended_s else ""),
        ("asked for by", _asker(alert)),
        ("at", alert.origin),
        ("remedy", "" if alert.ended else alert.remedy),
    )
    lines += [f"{name}: {_plain(text)}" for name, text in named if text]
    kinds = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}
    return {
        "title": _plain(f"[{word}] {alert.pair}/{alert.controller}: {alert.subject}"),
        "body": "\n".join(lines),
        "type": "success" if alert.ended else kinds[alert.severity],
    }


#: Mentions that notify everyone in a chat (Slack, Discord, Mattermost, Matrix). A commit must not trigger them.
_CALLS: Final = re.compile(r"@(?=(?:everyone|here|channel|room|all)\b)|<(?=[!@#])", re.IGNORECASE)


def _plain(text: str) -> str:
    """The text as one line without effect in a chat. Apprise escapes HTML."""
    return _CALLS.sub(lambda call: f"{call[0]} ", printable(text))


def _asker(alert: Alert) -> str:
    words = [alert.commit[:12], alert.author and f"by {alert.author}", alert.signer and f"signed by {alert.signer}"]
    return ", ".join(word for word in words if word)


class ChatSender:
    """Sends to one Apprise URL, one message in each child."""

    batch_count_max = 1
    pause_s_max = 300.0

    def __init__(self, target: ChatTarget) -> None:
        self._url_file = target.url_file

    def send(self, alerts: Sequence[Alert]) -> SendResult:
        """See `Sender`."""
        (alert,) = alerts
        argv = [sys.executable, "-P", "-m", _WORKER, self._url_file]
        message = json.dumps(chat_message(alert)).encode()
        outcome = run(argv, stdin=message, timeout_s=DEADLINE_S, output_bytes_max=16_384)
        match outcome:
            case Finished(code=0):
                return SendAccepted()
            case Finished(code=code, stdout=output):
                why = output.decode(errors="replace").strip()
                return SendFailed(why or f"the worker for chat ended with status {code}")
            case TimedOut():
                return SendFailed(f"the service did not take the message within {DEADLINE_S:g} s")
            case Missing(why=why):
                return SendFailed(f"the worker for chat cannot be started: {why}")

    def close(self) -> None:
        """See `Sender`."""
