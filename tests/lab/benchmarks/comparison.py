"""From a power cut to a mounted pool and an answering address: hagit, the bare commands, and Pacemaker; in one run.

    python -m tests.lab.benchmarks.comparison [RUNS] [TOKEN_MS] [SHELF]

All three run one after the other with the same two machines, disks, pool, writer and client. Each failover is verified:
the pool has every acknowledged record, the other machine is fenced, a scrub finds no error. Each gets RUNS (3) power
cuts. corosync's token is TOKEN_MS (1000; its default is 3000), everything else as in `pacemaker_files`. SHELF is
`kernel`: a machine with the kernel's own target, which supports PREEMPT AND ABORT as fence_scsi(8) demands; or `tgt`,
which has only PREEMPT. Prints medians and two ratios: hagit's time to detection + 1.3 × the commands, and to
Pacemaker's time.

Pacemaker's agents are shell and Python programs that start many others, and an emulated processor is slow at that
(some 40 ms for a shell). On real machines its fencing, pool and address take less. The waits of corosync and Pacemaker
(token and consensus) are the same everywhere. Therefore the output shows the parts.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from tests.lab.benchmarks import figures
from tests.lab.benchmarks.pacemaker import MARKS, Cluster
from tests.lab.benchmarks.power_cut import bare, cut, judge, show, silence_s
from tests.lab.image import ImageError
from tests.lab.kernel_target import KernelTarget
from tests.lab.machine import Share
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.peers import peers
from tests.lab.target import Target

RUNS = 3
TOKEN_MS = 1_000
#: The largest ratio of hagit's time to Pacemaker's time.
PACEMAKER_RATIO = 1 / 3


def cut_cluster(pair: EmulatedPair, cluster: Cluster) -> dict[str, float]:
    """Cut the power of the node that has the pool. Returns milliseconds of each part; verifies the data."""
    old = cluster.well()
    new = pair.other(old)
    pair.write(old)
    zero_s = cluster.clock_s(new)
    moment_s, silent_s = silence_s(pair, old)
    cluster.verify(new)
    ends = cluster.parts(new, zero_s + moment_s)
    lasted = dict(zip(MARKS, (later - earlier for earlier, later in pairwise((0.0, *ends.values()))), strict=True))
    cluster.boot(old)
    return {"clients": silent_s * 1_000, **lasted}


def compare(pair: EmulatedPair, cluster: Cluster, runs: int) -> None:
    """Measure all three, and print them together."""
    pair.begin()
    hagit = [figures.noted(cut(pair), pair.say) for _ in range(runs)]
    commands = bare(pair, runs)
    judge(pair, hagit, commands)
    cluster.begin()
    pacemaker = [figures.noted(cut_cluster(pair, cluster), pair.say) for _ in range(runs)]
    for name, found in (
        ("hagit", hagit),
        ("fence, import, mount by hand", commands),
        (f"Pacemaker, token {cluster.token_ms} ms", pacemaker),
    ):
        pair.say(name)
        show(pair, found)
    judge(pair, hagit, commands)
    ours, theirs = ([one["clients"] for one in found] for found in (hagit, pacemaker))
    pair.say(figures.ratio("hagit / Pacemaker", ours, theirs, round(PACEMAKER_RATIO, 2)))
    pair.say(figures.host())


def main() -> None:
    """Measure and print."""
    shelves = {"kernel": KernelTarget, "tgt": Target}
    parser = figures.parser(__doc__, RUNS)
    parser.add_argument("token_ms", type=figures.count, nargs="?", default=TOKEN_MS)
    parser.add_argument("shelf", choices=shelves, nargs="?", default="kernel")
    asked = parser.parse_args()
    built = figures.built()
    try:
        tree = peers(figures.say)
    except ImageError as error:
        sys.exit(f"lab: {error}")
    with tempfile.TemporaryDirectory() as place:
        pair = EmulatedPair(built, Path(place), figures.say, further=(Share(tree),), shelf=shelves[asked.shelf])
        try:
            compare(pair, Cluster(pair, tree, asked.token_ms, aborts=asked.shelf == "kernel"), asked.runs)
        finally:
            pair.close()


if __name__ == "__main__":
    main()
