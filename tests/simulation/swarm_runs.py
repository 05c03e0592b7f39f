"""Many seeds over several processes: `python -m tests.simulation.swarm_runs --seeds 1000000 --processes 2`.

Stops at the first seeds that break an invariant and prints the smallest trace of each.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.simulation.timed.swarm import Outcome, draw, report, run

CHUNK = 50
#: Show at most this many failing seeds; more show nothing new.
BROKEN_MAX = 5


@dataclass
class Totals:
    """Result of all runs together. `broken` are seeds."""

    seeds: int = 0
    faults: int = 0
    simulated_ms: int = 0
    steps: int = 0
    writes: int = 0
    stale: int = 0
    person: int = 0
    longest_heal_ms: int = 0
    wall_s: float = 0.0
    broken: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.faults += outcome.faults
        self.simulated_ms += outcome.simulated_ms
        self.steps += outcome.steps
        self.writes += outcome.writes
        self.stale += outcome.stale
        self.person += outcome.person
        self.longest_heal_ms = max(self.longest_heal_ms, 0 if outcome.limited else outcome.healed_ms)
        if outcome.broken:
            self.broken.append(outcome.seed)

    def __str__(self) -> str:
        per_s = 1 / max(self.wall_s, 0.001)
        return (
            f"{self.seeds} seeds, {self.faults} faults, {self.simulated_ms / 3.6e6:.1f} simulated hours, "
            f"{self.steps} steps, {self.writes} writes checked, {self.stale} stale reads within the bound, "
            f"{self.person} recoveries by a person, longest recovery {self.longest_heal_ms / 1000:.1f} s; "
            f"{self.wall_s:.0f} s: {self.seeds * per_s:.0f} seeds/s, {self.faults * per_s:.0f} faults/s, "
            f"{self.steps * per_s:.0f} steps/s; broken: {self.broken or 'none'}"
        )


def play(seeds: range) -> list[Outcome]:
    return [run(draw(seed)) for seed in seeds]


def outcomes(first: int, count: int, processes: int) -> Iterator[list[Outcome]]:
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    if processes == 1:
        yield from map(play, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(play, chunks)


def swarm(first: int, count: int, processes: int, *, progress: bool = False) -> Totals:
    """Run the seeds. Stops early when `BROKEN_MAX` of them break something."""
    totals, begun = Totals(), time.monotonic()
    for many in outcomes(first, count, processes):
        for outcome in many:
            totals.add(outcome)
        totals.wall_s = time.monotonic() - begun
        if progress and totals.seeds % 5_000 < CHUNK:
            print(totals, flush=True)
        if len(totals.broken) >= BROKEN_MAX:
            break
    return totals


def explained(seeds: list[int]) -> str:
    """Return the smallest traces of failing seeds."""
    return "\n\n".join(report(draw(seed), run(draw(seed))) for seed in sorted(seeds)[:BROKEN_MAX])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    totals = swarm(asked.first, asked.seeds, asked.processes, progress=True)
    print(totals)
    if totals.broken:
        print(explained(totals.broken))
    return 1 if totals.broken else 0


if __name__ == "__main__":
    sys.exit(main())
