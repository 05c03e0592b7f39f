"""Group 5: how long a client hears nothing when the active controller dies, beside what people use; and switchover.

hagit's side are two real daemons in namespaces and a shelf by the simulator's model, so a claim with reservations, an
import and the pools' looks are part of what is measured; the others only move an address. Each run starts anew, and the
contestants take turns, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

from reconciler.core.failover.orders.orders import Timers
from reconciler.core.status.timeline import FailoverKind, FailoverSummary, TimelineEvent, event_from_document, summaries
from reconciler.system.control_protocol import RequestKind
from tests.bench import silence
from tests.bench.figure import Figure, Group
from tests.bench.silence import IN_FLIGHT_S, PROBE_MS, SETTLE_S, Probing, at_once, hurry, probing
from tests.bench.stopwatch import PYTHON, ROOT
from tests.watchdog.pair import ORDERS, TIMERS, VIRTUAL4, Head, Pair

#: What a shelf takes for the switchover, in milliseconds: below it no switchover can be.
EXPORT_MS, IMPORT_MS = 100, 200
#: Beyond it.
SWITCHOVER_AIM_MS: Final = 50.0
#: Up to this interval the moment within it decides much of the silence: so many times the runs.
OFTEN_MS: Final = 10
OFTENER: Final = 2
UCARP_MS: Final = 1_000
#: Slow timers that no takeover after a death waits for; they only have to be safe with the rest.
SLOW: Final = replace(TIMERS, yield_ms=8_000)
#: By the interval of heartbeats. As with VRRP a peer is silent after three intervals, and may be late by the 0.6 of one
#: that VRRP adds there as skew (RFC 5798, 6.1; priority 100). The disk heartbeat must not be what is waited for.
COUNTERPARTS: Final = {
    1_000: replace(SLOW, beat_ms=1_000, silence_ms=3_000, pause_ms=600, record_ms=250, look_ms=250, stale_ms=2_000),
    100: replace(SLOW, beat_ms=100, silence_ms=300, pause_ms=60, record_ms=40, look_ms=30, stale_ms=240),
    10: replace(SLOW, beat_ms=10, silence_ms=30, pause_ms=6, record_ms=5, look_ms=4, stale_ms=20),
}


def measure(directory: Path, runs: int) -> Group:
    """A sixth of the runs for each contestant, and a third for switchovers: each of them takes seconds."""
    deaths, switchovers = max(1, runs // 6), max(1, runs // 3)
    silences: dict[str, list[float]] = {}
    parts: dict[int, list[FailoverSummary]] = {}
    for run in range(deaths * OFTENER):
        for interval_ms, timers in COUNTERPARTS.items():
            if run % OFTENER and interval_ms > OFTEN_MS:
                continue
            # Spread over an interval: the moment of death within it decides up to one interval of silence.
            later_s = interval_ms / 1_000 * (run + 0.5) / (deaths * OFTENER)
            other = silence.keepalived(interval_ms / 1_000)
            for rival in (other, silence.ucarp()) if interval_ms == UCARP_MS else (other,):
                taken_ms = silence.silence_ms(rival, directory / f"{rival.name}-{run}", later_s)
                silences.setdefault(rival.name, []).append(taken_ms)
            taken_ms, part = death_ms(directory / f"hagit-{interval_ms}-{run}", timers, later_s)
            silences.setdefault(_name(interval_ms), []).append(taken_ms)
            parts.setdefault(interval_ms, []).append(part)
    figures = [
        _beside(f"keepalived, {interval_ms / 1_000:g} s", interval_ms, silences, parts) for interval_ms in COUNTERPARTS
    ]
    last = Figure("ucarp, 1 s", tuple(silences["ucarp, 1 s"]))
    switched = tuple(switchovers_ms(directory / "switchover", switchovers))
    handed = Figure(
        "hagit switchover, beyond what the shelf takes", switched, aim=SWITCHOVER_AIM_MS, note="default timers"
    )
    notes = (
        f"a client pings every {PROBE_MS} ms; power off and port cut at once, at moments spread over an interval; "
        "longest time between two answers",
        "hagit: claim, import and looks at a simulated shelf of 4 disks included; daemons run with real-time priority, "
        "as they always do; the others as they come",
        *(_told(interval_ms, timers) for interval_ms, timers in COUNTERPARTS.items()),
        f"switchover: the shelf takes {EXPORT_MS} ms to export and {IMPORT_MS} ms to import, which are subtracted",
    )
    return Group("Silence of the shared address", (*(one for pair in figures for one in pair), last, handed), notes)


def _name(interval_ms: int) -> str:
    return f"hagit, {interval_ms / 1_000:g} s"


def _told(interval_ms: int, timers: Timers) -> str:
    return (
        f"{_name(interval_ms)}: silent after {timers.silence_ms} ms with a pause of {timers.pause_ms} ms; disks looked "
        f"at every {timers.look_ms} ms, written to every {timers.record_ms} ms, stale after {timers.stale_ms} ms"
    )


def _beside(
    other: str, interval_ms: int, silences: dict[str, list[float]], parts: dict[int, list[FailoverSummary]]
) -> tuple[Figure, Figure]:
    floor = Figure(other, tuple(silences[other]))
    lasted = [
        f"{word} {median([value for part in parts[interval_ms] if (value := getattr(part, field)) is not None]):.0f}"
        for word, field in (
            ("detection", "detection_ms"),
            ("claim", "claim_ms"),
            ("import", "import_ms"),
            ("addresses", "addresses_ms"),
        )
    ]
    note = f"{', '.join(lasted)} ms"
    name = _name(interval_ms)
    return floor, Figure(name, tuple(silences[name]), floor=floor.median, floor_name=other, aim=1.0, note=note)


def death_ms(directory: Path, timers: Timers, later_s: float) -> tuple[float, FailoverSummary]:
    """One run: the silence when the active controller loses its power, and what the other one says of it."""
    with _pair(directory, timers) as pair, _client(pair) as client, _cutter(pair) as cutter:
        pair.settle()
        client.steady(SETTLE_S)
        client.listen(time.monotonic() + 1.0 + later_s)
        client.steady(SETTLE_S)
        assert pair.a.serves and pair.a.daemon is not None and pair.a.box is not None and cutter.stdin is not None
        with at_once():
            killed_s = time.monotonic()
            cutter.stdin.write(b"link set a-net0 down\n")
            os.kill(pair.a.daemon.pid, signal.SIGKILL)
            # Not SIGTERM: it would take links down, for which this machine's one kernel makes the other side wait.
            pair.a.box.kill()
        client.steady(SETTLE_S, since_s=killed_s + IN_FLIGHT_S)
        pair.until_phases(b="active")
        return client.silence_ms(killed_s), _takeover(pair, pair.b)


def switchovers_ms(directory: Path, runs: int) -> Iterator[float]:
    """Switchovers to and fro on request, at the default timers: the silence beyond what the shelf takes."""
    with (
        _pair(directory, Timers(), f"--export-ms={EXPORT_MS}", f"--import-ms={IMPORT_MS}") as pair,
        _client(pair) as client,
    ):
        pair.settle()
        active, standby = pair.both()
        for _ in range(runs):
            pair.until_ready()
            client.steady(SETTLE_S)
            asked_s = time.monotonic()
            answer = active.ask(RequestKind.SWITCHOVER)
            assert answer.accepted, answer
            client.steady(SETTLE_S, since_s=asked_s + (EXPORT_MS + IMPORT_MS) / 1_000)
            active, standby = standby, active
            pair.until(lambda active=active: active.phase == "active")  # type: ignore[misc]
            yield client.silence_ms(asked_s) - EXPORT_MS - IMPORT_MS


@contextmanager
def _pair(directory: Path, timers: Timers, *shelf: str) -> Iterator[Pair]:
    pair = Pair(directory, replace(ORDERS, timers=timers), *shelf)
    try:
        yield pair
    finally:
        pair.close()


@contextmanager
def _client(pair: Pair) -> Iterator[Probing]:
    prober: Sequence[str] = pair.lan.enter(PYTHON, "-m", "reconciler.demo.pinger", VIRTUAL4, str(PROBE_MS))
    with probing(prober, ROOT) as client:
        yield client


@contextmanager
def _cutter(pair: Pair) -> Iterator[subprocess.Popen[bytes]]:
    """ip(8) that waits for its commands, so that a cut takes no start of a process."""
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(pair.lan.enter("ip", "-batch", "-"), stdin=subprocess.PIPE, bufsize=0)
        )
        hurry(process.pid)
        yield process


def _takeover(pair: Pair, head: Head) -> FailoverSummary:
    """The newest takeover in a timeline, once it is written."""

    def newest() -> FailoverSummary | None:
        lines = [event_from_document(line) for line in head.timeline()]
        events = [line for line in lines if isinstance(line, TimelineEvent)]
        done = [one for one in summaries(events) if one.kind == FailoverKind.TAKEOVER and one.served]
        return done[-1] if done else None

    found = pair.until(newest)
    assert found is not None, json.dumps(head.timeline())
    return found
