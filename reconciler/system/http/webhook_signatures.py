"""Signatures of webhook requests: hagit's own, and those of git hosts.

hagit signs its events, and a receiver verifies them, so:

    header   X-Hagit-Signature: t=1767225600,v1=<64 hex digits>
    v1       HMAC-SHA256 with the shared secret over `<t>.<body>`, with the bytes of the body as received
    accept   when v1 is right (compared in constant time) and t is at most five minutes from now

The source hook accepts these and the signatures of git hosts. Sources: GitHub "Validating webhook deliveries", GitLab
"Webhooks" (secret token), Gitea and Forgejo "Webhooks". All comparisons take constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from email.message import Message
from typing import Final

SIGNATURE_HEADER: Final = "X-Hagit-Signature"
SIGNATURE_AGE_S_MAX: Final = 300.0

_GITHUB: Final = "X-Hub-Signature-256"
_GITLAB: Final = "X-Gitlab-Token"
_GITEA: Final = ("X-Gitea-Signature", "X-Forgejo-Signature")


def sign_webhook(body: bytes, secret: bytes, at_s: int) -> str:
    """The value of the signature header for `body` at `at_s` seconds since 1970."""
    return f"t={at_s},v1={hmac.new(secret, b'%d.%s' % (at_s, body), hashlib.sha256).hexdigest()}"


def is_valid_signature(header: str, body: bytes, secret: bytes, now_s: float) -> bool:
    """Whether `header` signs `body` with `secret`, at most five minutes before or after `now_s`."""
    parts = dict(item.partition("=")[::2] for item in header.strip().split(",")[:8])
    moment = parts.get("t", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        return False
    expected = sign_webhook(body, secret, int(moment)).partition("v1=")[2]
    is_right = hmac.compare_digest(expected.encode(), parts.get("v1", "").encode(errors="replace"))
    return is_right and abs(now_s - int(moment)) <= SIGNATURE_AGE_S_MAX


def is_signed(headers: Message) -> bool:
    """Whether the request carries a signature. The body of one without is not read."""
    return any(name in headers for name in (SIGNATURE_HEADER, _GITHUB, _GITLAB, *_GITEA))


def is_authentic(headers: Message, body: bytes, secret: bytes, now_s: float) -> bool:
    """Whether the first known signature among the headers is right."""
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    if SIGNATURE_HEADER in headers:
        return is_valid_signature(headers[SIGNATURE_HEADER], body, secret, now_s)
    if _GITHUB in headers:
        return _is_same(headers[_GITHUB], f"sha256={digest}")
    if _GITLAB in headers:
        return hmac.compare_digest(headers[_GITLAB].encode(errors="replace"), secret)
    given = next((headers[name] for name in _GITEA if name in headers), "")
    return _is_same(given, digest)


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
