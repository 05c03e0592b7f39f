"""The targets of alerts: their kinds, their names, and which URLs are refused.

A name appears in metrics and in the decision log and therefore holds no secret.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TypeAlias, assert_never
from urllib.parse import urlsplit

from reconciler.core.alerts.backlog import TargetMode
from reconciler.core.facts.settings import AlertPolicy
from reconciler.errors import UsageError


@dataclass(frozen=True, slots=True)
class AlertmanagerTarget:
    """An Alertmanager by its base URL. `ca_file` (PEM) replaces the system's certificate authorities."""

    url: str
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A receiver of CloudEvents. `secret_file` holds the key that signs them; None sends them unsigned.

    Either `url`, or `url_file` that holds one with a token in it.
    """

    url: str
    secret_file: str | None = None
    ca_file: str = ""
    url_file: str = ""


@dataclass(frozen=True, slots=True)
class ChatTarget:
    """The service of the one Apprise URL in `url_file`: mail, chat, a pager."""

    url_file: str


Target: TypeAlias = AlertmanagerTarget | WebhookTarget | ChatTarget


def targets_of(policy: AlertPolicy) -> tuple[Target, ...]:
    """The targets that a revision names."""
    return (
        *(AlertmanagerTarget(url) for url in policy.alertmanager),
        *(WebhookTarget(one.url, one.secret_file, url_file=one.url_file) for one in policy.webhooks),
        *(ChatTarget(path) for path in policy.notify),
    )


def target_name(target: Target) -> str:
    """A short stable name: `alertmanager:host:9093`, `webhook:host:443/1f0c9a2b`, `chat:/etc/hagit/mail.url`."""
    match target:
        case AlertmanagerTarget():
            return f"alertmanager:{_authority(target.url)}"
        case WebhookTarget():
            return f"webhook:{target.url_file or _authority(target.url)}"
        case ChatTarget():
            return f"chat:{target.url_file}"
        case _:
            assert_never(target)


def target_mode(target: Target) -> TargetMode:
    """Whether the target receives states or events."""
    return TargetMode.STATE if isinstance(target, AlertmanagerTarget) else TargetMode.EVENTS


def check_url(url: str) -> None:
    """Raises UsageError for a URL that cannot be posted to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not a URL: {error}", where=redacted_url(url)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError("not an http:// or https:// URL", where=redacted_url(url))
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "a URL with a user name or password in it",
            where=parts.hostname,
            remedy="The desired state is no place for secrets: put a proxy that adds them in front of the target.",
        )
    if any(character <= " " or character == "\x7f" for character in url):
        raise UsageError("a URL with spaces or control characters in it", where=redacted_url(url))


def redacted_url(url: str) -> str:
    """The part of a URL that holds no secret, printable."""
    text = url.partition("://")
    authority = re.split(r"[/?#]", text[2], maxsplit=1)[0].rpartition("@")[2]
    return "".join(sign if sign.isprintable() else "?" for sign in f"{text[0]}{text[1]}{authority}")[:100]


def _authority(url: str) -> str:
    check_url(url)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    # Paths of webhooks often are passwords: a hash distinguishes two of them without showing either.
    rest = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    return f"{host}:{port}" + (f"/{hashlib.sha256(rest.encode()).hexdigest()[:8]}" if rest else "")
