"""How long fencing takes with 1 to 64 disks: whole claims, each against the other machine's, on real SCSI disks.

    python -m tests.lab.benchmarks.fencing [RUNS] [COUNT...]

Prints for each COUNT of disks (1 4 16 64) the median of RUNS claims (9), the number of commands that the target
received, and how long the disks take for the same number of commands that only read, with a thread for each disk and
nothing else to do. The machines and their processors are emulated: only the ratios count, not the time of one disk.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import Fence, fence
from tests.lab.benchmarks import figures
from tests.lab.pair.shelf_pair import Head
from tests.lab.target import Target

RUNS = 9
COUNTS = (1, 4, 16, 64)
DISK_MIB = 24


def orders(side: Side, names: tuple[str, ...]) -> Orders:
    """Return orders with each disk as a vdev of its own, so that the fence must hold on every disk."""
    vdevs = tuple(Vdev(f"tank/{name}", (at,), 1) for at, name in enumerate(names))
    return Orders("pair", side, 1, ("one", "two"), names, vdevs, (0, 1, 2)[: 3 if len(names) > 2 else 1], channels=())


@dataclass(slots=True)
class Measured:
    """Claims on some disks, in seconds; the same number of commands alone; that number; the next epoch."""

    epoch: int
    claims_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    commands: int = 0

    @property
    def median_s(self) -> float:
        return statistics.median(self.claims_s)


def measure(heads: dict[Side, Head], names: tuple[str, ...], runs: int, first: int) -> Measured:
    """Measure claims that each take every disk from the other machine."""
    shelves = {side: head.shelf(orders(side, names)) for side, head in heads.items()}
    told = Measured(first)
    for number in range(runs + 2):
        side = tuple(Side)[number % 2]
        views, found = shelves[side].claim(Key(side, told.epoch))
        held, broken = fence(orders(side, names), told.epoch, views, frozenset())
        assert held is Fence.HOLDS, broken
        told.epoch += 1
        # The first two claims find out what the target does not support.
        if number >= 2:
            told.claims_s.append(found["seconds"])
            told.commands = found["commands"]
            told.bare_s.append(shelves[side].bare(told.commands // len(names)))
    for shelf in shelves.values():
        shelf.close()
    return told


def main() -> None:
    """Measure and print."""
    parser = figures.parser(__doc__, RUNS)
    parser.add_argument("counts", type=figures.count, nargs="*", default=COUNTS)
    asked = parser.parse_args()
    with Target(max(asked.counts), DISK_MIB) as target, tempfile.TemporaryDirectory() as place:
        built, heads = figures.built(), {}
        try:
            for side in Side:
                name = f"side{side}"
                heads[side] = Head(
                    built, Path(place) / side, name, target.devices(name)[2:], target.within, target.names
                )
            epoch, one = 1, None
            for count in asked.counts:
                told = measure(heads, target.names[:count], asked.runs, epoch)
                epoch, one, taken = told.epoch, one or told, told.claims_s
                alone_s, alone_one_s = statistics.median(told.bare_s), statistics.median(one.bare_s)
                print(
                    f"{count:3} disks: {told.median_s * 1000:7.0f} ms, median of {len(taken)} "
                    f"({min(taken) * 1000:.0f} to {max(taken) * 1000:.0f}), {told.median_s / one.median_s:.1f} x; "
                    f"{told.commands} commands alone {alone_s * 1000:.1f} ms, {alone_s / alone_one_s:.1f} x",
                    flush=True,
                )
        finally:
            for head in heads.values():
                head.machine.close()


if __name__ == "__main__":
    main()
