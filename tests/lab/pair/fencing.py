"""How long fencing takes with so many disks: whole claims, each against the other machine's, on real SCSI disks.

    python -m tests.lab.pair.fencing [RUNS] [COUNT...]

Prints medians of RUNS claims (9) for each COUNT of disks (1 4 16 64), and how often the target was asked. The machines
are emulated: what counts is the ratio, not the time of one disk.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from reconciler.core.failover.hold import Fence, fence
from reconciler.core.failover.key import Key, Side
from reconciler.core.failover.orders import Orders, Vdev
from tests.lab.pair import figures
from tests.lab.pair.shelf_pair import Head
from tests.lab.target import Target

RUNS = 9
COUNTS = (1, 4, 16, 64)
DISK_MIB = 24


def orders(side: Side, names: tuple[str, ...]) -> Orders:
    """Each disk a vdev of its own: the fence has to hold on every one."""
    vdevs = tuple(Vdev(f"tank/{name}", (at,), 1) for at, name in enumerate(names))
    return Orders("pair", side, 1, ("one", "two"), names, vdevs, (0, 1, 2)[: 3 if len(names) > 2 else 1], channels=())


def measure(heads: dict[Side, Head], names: tuple[str, ...], runs: int, first: int) -> tuple[list[float], int, int]:
    """Seconds of claims that each take every disk from the other machine; commands of one; the next epoch."""
    shelves = {side: head.shelf(orders(side, names)) for side, head in heads.items()}
    taken, commands, epoch = [], 0, first
    for number in range(runs + 2):
        side = tuple(Side)[number % 2]
        views, found = shelves[side].claim(Key(side, epoch))
        held, broken = fence(orders(side, names), epoch, views, frozenset())
        assert held is Fence.HOLDS, broken
        epoch += 1
        # The first two learn what the target lacks.
        if number >= 2:
            taken.append(found["seconds"])
            commands = found["commands"]
    for shelf in shelves.values():
        shelf.close()
    return taken, commands, epoch


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
            epoch, one = 1, 0.0
            for count in asked.counts:
                taken, commands, epoch = measure(heads, target.names[:count], asked.runs, epoch)
                median = statistics.median(taken)
                one = one or median
                print(
                    f"{count:3} disks: {median * 1000:7.0f} ms, median of {len(taken)} "
                    f"({min(taken) * 1000:.0f} to {max(taken) * 1000:.0f}), {commands} commands, {median / one:.1f} x",
                    flush=True,
                )
        finally:
            for head in heads.values():
                head.machine.close()


if __name__ == "__main__":
    main()
