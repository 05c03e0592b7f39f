"""Since when a failover lasts, as the timeline of the controller that takes over tells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.failover.machine.decision_codes import Code, Decision
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import initial
from reconciler.system.file_thread import FileThread
from reconciler.watchdog.event_loop import monotonic_ms
from reconciler.watchdog.timeline import Timeline
from tests.wait import until
from tests.watchdog.pair import ORDERS

#: Any time ago that no test takes.
LONG_MS = 50


@pytest.fixture
def timeline(tmp_path: Path) -> Iterator[Timeline]:
    file_thread = FileThread(tmp_path / "watched", 1_000)
    yield Timeline(tmp_path, "a boot", file_thread)
    file_thread.close(10)


def claims(timeline: Timeline, code: Code) -> int | None:
    """It begins a claim now: for how long the failover has lasted, by its timeline."""
    before = replace(initial(ORDERS, 1, monotonic_ms()), phase=Phase.STANDBY)
    timeline.phase_changed(before, replace(before, phase=Phase.CLAIMING, why=Decision(code), now_ms=monotonic_ms()))
    return timeline.events[-1].since_ms


def passes(duration_ms: int) -> None:
    end_ms = monotonic_ms() + duration_ms
    until(lambda: monotonic_ms() >= end_ms)


def test_a_handover_lasts_since_the_peer_let_go(timeline: Timeline) -> None:
    timeline.peer_phase_seen(Phase.ACTIVE)
    timeline.peer_phase_seen(Phase.RELEASING)
    passes(LONG_MS)
    lasted_ms = claims(timeline, Code.HANDED)
    assert lasted_ms is not None and lasted_ms >= LONG_MS


def test_a_handover_that_only_the_disks_told_lasts_since_then_and_not_since_an_earlier_one(
    timeline: Timeline,
) -> None:
    for phase in (Phase.ACTIVE, Phase.RELEASING, Phase.STANDBY):
        timeline.peer_phase_seen(phase)
    passes(LONG_MS)
    again_ms = monotonic_ms()
    timeline.peer_phase_seen(Phase.ACTIVE)
    lasted_ms = claims(timeline, Code.HANDED)
    assert lasted_ms is not None and lasted_ms <= monotonic_ms() - again_ms


def test_a_phase_is_told_with_the_moment_at_which_it_began(timeline: Timeline) -> None:
    now_ms = monotonic_ms() - LONG_MS
    before = replace(initial(ORDERS, 1, now_ms), phase=Phase.STANDBY)
    timeline.phase_changed(before, replace(before, phase=Phase.CLAIMING, why=Decision(Code.PEER_ABSENT), now_ms=now_ms))
    assert (timeline.events[-1].mono_ms, timeline.events[-1].since_ms) == (now_ms, 0)
