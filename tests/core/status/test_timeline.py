"""The timeline: which events make one failover, and how long each part of it took."""

from __future__ import annotations

import json

import pytest

from reconciler.core.status.plain_document import Damage
from reconciler.core.status.timeline import (
    FailoverSummary,
    TimelineEvent,
    event_document,
    event_from_document,
    measured,
    summaries,
)

AT = "2026-11-22T03:14:15.926Z"


def event(mono_ms: int, mark: str, old: str = "", new: str = "", **more: object) -> TimelineEvent:
    return TimelineEvent(at=AT, mono_ms=mono_ms, boot="x", mark=mark, old=old, new=new, **more)  # type: ignore[arg-type]


def phases(
    start_ms: int, *steps: tuple[int, str], code: str = "PEER_SILENT", since_ms: int = 1_500
) -> list[TimelineEvent]:
    """Phase changes at moments after `start_ms`; the first one names the cause."""
    made: list[TimelineEvent] = []
    old = "standby" if steps[0][1] == "claiming" else "active"
    for after_ms, new in steps:
        first = {} if made else {"code": code, "text": "because", "since_ms": since_ms}
        made.append(event(start_ms + after_ms, "phase", old, new, **first))
        old = new
    return made


TAKEOVER = [
    event(1_000, "started"),
    *phases(50_000, (0, "claiming"), (300, "importing"), (1_100, "active")),
    event(51_112, "addresses-up"),
]


def test_a_takeover_part_by_part() -> None:
    assert summaries(TAKEOVER) == (
        FailoverSummary(
            kind="takeover", at=AT, code="PEER_SILENT", why="because", ended="active", detection_ms=1_500, claim_ms=300,
            import_ms=800, addresses_ms=12, total_ms=2_612,
        ),
    )  # fmt: skip


def test_a_release_part_by_part() -> None:
    events = [
        event(9_990, "drill", evidence="predicted 1000 ms"),
        *phases(10_000, (0, "releasing"), (250, "standby"), code="ASKED", since_ms=3),
        event(10_004, "addresses-down"),
        event(11_000, "peer-active"),
    ]
    (found,) = summaries(events)
    assert (found.kind, found.code, found.release_ms, found.total_ms, found.ended) == (
        "release", "ASKED", 250, 1_000, "standby",
    )  # fmt: skip
    assert (found.drill, found.predicted) == (True, "predicted 1000 ms")
    assert found.served


def test_the_peers_word_may_come_before_our_own_last_step() -> None:
    events = phases(10_000, (0, "releasing"), (250, "standby"), code="ASKED")
    events.insert(1, event(10_200, "peer-active"))
    (found,) = summaries(events)
    assert (found.release_ms, found.total_ms, found.ended) == (250, 200, "standby")


@pytest.mark.parametrize(
    ("steps", "ended"),
    [
        (((0, "claiming"), (400, "standby")), "standby"),
        (((0, "claiming"), (8_000, "halted")), "halted"),
        (((0, "claiming"), (400, "importing"), (900, "halted")), "halted"),
        (((0, "claiming"),), "running"),
        (((0, "releasing"), (5_000, "halted")), "halted"),
    ],
)
def test_failovers_that_do_not_end_well(steps: tuple[tuple[int, str], ...], ended: str) -> None:
    failed = phases(10_000, *steps)
    (found,) = summaries(failed)
    assert (found.ended, found.served) == (ended, False)
    assert [one.ended for one in summaries(failed + TAKEOVER)][1:] == ["active"], "the next one is told apart"


def test_a_release_that_nobody_took() -> None:
    events = [
        *phases(10_000, (0, "releasing"), (5_400, "importing"), (6_000, "active"), code="ASKED"),
        event(6_010 + 10_000, "addresses-up"),
    ]
    (found,) = summaries(events)
    assert (found.kind, found.ended, found.total_ms) == ("release", "active", 6_010)


def test_a_daemon_that_ends_in_the_middle() -> None:
    cut = phases(10_000, (0, "claiming"), (300, "importing"))
    assert [one.ended for one in summaries([*cut, event(5, "started"), *TAKEOVER])] == ["cut off", "active"]


def test_no_failover() -> None:
    assert summaries([]) == ()
    assert summaries([event(1, "started"), event(2, "phase", "booting", "standby"), event(3, "asked")]) == ()


def test_what_the_newest_switchovers_took() -> None:
    def one(code: str, total_ms: int | None, kind: str = "release", ended: str = "standby") -> FailoverSummary:
        return FailoverSummary(kind=kind, at=AT, code=code, why="", total_ms=total_ms, ended=ended)

    over = one("HANDED", 200, "takeover", "active")
    back = one("ASKED", 9_000, ended="active")
    assert measured([one("PEER_SILENT", 9), one("ASKED", 100), over, one("ASKED", None), back]) == (100, 200)
    assert measured([one("ASKED", ms) for ms in range(9)]) == (4, 5, 6, 7, 8)


def test_events_survive_the_way_and_damage_does_not_raise() -> None:
    for one in TAKEOVER:
        assert event_from_document(json.loads(json.dumps(event_document(one)))) == one
    for wrong in (None, 5, [], {}, {"at": 5}, {**event_document(TAKEOVER[0]), "mono_ms": "1"}):
        assert isinstance(event_from_document(wrong), Damage)
