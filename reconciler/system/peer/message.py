"""Messages of the channel: one request or one reply, a JSON object and an attachment of bytes.

    4 bytes, big-endian: length of the head | head: ASCII JSON, one object
    4 bytes, big-endian: length of the attachment | attachment

The head names the version of its writer, and `least`, the version that a reader must know to understand it. A reader
ignores fields that it does not know. Neither part may be longer than its limit, and a limit is checked before memory
is taken. Does not know what requests mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.errors import PeerError, PeerErrorCode
from reconciler.printing import cut, printable, printable_text

VERSION: Final = 1
#: Version that a reader of our messages must know.
LEAST: Final = 1
LENGTH_BYTES: Final = 4
HEAD_BYTES_MAX: Final = 1 << 20
ATTACHMENT_BYTES_MAX: Final = 16 << 20
NAME_LENGTH_MAX: Final = 64
WHAT_LENGTH_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class PeerReply:
    """A reply: a JSON object, and bytes beside it."""

    body: Mapping[str, Any] = field(default_factory=dict)
    attachment: bytes = b""


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """A request of the peer. `local`, `remote`: the addresses over which it came."""

    name: str
    body: Mapping[str, Any]
    attachment: bytes = b""
    local: str = ""
    remote: str = ""
    #: What the peer has proved on this connection (DER); during a rotation one of two.
    certificate: bytes = field(default=b"", repr=False)


def encode_request(name: str, body: Mapping[str, Any], attachment: bytes) -> bytes:
    """The bytes of a request. Raises PeerError (failed) when it is longer than a limit."""
    return _encode({"request": name, "body": dict(body)}, attachment)


def encode_greeting(hagit: str) -> bytes:
    """The bytes of a greeting: what a server says first."""
    return _encode({"hagit": hagit}, b"")


def encode_reply(reply: PeerReply) -> bytes:
    """The bytes of a reply. Raises PeerError (failed) when it is longer than a limit."""
    return _encode({"body": dict(reply.body)}, reply.attachment)


def encode_error(error: PeerError) -> bytes:
    """The bytes of a reply that is an error."""
    words = {"what": error.what, "where": error.where, "remedy": error.remedy}
    said = {name: text[:WHAT_LENGTH_MAX] for name, text in words.items()}
    return _encode({"error": {"code": error.code.value, **said}}, b"")


def encode_head(head: Mapping[str, Any]) -> bytes:
    """The bytes of another message: `head` with the version, and no attachment."""
    return _encode(head, b"")


def _encode(head: Mapping[str, Any], attachment: bytes) -> bytes:
    text = json.dumps({"version": VERSION, "least": LEAST, **head}, separators=(",", ":"), allow_nan=False).encode()
    for what, size, most in (
        ("a body", len(text), HEAD_BYTES_MAX),
        ("an attachment", len(attachment), ATTACHMENT_BYTES_MAX),
    ):
        if size > most:
            raise PeerError(
                PeerErrorCode.FAILED, f"a message to the peer with {what} of {size} bytes; {most} are allowed"
            )
    return len(text).to_bytes(LENGTH_BYTES) + text + len(attachment).to_bytes(LENGTH_BYTES) + attachment


def read_message(
    read: Callable[[int], bytes],
    head_bytes_max: int = HEAD_BYTES_MAX,
    attachment_bytes_max: int = ATTACHMENT_BYTES_MAX,
) -> tuple[dict[str, Any], bytes]:
    """Head and attachment of the next message. `read(n)` returns exactly n bytes or raises.

    Raises PeerError: `failed` for bytes that are no message, `version` for one that needs a newer reader.
    """
    head = _head(read(_length(read, head_bytes_max)))
    size = _length(read, attachment_bytes_max)
    attachment = read(size) if size else b""
    least = head.get("least", 1)
    if not isinstance(least, int) or least > VERSION:
        raise PeerError(
            PeerErrorCode.VERSION,
            f"the other controller speaks version {_number(head.get('version'))} of the channel, which needs a reader "
            f"of version {_number(least)}; this controller knows version {VERSION}",
            remedy="install the same release of hagit on both controllers",
        )
    return head, attachment


def _length(read: Callable[[int], bytes], most: int) -> int:
    length = int.from_bytes(read(LENGTH_BYTES))
    if length > most:
        raise PeerError(PeerErrorCode.FAILED, f"a message from the peer of {length} bytes; {most} are allowed")
    return length


def _head(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise PeerError(PeerErrorCode.FAILED, "a message from the peer that is no JSON") from None
    if not isinstance(head, dict):
        raise PeerError(PeerErrorCode.FAILED, "a message from the peer that is no JSON object")
    return head


def _no_number(text: str) -> Any:
    raise ValueError(text)


def request_from(
    head: Mapping[str, Any], attachment: bytes, local: str, remote: str, certificate: bytes = b""
) -> PeerRequest:
    """The request in a message. Raises PeerError (failed) when it is none."""
    name, body = head.get("request"), head.get("body", {})
    if not isinstance(name, str) or not isinstance(body, dict):
        raise PeerError(PeerErrorCode.FAILED, "a message from the peer that is no request")
    return PeerRequest(printable(cut(name, NAME_LENGTH_MAX)), body, attachment, local, remote, certificate)


def reply_from(head: Mapping[str, Any], attachment: bytes) -> PeerReply:
    """The reply in a message. Raises the PeerError in it, with its words cleaned, or one when it is no reply."""
    error, body = head.get("error"), head.get("body", {})
    if isinstance(error, dict):
        raise PeerError(_code(error.get("code")), *(_words(error.get(name)) for name in ("what", "where", "remedy")))
    if error is not None or not isinstance(body, dict):
        raise PeerError(PeerErrorCode.FAILED, "a message from the peer that is no reply")
    return PeerReply(body, attachment)


def _code(value: object) -> PeerErrorCode:
    # A code of a newer release is a failure here.
    known = [code for code in PeerErrorCode if code.value == value]
    return known[0] if known else PeerErrorCode.FAILED


def _words(value: object) -> str:
    return printable_text(cut(value, WHAT_LENGTH_MAX)) if isinstance(value, str) else ""


def _number(value: object) -> str:
    return str(value)[:12] if isinstance(value, int) else "unknown"
