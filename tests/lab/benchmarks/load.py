"""False failovers under load: nothing fails, while both machines have more to do than they can. Counts failovers.

    python -m tests.lab.benchmarks.load [MINUTES]

Runs MINUTES (60) with the timers of ORDERS. Both machines run two programs that only count, at normal priority. The
active one also runs the records of the scenarios and a writer of megabytes on its pool; the standby runs a reader of
all disks, past the cache. The output shows changes of phase, machines that went off, daemons that started again, the
longest time between two heartbeats on the wire and between two answers of the virtual address, the oldest disk
heartbeat (sampled every few seconds), and how late a daemon's loop was at most. Exits with 1 if a controller moved.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tests.lab.benchmarks import figures
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import ROOT, Head

MINUTES = 60.0
#: Seconds between two looks: each costs an emulated processor a tenth of a second.
LOOK_S = 5.0
COUNTING = "for n in 1 2; do (while :; do :; done) & done"
WRITING = "while :; do dd if=/dev/zero of=/tank/records/load bs=1M count=48 conv=fsync; done"
READING = "while :; do for disk in {disks}; do dd if=/dev/disk/by-id/$disk of=/dev/null bs=1M iflag=direct; done; done"


@dataclass(slots=True)
class Seen:
    """Observations of one machine."""

    head: Head
    mark: int
    looks: int = 0
    lateness_ms: int = 0
    oldest_ms: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Sample how late its loop is, and how old the peer's disk heartbeat."""
        status = self.head.status()
        if status is None:
            return
        self.looks += 1
        self.lateness_ms = max(self.lateness_ms, status.lateness_ms_max)
        for channel in status.channels:
            self.oldest_ms[channel.name] = max(self.oldest_ms.get(channel.name, 0), channel.age_ms)

    def changes(self) -> list[str]:
        """Return its changes of phase, and whether it went off or its daemon started again."""
        events = self.head.events(self.mark)
        found = [f"{event.mark} {event.old} -> {event.new}: {event.text}" for event in events if event.mark != "note"]
        return [*found, *([] if self.head.on else ["it went off"])]


def ask_gaps(gaps: subprocess.Popen[bytes], word: bytes) -> dict[str, float]:
    """Return the longest time between two heartbeats on the interlink since the last `again`, by sender's address."""
    assert gaps.stdin is not None and gaps.stdout is not None
    gaps.stdin.write(word)
    gaps.stdin.flush()
    found: dict[str, float] = json.loads(gaps.stdout.readline())
    return found


def load(pair: EmulatedPair, active: Head) -> None:
    """Give both machines more to do than they can."""
    for head in pair.heads:
        disks = READING.format(disks=" ".join(pair.orders.disks))
        work = WRITING if head is active else disks
        head.machine.send(f"({COUNTING}; {work}) > /dev/null 2>&1", 1e6)


def main() -> int:
    """Load both machines, observe them, and print."""
    parser = figures.parser(__doc__)
    parser.add_argument("minutes", type=figures.positive, nargs="?", default=MINUTES)
    minutes: float = parser.parse_args().minutes
    built = figures.built()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pair = stack.enter_context(EmulatedPair(built, place, figures.say))
        active = pair.well()
        pair.write(active)
        seen = [Seen(head, head.mark()) for head in pair.heads]
        # A bridge passes multicast datagrams on to its host.
        argv = pair.within(sys.executable, "-m", "tests.bench.gaps", "wire")
        gaps = stack.enter_context(subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert gaps.stdin is not None
        stack.callback(gaps.stdin.close)
        client = stack.enter_context(pair.client())
        client.until_answered()
        load(pair, active)
        pair.say(f"under load for {minutes:g} minutes; {active.side} is active")
        ask_gaps(gaps, b"again\n")
        end_s, pause = time.monotonic() + minutes * 60, Event()
        while time.monotonic() < end_s and all(head.on for head in pair.heads):
            pause.wait(min(LOOK_S, max(0.0, end_s - time.monotonic())))
            for one in seen:
                one.look()
        apart = ", ".join(f"{sender} {gap_ms:.0f} ms" for sender, gap_ms in ask_gaps(gaps, b"look\n").items())
        told = [*(tell(one) for one in seen), f"heartbeats on the interlink, apart at the most, by sender: {apart}"]
        moved = [f"{one.head.side}: {line}" for one in seen for line in one.changes()]
        silence_ms = client.silence_ms
        records = sum(pair.said().values())
    print(f"{minutes:g} minutes, {figures.host()}, {records} records acknowledged")
    print("\n".join(told))
    print(f"clients heard nothing for {silence_ms:.0f} ms at the most")
    print("\n".join([f"{len(moved)} false failovers, resets and restarts", *moved]), flush=True)
    return 1 if moved else 0


def tell(one: Seen) -> str:
    """Return the figures of one machine in words."""
    oldest = ", ".join(f"{name} {age} ms" for name, age in one.oldest_ms.items())
    late = f"its loop late by {one.lateness_ms} ms at the worst"
    return f"{one.head.side}: {late}; oldest heartbeats that it knew in {one.looks} looks: {oldest}"


if __name__ == "__main__":
    sys.exit(main())
