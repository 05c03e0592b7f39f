"""How long clients wait in a switchover under load, beside the bare commands: on the same machines, in one run.

    python -m tests.lab.benchmarks.switchover [RUNS]

Runs `hagit switchover` RUNS (5) times on the active controller, under a writer. `clients`: the longest time between two
answers of the virtual address, by the host's clock. The parts are those of the timelines, in the time of the guest that
took them (`release` ends when the other has claimed the disks). Afterwards the same number of times without any daemon,
also under a writer: one machine exports with `zpool export`, again and again until nothing is busy; the other fences,
imports and mounts (`cutting`). `commands` is the sum of the bare ones, `moved` that without the fence. Only the ratio
counts: the machines are emulated. Run nothing else on the host.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

from reconciler.core.failover.reservations.key import Key
from reconciler.core.status.timeline import FailoverSummary, summaries
from tests.lab.benchmarks import figures
from tests.lab.benchmarks.power_cut import by_hand
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import WAIT_S, Head

RUNS = 5
RELEASE, TAKEOVER = ("release",), ("claim", "import", "addresses")
PROBE_MS = 10
AIM = 1.3
EXPORT = "date +%s%N; until zpool export tank 2> /dev/null; do :; done; date +%s%N"


def switch(pair: EmulatedPair) -> dict[str, float]:
    """Run one switchover. Returns milliseconds of each part; verifies the data."""
    old = pair.well()
    new = pair.other(old)
    pair.write(old)
    marks = {old: old.mark(), new: new.mark()}
    with pair.client(PROBE_MS) as client:
        client.until_answered()
        old.machine.check(old.python("reconciler.cli.entry", "switchover", "--node", "/root/node.toml"), WAIT_S)
        client.until_answered(WAIT_S)
        found = {"clients": client.silence_ms}

    def told(head: Head) -> FailoverSummary | None:
        return next((one for one in summaries(head.events(marks[head])) if one.served), None)

    for head, kind, parts in ((old, "release", RELEASE), (new, "takeover", TAKEOVER)):
        summary = pair.until(lambda head=head: told(head), f"a switchover that {head.side} tells to its end")
        assert summary.kind == kind, summary
        found |= {part: float(asdict(summary)[f"{part}_ms"]) for part in parts}
    assert pair.verify() is new
    return found


def bare(pair: EmulatedPair, runs: int) -> list[dict[str, float]]:
    """Move the pool without a daemon, `runs` times."""
    for head in pair.heads:
        head.pull_the_plug()
    old, new = pair.heads
    for head in pair.heads:
        head.power_on()
    by_hand(pair, old, Key(old.side, 1_000_000))
    found = []
    for number in range(runs):
        pair.write(old)
        begun, ended = (int(word) / 1e6 for word in old.machine.check(EXPORT, WAIT_S).split())
        taken = by_hand(pair, new, Key(new.side, 1_000_001 + number))
        moved = ended - begun + taken["import"] + taken["mount"]
        parts = {"export": ended - begun, **taken, "commands": moved + taken["fence"], "moved": moved}
        found.append(figures.noted(parts, pair.say))
        old, new = new, old
    return found


def main() -> None:
    """Measure and print."""
    runs: int = figures.parser(__doc__, RUNS).parse_args().runs
    with tempfile.TemporaryDirectory() as place, EmulatedPair(figures.built(), Path(place), figures.say) as pair:
        switched = [figures.noted(switch(pair), pair.say) for _ in range(runs)]
        ours, theirs = figures.columns(switched), figures.columns(bare(pair, runs))
    print(f"`hagit switchover` under a writer, {figures.host()}")
    for name in ours:
        print(figures.told(name, ours[name]))
    print("bare commands under a writer")
    for name in theirs:
        print(figures.told(name, theirs[name]))
    print(figures.ratio("clients to commands", ours["clients"], theirs["commands"]))
    print(figures.ratio("clients to moved", ours["clients"], theirs["moved"], AIM), flush=True)


if __name__ == "__main__":
    main()
