"""What a person may ask of the watchdog, and what it answers: values, and the one line of JSON that each is.

Decides which requests are well-formed. Does not know sockets, nor what a request leads to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from reconciler.system.files import json_line

WORD_LENGTH_MAX: Final = 200
DURATION_MS_MAX: Final = 366 * 86_400_000
COUNT_MAX: Final = 5_000


class RequestKind(StrEnum):
    """What can be asked for. REPLACE: a new daemon takes over from the one that runs.

    ADOPT: see `watchdog/systemd_service`.
    """

    STATUS = "status"
    SWITCHOVER = "switchover"
    FORCE_ACTIVATE = "force-activate"
    MAINTENANCE = "maintenance"
    OVERRIDE = "override"
    RELENT = "relent"
    TIMELINE = "timeline"
    DRILL = "drill"
    POWER = "power"
    REPLACE = "replace"
    ADOPT = "adopt"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the kernel says it (SO_PEERCRED)."""

    pid: int = 0
    uid: int = 0
    gid: int = 0

    def __str__(self) -> str:
        # No name: a directory service that has to be asked for it may hang.
        return f"user {self.uid} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """One request. `caller` is filled in by the server and never taken from what was sent.

    `word`: typed back for FORCE_ACTIVATE, and for POWER when the peer shall be off. `duration_ms`: of MAINTENANCE and
    OVERRIDE. `end`: ends MAINTENANCE or an OVERRIDE before its time. `enabled`: what an OVERRIDE sets failover to.
    `count`: of TIMELINE, the newest events. `note`: what was predicted for a DRILL. `deed`: of POWER, what the peer's
    switch is asked.
    """

    kind: RequestKind
    word: str = ""
    duration_ms: int = 0
    end: bool = False
    enabled: bool = False
    count: int = 0
    note: str = ""
    deed: str = ""
    caller: Caller = field(default=Caller(), compare=False)


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """`accepted`: the request is followed. `code` stays the same for programs, `text` is one sentence for people.

    `document`: what was asked for (`{"status": ...}` for STATUS, `{"events": [...]}` for TIMELINE);
    `{"turn": n}` for POWER, which is over when the status counts `n` turns.
    """

    accepted: bool
    code: str = ""
    text: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


def request_document(request: ControlRequest) -> dict[str, Any]:
    """What travels. Fields at their default are left out."""
    blank = ControlRequest(request.kind)
    names = ("word", "duration_ms", "end", "enabled", "count", "note", "deed")
    document: dict[str, Any] = {"request": request.kind.value}
    return document | {name: getattr(request, name) for name in names if getattr(request, name) != getattr(blank, name)}


def request_from_line(line: bytes, caller: Caller = Caller()) -> ControlRequest | str:
    """The request in a line, or in words why it is none."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return "this is not a line of JSON"
    if not isinstance(document, dict):
        return "a request is a JSON object"
    named = document.pop("request", None)
    if not isinstance(named, str) or named not in set(RequestKind):
        return f"there is no request {str(named)[:40]!r} here; this watchdog knows {', '.join(RequestKind)}"
    for name, value in document.items():
        if name not in _FITS:
            return f"a request has no field {str(name)[:40]!r}"
        if not _FITS[name](value):
            return f"the field {name!r} of a request does not fit"
    return ControlRequest(RequestKind(named), **document, caller=caller)


def _is_text(value: object) -> bool:
    # A note is printed on a terminal later: no control characters.
    return isinstance(value, str) and len(value) <= WORD_LENGTH_MAX and (value.isprintable() or not value)


def _is_count(most: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_FITS: Final[Mapping[str, Callable[[object], bool]]] = MappingProxyType(
    {
        "word": _is_text,
        "note": _is_text,
        "deed": lambda value: value in ("off", "on", "status"),
        "duration_ms": _is_count(DURATION_MS_MAX),
        "count": _is_count(COUNT_MAX),
        "end": _is_flag,
        "enabled": _is_flag,
    }
)


def answer_line(answer: ControlAnswer) -> bytes:
    """What travels back."""
    document = {"accepted": answer.accepted, "code": answer.code, "text": answer.text, "document": {**answer.document}}
    return json_line(document)


def answer_from_line(line: bytes) -> ControlAnswer | None:
    """The answer in a line; None when it is none that this hagit understands."""
    try:
        document = json.loads(line)
        accepted, code, text, more = (document[name] for name in ("accepted", "code", "text", "document"))
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    if type(accepted) is bool and type(code) is str and type(text) is str and type(more) is dict:
        return ControlAnswer(accepted, code, text, more)
    return None
