"""The timeline of a watchdog: what happened, moment by moment, and each failover summed up in milliseconds.

Decides which events belong together and how long each part took. Times within one boot are differences of one
monotonic clock; the controllers' clocks are never compared. Does not know files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from reconciler.core.status.plain_document import Damage, document_of, read_document

#: One line of the file; a longer one is not ours.
LINE_BYTES_MAX: Final = 8_192
#: How many lines a timeline keeps.
EVENTS_MAX: Final = 5_000


class EventMark(StrEnum):
    """What an event is about."""

    PHASE = "phase"  #: the phase changed from `old` to `new`
    ADDRESSES_UP = "addresses-up"  #: every virtual address is here and was announced: clients are answered
    ADDRESSES_DOWN = "addresses-down"  #: no virtual address is here any more
    SHARES_UP = "shares-up"  #: the server of a protocol serves; `code` names the protocol
    SHARES_DOWN = "shares-down"  #: the server of a protocol has stopped
    PEER_ACTIVE = "peer-active"  #: the peer says for the first time that it is active
    ASKED = "asked"  #: a person asked for something; `code` says what, `evidence` who and how it was answered
    DRILL = "drill"  #: the move that begins now is a drill; `evidence` says what was predicted
    STARTED = "started"  #: the daemon started
    NOTE = "note"  #: anything else a reader of a failover wants to see


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One line: when, what, and why.

    `mono_ms` is the monotonic clock of boot `boot`, `at` the wall clock (ISO 8601, UTC, with milliseconds).
    `code` is the name of the core's decision, `text` its sentence, `evidence` what was seen. `since_ms`: since the
    trigger of the failover in progress: the last sign of life of the peer, or a person's request; None outside of one.
    """

    at: str
    mono_ms: int
    boot: str
    mark: str
    old: str = ""
    new: str = ""
    code: str = ""
    text: str = ""
    evidence: str = ""
    since_ms: int | None = None


class FailoverKind(StrEnum):
    """What a controller did in a failover."""

    TAKEOVER = "takeover"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverSummary:
    """One failover as one controller saw it; parts that did not happen here are None.

    A takeover: `detection_ms` from the trigger to the claim, `claim_ms`, `import_ms`, `shares_ms` until the last server
    of shares serves (None without shares), `addresses_ms` until clients are answered. A release: `release_ms` from the
    phase RELEASING to the last address gone and the pools taken by the peer. `total_ms`: from the trigger to clients
    answered (takeover), or from the release to the peer's first word that it is active (release). `ended`: the phase in
    which it ended, or `running` or `cut off` (the daemon ended). `predicted`: of a drill, what was said before.
    """

    kind: str
    at: str
    code: str
    why: str
    ended: str = "running"
    detection_ms: int | None = None
    claim_ms: int | None = None
    import_ms: int | None = None
    shares_ms: int | None = None
    addresses_ms: int | None = None
    release_ms: int | None = None
    total_ms: int | None = None
    drill: bool = False
    predicted: str = ""

    @property
    def served(self) -> bool:
        """Clients are answered again, by whichever controller took over."""
        return self.total_ms is not None


def event_document(event: TimelineEvent) -> dict[str, Any]:
    """One line as JSON."""
    document: dict[str, Any] = document_of(event)
    return document


def event_from_document(document: object) -> TimelineEvent | Damage:
    """The event in one line, or why there is none. Never raises."""
    return read_document(TimelineEvent, document, "event")


@dataclass(slots=True)
class _Open:
    """A failover in progress. `mark_ms`: when its present part began."""

    summary: FailoverSummary
    boot: str
    trigger_ms: int
    mark_ms: int


def summaries(events: Iterable[TimelineEvent]) -> tuple[FailoverSummary, ...]:
    """Every failover in these events, oldest first. Events must be in the order in which they were written."""
    done: list[FailoverSummary] = []
    going: _Open | None = None
    drill: str | None = None
    for event in events:
        if going is not None and (event.boot != going.boot or event.mark == EventMark.STARTED):
            done.append(replace(going.summary, ended="cut off"))
            going = None
        if event.mark == EventMark.DRILL:
            drill = event.evidence
        kind = _begins(event)
        if kind is not None:
            if going is not None:
                done.append(going.summary)
            going, drill = _begin(event, kind, drill), None
        elif going is not None:
            _go_on(going, event)
            if _is_over(going.summary):
                done.append(going.summary)
                going = None
    return (*done, going.summary) if going is not None else tuple(done)


#: Codes of moves that a person asked for: what they take says what the next switchover will take.
PLANNED: Final = frozenset({"ASKED", "HANDED"})
#: Number of the newest failovers that are looked at.
MEASURED_MAX: Final = 5


def measured(done: Iterable[FailoverSummary]) -> tuple[int, ...]:
    """How long clients waited in the newest switchovers that went through, in milliseconds, oldest first."""
    through = {(FailoverKind.RELEASE.value, "standby"), (FailoverKind.TAKEOVER.value, "active")}
    planned = (one for one in done if one.code in PLANNED and (one.kind, one.ended) in through)
    totals = [one.total_ms for one in planned if one.total_ms is not None]
    return tuple(totals[-MEASURED_MAX:])


def _is_over(summary: FailoverSummary) -> bool:
    if summary.kind == FailoverKind.TAKEOVER:
        return summary.served or summary.ended in ("standby", "halted")
    return (summary.served and summary.ended in ("standby", "active")) or summary.ended == "halted"


def _begins(event: TimelineEvent) -> FailoverKind | None:
    if event.mark != EventMark.PHASE:
        return None
    return {"claiming": FailoverKind.TAKEOVER, "releasing": FailoverKind.RELEASE}.get(event.new)


def _begin(event: TimelineEvent, kind: FailoverKind, drill: str | None) -> _Open:
    trigger_ms = event.mono_ms - (event.since_ms or 0)
    detection_ms = event.mono_ms - trigger_ms if kind is FailoverKind.TAKEOVER else None
    summary = FailoverSummary(
        kind=kind.value,
        at=event.at,
        code=event.code,
        why=event.text,
        detection_ms=detection_ms,
        drill=drill is not None,
        predicted=drill or "",
    )
    return _Open(summary, event.boot, trigger_ms if kind is FailoverKind.TAKEOVER else event.mono_ms, event.mono_ms)


def _go_on(going: _Open, event: TimelineEvent) -> None:
    """Close the part that this event ends."""
    summary, part_ms = going.summary, event.mono_ms - going.mark_ms
    total_ms = event.mono_ms - going.trigger_ms
    takes = summary.kind == FailoverKind.TAKEOVER
    match event.mark, event.old, event.new:
        case EventMark.PHASE, "claiming", "importing":
            summary = replace(summary, claim_ms=part_ms)
        case EventMark.PHASE, "importing", "active":
            summary = replace(summary, import_ms=part_ms, ended="active")
        case EventMark.PHASE, "releasing", "standby":
            summary = replace(summary, release_ms=part_ms, ended="standby")
        case EventMark.PHASE, _, new:
            summary = replace(summary, ended=new)
        case EventMark.SHARES_UP, _, _ if takes and summary.ended == "active":
            # Each protocol has an event; the last one ends this part.
            summary = replace(summary, shares_ms=(summary.shares_ms or 0) + part_ms)
        case EventMark.ADDRESSES_UP, _, _ if summary.ended == "active":
            summary = replace(summary, addresses_ms=part_ms, total_ms=total_ms)
        case EventMark.PEER_ACTIVE, _, _ if not takes:
            going.summary = replace(summary, total_ms=total_ms)
            return
        case _:
            return
    going.summary, going.mark_ms = summary, event.mono_ms
