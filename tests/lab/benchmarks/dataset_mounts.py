"""How long import and mount take with many datasets, beside the bare commands: in one machine, in one run.

    python -m tests.lab.benchmarks.dataset_mounts [RUNS] [COUNT...]

Measures RUNS (5) times for each COUNT (10 100 1000), in turn: the adapter imports and exports, as a worker of the
watchdog has it do; a shell runs `zpool import -N` from the disks by name, `zfs mount -a` and `zpool export`. Both begin
with an exported pool, and the programs are in memory before the first measurement. Only the ratio counts, because the
machine is emulated.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from reconciler.core.failover.orders.orders import Vdev
from reconciler.core.failover.reservations.key import Side
from tests.lab.benchmarks import figures
from tests.lab.pair.zfs_pair import ROOT, Head, Servant, parts
from tests.lab.target import Target

RUNS = 5
COUNTS = (10, 100, 1_000)
DISKS = 4
VDEVS = (Vdev("tank/mirror-0", (0, 1), 1), Vdev("tank/mirror-1", (2, 3), 1))
#: Prints the time before and after each bare command.
MOMENT = "date +%s%N"
PLACES = " ".join(f"-d {place}" for place in parts(*range(DISKS)).split())
BARE = (
    f"set -e; {MOMENT}; zpool import -N -o cachefile=none {PLACES} tank; {MOMENT}; zfs mount -a; {MOMENT};"
    f" grep -c ^tank/ /proc/mounts; {MOMENT}; zpool export tank; {MOMENT}"
)
LONG_S = 600.0
AIM = 1.3
#: With less memory, a thousand filesystems leave the kernel too little to mount them.
MEMORY_MIB = 4_096


def by_hand(head: Head, count: int) -> dict[str, float]:
    """Run the bare commands in one shell. Returns milliseconds of each."""
    lines = head.sh(BARE, LONG_S).split()
    assert int(lines.pop(3)) == count, lines
    moments = [int(line) / 1e6 for line in lines]
    imported, mounted, _, exported = (later - earlier for earlier, later in pairwise(moments))
    return {
        "bare import": imported,
        "bare mount": mounted,
        "bare import and mount": imported + mounted,
        "bare export": exported,
    }


def by_us(head: Head, servant: Servant, count: int) -> dict[str, float]:
    """Run the adapter. Returns milliseconds of its import, which mounts, and of its export."""
    found = servant.ask("import", LONG_S)
    assert found["good"], found
    assert int(head.sh("grep -c ^tank/ /proc/mounts")) == count
    gone = servant.ask("export", LONG_S)
    assert gone["good"], gone
    return {"import and mount": found["seconds"] * 1_000, "export": gone["seconds"] * 1_000}


def measure(head: Head, servant: Servant, count: int, runs: int) -> None:
    """Run everything with `count` datasets; the first run of each does not count."""
    head.sh(f"zpool import -N {PLACES} tank")
    head.sh(
        f"cd {ROOT} && PYTHONPYCACHEPREFIX=/run/pyc {sys.executable} -m tests.lab.pair.filesystem_maker tank {count}",
        LONG_S,
    )
    head.sh("zpool export tank", LONG_S)
    found = []
    for number in range(runs + 1):
        one = {**by_us(head, servant, count), **by_hand(head, count)}
        found += [one] if number else []
        print(f"  {count} datasets: {figures.run(one)}", flush=True)
    values = figures.columns(found)
    print(f"{count} datasets, {figures.host()}")
    for name in values:
        print(figures.told(name, values[name]))
    print(figures.ratio("import and mount", values["import and mount"], values["bare import and mount"], AIM))
    print(figures.ratio("export", values["export"], values["bare export"], AIM), flush=True)


def main() -> None:
    """Measure and print."""
    parser = figures.parser(__doc__, RUNS)
    parser.add_argument("counts", type=figures.count, nargs="*", default=COUNTS)
    asked = parser.parse_args()
    built = figures.built()
    with Target(DISKS) as target, tempfile.TemporaryDirectory() as place:
        head = Head(built, Path(place), Side.A, target, memory_mib=MEMORY_MIB)
        try:
            head.start()
            head.sh(
                "zpool create -o ashift=12 -o cachefile=none -O mountpoint=/tank -O atime=off tank "
                f"mirror {parts(0, 1)} mirror {parts(2, 3)} && zpool export tank"
            )
            servant = head.servant(VDEVS)
            for count in asked.counts:
                measure(head, servant, count, asked.runs)
        finally:
            head.cut()


if __name__ == "__main__":
    main()
