"""How long fencing takes with so many disks: whole claims, each against the other machine's, on real SCSI disks.

    python -m tests.lab.benchmarks.fencing [RUNS] [COUNT...]

Prints medians of RUNS claims (9) for each COUNT of disks (1 4 16 64), how often the target was asked, and how long the
disks take for as many commands that only ask, a thread for each disk, with nothing else to do. The machines are
emulated, and so is the processor that sends each command: what counts are the ratios, not the time of one disk.
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
    """Each disk a vdev of its own: the fence has to hold on every one."""
    vdevs = tuple(Vdev(f"tank/{name}", (at,), 1) for at, name in enumerate(names))
    return Orders("pair", side, 1, ("one", "two"), names, vdevs, (0, 1, 2)[: 3 if len(names) > 2 else 1], channels=())


@dataclass(slots=True)
class Measured:
    """Claims on so many disks, in seconds; the same number of commands alone; how many; the next epoch."""

    epoch: int
    claims_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    commands: int = 0

    @property
    def median_s(self) -> float:
        return statistics.median(self.claims_s)


def measure(heads: dict[Side, Head], names: tuple[str, ...], runs: int, first: int) -> Measured:
    """Claims that each take every disk from the other machine."""
    shelves = {side: head.shelf(orders(side, names)) for side, head in heads.items()}
    told = Measured(first)
    for number in range(runs + 2):
        side = tuple(Side)[number % 2]
        views, found = shelves[side].claim(Key(side, told.epoch))
        held, broken = fence(orders(side, names), told.epoch, views, frozenset())
        assert held is Fence.HOLDS, broken
        told.epoch += 1
        # The first two learn what the target lacks.
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
