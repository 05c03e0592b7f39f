"""Whether a request to the source hook comes from somebody who knows the secret.

Decides which signatures of git hosts are understood. Does not read what the request says: all it can mean is "look
now". Sources: GitHub "Validating webhook deliveries", GitLab "Webhooks" (secret token), Gitea and Forgejo "Webhooks".
"""

from __future__ import annotations

import hashlib
import hmac
from email.message import Message
from typing import Final

from reconciler.system.alerts.webhook import SIGNATURE_HEADER, verified

_GITHUB: Final = "X-Hub-Signature-256"
_GITLAB: Final = "X-Gitlab-Token"
_GITEA: Final = ("X-Gitea-Signature", "X-Forgejo-Signature")


def is_signed(headers: Message) -> bool:
    """True when there is anything to check; a body is not even read otherwise."""
    return any(name in headers for name in (SIGNATURE_HEADER, _GITHUB, _GITLAB, *_GITEA))


def is_authentic(headers: Message, body: bytes, secret: bytes, now_s: float) -> bool:
    """True when the first signature that is understood is right. Compared in constant time."""
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    if SIGNATURE_HEADER in headers:
        return verified(headers[SIGNATURE_HEADER], body, secret, now_s)
    if _GITHUB in headers:
        return _same(headers[_GITHUB], f"sha256={digest}")
    if _GITLAB in headers:
        return hmac.compare_digest(headers[_GITLAB].encode(errors="replace"), secret)
    given = next((headers[name] for name in _GITEA if name in headers), "")
    return _same(given, digest)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
