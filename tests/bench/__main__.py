"""`make bench`: measures, prints a table, writes build/bench.json.

python -m tests.bench [--runs N] [GROUP...]
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.bench import clients, commands, failover, fleet, memory, pair_plan, reaction, replacement, scale, watchdog
from tests.bench.figure import Group, table
from tests.bench.stopwatch import ROOT

GROUPS: Final = {
    "commands": commands.measure,
    "scale": scale.measure,
    "reaction": reaction.measure,
    "memory": memory.measure,
    "failover": failover.measure,
    "watchdog": watchdog.measure,
    "replacement": replacement.measure,
    "clients": clients.measure,
    "fleet": fleet.measure,
    "pair plan": pair_plan.measure,
}
RUNS_MAX: Final = 1000
OUTPUT: Final = ROOT / "build" / "bench.json"


def main() -> int:
    """Measure every group, or those that are named."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=30, help="runs of each command; other groups follow it")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all when none is named")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.groups if name not in GROUPS]
    if unknown or not 1 <= chosen.runs <= RUNS_MAX:
        parser.error(f"no such group: {', '.join(unknown)}" if unknown else f"--runs must be 1 to {RUNS_MAX}")
    if os.geteuid() != 0:
        sys.exit("bench: this needs root, for network namespaces: run `sudo make bench`")
    # As an installer does; otherwise, where PYTHONDONTWRITEBYTECODE is set, every command would compile itself anew.
    compileall.compile_dir(ROOT / "reconciler", quiet=1)
    began_s = time.monotonic()
    measured: dict[str, Group] = {}
    for name in chosen.groups or GROUPS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        directory = Path(tempfile.mkdtemp(prefix="hagit-bench-"))
        try:
            measured[name] = GROUPS[name](directory, chosen.runs)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    where = f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} processors"
    print(table(measured.values()))
    print(f"\n{where}; load {os.getloadavg()[1]:.1f}; measured in {time.monotonic() - began_s:.0f} s")
    OUTPUT.parent.mkdir(exist_ok=True)
    document = {
        "format": "hagit.bench/1",
        "where": where,
        "load": os.getloadavg(),
        "groups": {
            name: {"title": group.title, "notes": group.notes, "figures": [one.document() for one in group.figures]}
            for name, group in measured.items()
        },
    }
    OUTPUT.write_text(json.dumps(document, indent=1) + "\n")
    print(f"Every sample is in {OUTPUT.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
