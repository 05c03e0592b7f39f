"""How long clients wait after a power cut, beside the bare commands: on the same machines, in one run.

    python -m tests.lab.benchmarks.power_cut [RUNS]

Cuts the power of the active controller RUNS (5) times under a writer. `clients`: from the cut to the first answer of
the virtual address, by the host's clock. The parts are those of the new active one's timeline, in the guest's time;
`import` includes mounting. Afterwards the same number of cuts without any daemon: the survivor fences with
sg_persist(8), imports with `zpool import -f` from the disks by name, and mounts, in one shell; `commands` is the sum of
these. Run nothing else on the host: emulated machines are slow, and only the ratio counts.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from reconciler.core.failover.reservations.key import Key, encode_key
from tests.lab.benchmarks import figures
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import WAIT_S, Head
from tests.lab.pair.sg_persist import asking, parse

RUNS = 5
PARTS = ("detection", "claim", "import", "addresses", "total")
BARE = ("fence", "import", "mount")
PROBE_MS = 10
#: The largest ratio of the watchdog's time to the bare commands' time.
AIM = 1.3


def silence_s(pair: EmulatedPair, old: Head) -> tuple[float, float]:
    """Cut this one's power. Returns the moment, by the host's monotonic clock, and how long the address is silent."""
    with pair.client(PROBE_MS) as client:
        client.until_answered()
        moment_s = old.pull_the_plug()
        off_s = time.monotonic()
        pair.until(lambda: client.answered_since(off_s), "the address answers")
        with client.lock:
            return moment_s, next(answered for sent, answered in client.answers if sent > off_s) - moment_s


def cut(pair: EmulatedPair) -> dict[str, float]:
    """Cut the power of the active controller. Returns milliseconds of each part; verifies the data."""
    old = pair.well()
    new = pair.other(old)
    pair.write(old)
    clients_s = silence_s(pair, old)[1]
    pair.until(lambda: new.failovers() and new.failovers()[-1].served, "a failover that is told to its end")
    told = asdict(new.failovers()[-1])
    found = {"clients": clients_s * 1_000, **{part: float(told[f"{part}_ms"]) for part in PARTS}}
    assert pair.verify() is new
    pair.boot(old)
    return found


def by_hand(pair: EmulatedPair, head: Head, mine: Key) -> dict[str, float]:
    """Run the bare commands in one shell of this machine. Returns milliseconds of each."""
    names = pair.orders.disks
    (holder,) = {one.holder for one in parse(head.machine.check(asking(names)))}
    assert holder is not None
    own, victim = encode_key(mine), encode_key(holder)
    places = " ".join(f"-d /dev/disk/by-id/{name}-part1" for name in names)
    text = head.machine.check(
        "set -e; date +%s%N; "
        f"for disk in {' '.join(names)}; do place=/dev/disk/by-id/$disk; "
        f"sg_persist -n -o --register-ignore --param-sark={own:x} $place >&2; "
        f"sg_persist -n -o --preempt --param-rk={own:x} --param-sark={victim:x} --prout-type=5 $place >&2; done; "
        f"date +%s%N; zpool import -f -N -o cachefile=none {places} tank; date +%s%N; zfs mount -a; date +%s%N",
        WAIT_S,
    )
    moments = [int(word) / 1e6 for word in text.split()]
    taken = [later - earlier for earlier, later in pairwise(moments)]
    return {**dict(zip(BARE, taken, strict=True)), "commands": sum(taken)}


def bare(pair: EmulatedPair, runs: int) -> list[dict[str, float]]:
    """Cut the power without a daemon, `runs` times; this program runs the commands."""
    old, new = pair.heads
    for head in pair.heads:
        head.pull_the_plug()
    old.power_on()
    by_hand(pair, old, Key(old.side, 1_000_000))
    pair.write(old)
    found = []
    for number in range(runs):
        new.power_on()
        old.pull_the_plug()
        found.append(figures.noted(by_hand(pair, new, Key(new.side, 1_000_001 + number)), pair.say))
        pair.write(new)
        old, new = new, old
    return found


def show(pair: EmulatedPair, found: Sequence[Mapping[str, float]]) -> None:
    """Print medians, least and most."""
    for name, values in figures.columns(found).items():
        pair.say(figures.told(name, values))


def judge(pair: EmulatedPair, cuts: Sequence[Mapping[str, float]], floor: Sequence[Mapping[str, float]]) -> None:
    """Print both beside each other."""
    ours, theirs = figures.columns(cuts), figures.columns(floor)
    pair.say(figures.ratio("import and mount", ours["import"], [one["import"] + one["mount"] for one in floor], AIM))
    aim_ms = statistics.median(ours["detection"]) + AIM * statistics.median(theirs["commands"])
    pair.say(figures.told("clients", ours["clients"]) + f"; aim {aim_ms:.0f} ms, detection and {AIM:g} x commands")


def main() -> None:
    """Measure and print."""
    runs: int = figures.parser(__doc__, RUNS).parse_args().runs
    with tempfile.TemporaryDirectory() as place, EmulatedPair(figures.built(), Path(place), figures.say) as pair:
        cuts = [figures.noted(cut(pair), pair.say) for _ in range(runs)]
        floor = bare(pair, runs)
        show(pair, cuts)
        show(pair, floor)
        judge(pair, cuts, floor)
        pair.say(figures.host())


if __name__ == "__main__":
    main()
