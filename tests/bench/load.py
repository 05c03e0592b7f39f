"""False failovers under load: pairs that nothing happens to, while both processors are busy. Counts what they do.

python -m tests.bench.load [--minutes N] [--timers NAME...] [--stress OPTIONS]

Several sets of timers run side by side under the same load. For each: changes of phase, daemons that ended, resets, the
longest silence that a client saw, how late the daemon's loop was at the worst, and the longest time between two
heartbeats on the wire beyond their interval. Ends with 1 if any pair moved. Writes build/load.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Final

from reconciler.core.failover.orders.orders import Timers
from tests.bench.failover import COUNTERPARTS
from tests.bench.stopwatch import PYTHON, ROOT
from tests.watchdog.client import Client
from tests.watchdog.pair import ORDERS, TIMERS, Head, Pair

STRESS: Final = "--cpu 2 --io 1 --vm 1 --vm-bytes 64M"
OUTPUT: Final = ROOT / "build" / "load.json"
#: `fast`: the fastest that are called safe where both processors are busy; they allow a pause of 400 ms, as the default
#: does. `swift` and `tight` (those measured beside keepalived at 0.1 s) allow less than what has been seen.
TIMERS_BY_NAME: Final = {
    "default": Timers(),
    "fast": replace(TIMERS, beat_ms=50, silence_ms=500, record_ms=50, look_ms=50, stale_ms=560),
    "swift": replace(
        TIMERS, beat_ms=30, silence_ms=200, pause_ms=140, record_ms=30, look_ms=30, stale_ms=240, proof_ms=1_000
    ),
    "tight": COUNTERPARTS[100],
}


@dataclass(slots=True)
class Watched:
    """One pair and what was seen of it."""

    name: str
    pair: Pair
    client: Client
    gaps: subprocess.Popen[bytes]
    begun_ms: int = 0
    starts: tuple[int, ...] = ()
    lateness_ms: int = 0
    ended: list[str] = field(default_factory=list)

    def ask_gaps(self, word: bytes) -> dict[str, float]:
        """The longest times between two heartbeats since the last `again`, by sender."""
        assert self.gaps.stdin is not None and self.gaps.stdout is not None
        self.gaps.stdin.write(word)
        self.gaps.stdin.flush()
        found: dict[str, float] = json.loads(self.gaps.stdout.readline())
        return found

    def begin(self) -> None:
        """What happens from now on counts."""
        self.begun_ms = time.monotonic_ns() // 1_000_000
        self.ask_gaps(b"again\n")
        with self.client.lock:
            self.client.answers.clear()
            self.client.started_s = time.monotonic()

    def look(self) -> None:
        """Whether both still run, and how late they were."""
        for head in self.pair.both():
            status = head.status()
            if status is not None and status.lateness_ms_max is not None:
                self.lateness_ms = max(self.lateness_ms, status.lateness_ms_max)
            assert head.daemon is not None
            for what, over in (("daemon", head.daemon.poll() is not None), ("machine", not head.on)):
                if over and f"{what} of {head.side}" not in self.ended:
                    self.ended.append(f"{what} of {head.side}")

    def outcome(self) -> Outcome:
        """Everything since `begin`."""
        timers = self.pair.orders.timers
        gaps = self.ask_gaps(b"look\n")
        return Outcome(
            timers=self.name,
            beat_ms=timers.beat_ms,
            silence_ms=timers.silence_ms,
            stale_ms=timers.stale_ms,
            pause_ms=timers.pause_ms,
            changes=[change for head in self.pair.both() for change in _changes(head, self.begun_ms)],
            ended=self.ended,
            client_silence_ms=round(self.client.silence_ms, 1),
            lateness_ms_max=self.lateness_ms,
            gap_ms_max=round(max(gaps.values(), default=0.0), 1),
            broken=list(self.pair.shelf.state()["broken"]),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pair did. `lateness_ms_max` counts from the start of each daemon, the rest from that of the load."""

    timers: str
    beat_ms: int
    silence_ms: int
    stale_ms: int
    pause_ms: int
    changes: list[str]
    ended: list[str]
    client_silence_ms: float
    lateness_ms_max: int
    gap_ms_max: float
    broken: list[str]

    @property
    def quiet(self) -> bool:
        """Whether nothing happened, as nothing should."""
        return not (self.changes or self.ended or self.broken)

    def __str__(self) -> str:
        late_ms = max(0.0, self.gap_ms_max - self.beat_ms)
        return (
            f"{self.timers}: a beat every {self.beat_ms} ms, silent after {self.silence_ms} ms: "
            f"{len(self.changes)} changes of phase, {len(self.ended)} daemons or machines ended, "
            f"client heard nothing for {self.client_silence_ms} ms at the most, "
            f"loop late by {self.lateness_ms_max} ms, a heartbeat on the wire by {late_ms:.1f} ms"
        )


def _changes(head: Head, since_ms: int) -> list[str]:
    lines = [line for line in head.timeline() if line["mono_ms"] >= since_ms and line["mark"] in ("phase", "started")]
    return [f"{head.side}: {line['old']} -> {line['new']} {line['code']} {line['evidence']}" for line in lines]


@contextmanager
def watched(name: str, directory: Path) -> Iterator[Watched]:
    """A pair that serves, and could fail over."""
    with ExitStack() as stack:
        pair = Pair(directory, replace(ORDERS, timers=TIMERS_BY_NAME[name]))
        stack.callback(pair.close)
        pair.settle()
        client = stack.enter_context(pair.client(interval_ms=20))
        client.until_answered()
        argv = pair.lan.enter(PYTHON, "-m", "tests.bench.gaps", "lan")
        gaps = stack.enter_context(subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        yield Watched(name, pair, client, gaps)


def main() -> int:
    """Run the pairs under load."""
    parser = argparse.ArgumentParser(prog="load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--timers", nargs="+", choices=tuple(TIMERS_BY_NAME), default=["default", "fast"])
    parser.add_argument("--stress", default=STRESS, help=f"options of stress-ng; default: {STRESS}; empty: no load")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("load: this needs root, for network namespaces")
    root = Path(tempfile.mkdtemp(prefix="hagit-load-"))
    try:
        with ExitStack() as stack:
            pairs = [stack.enter_context(watched(name, root / name)) for name in chosen.timers]
            if chosen.stress:
                stack.enter_context(_stress(chosen.stress))
            outcomes = _watch(pairs, chosen.minutes * 60)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for outcome in outcomes:
        print(outcome)
    print(f"{chosen.minutes:g} minutes, stress-ng {chosen.stress or '(none)'}, load {os.getloadavg()[2]:.1f}")
    OUTPUT.parent.mkdir(exist_ok=True)
    document = {"minutes": chosen.minutes, "stress": chosen.stress, "load": os.getloadavg()}
    OUTPUT.write_text(json.dumps({**document, "pairs": [asdict(one) for one in outcomes]}, indent=1) + "\n")
    return 0 if all(outcome.quiet for outcome in outcomes) else 1


def _watch(pairs: list[Watched], seconds: float) -> list[Outcome]:
    for one in pairs:
        one.begin()
    end_s, pause = time.monotonic() + seconds, Event()
    while time.monotonic() < end_s:
        pause.wait(1.0)
        for one in pairs:
            one.look()
    return [one.outcome() for one in pairs]


@contextmanager
def _stress(options: str) -> Iterator[None]:
    with subprocess.Popen(["stress-ng", "--quiet", *shlex.split(options)], stdin=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
