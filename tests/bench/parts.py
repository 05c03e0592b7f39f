"""Times the parts of an apply inside one process. A program of its own, to run on a machine of the testbed.

python -m tests.bench.parts REPOSITORY JOURNAL-DIRECTORY RUNS RESET-COMMAND...
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.agent.executor import execute_plan
from reconciler.core.planning.planner import make_plan
from reconciler.core.spec import compile_desired, load
from reconciler.system.git.tree import read_directory
from reconciler.system.netlink.live_network import LiveNetwork
from tests.bench.crowd import HOSTNAME


def main() -> None:
    """Write the milliseconds of each part as JSON."""
    repository, directory, runs, reset = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    directory.mkdir()
    (directory / "hostname").write_text(f"{HOSTNAME}\n")
    network = LiveNetwork(directory / "hostname", directory / "resolv.conf")
    tree = read_directory(repository)
    taken: dict[str, list[float]] = {}
    for _ in range(runs):
        subprocess.run(reset, check=True)
        for name, took_ms in _run(tree, network, directory / "journal"):
            taken.setdefault(name, []).append(took_ms)
    subprocess.run(reset, check=True)
    json.dump(taken, sys.stdout)


def _run(tree: Mapping[str, bytes], network: LiveNetwork, journal: Path) -> Iterator[tuple[str, float]]:
    """Each part in turn, with its milliseconds."""
    moments_s = [time.perf_counter()]

    def took_ms() -> float:
        moments_s.append(time.perf_counter())
        return (moments_s[-1] - moments_s[-2]) * 1000

    configuration = load(tree)
    yield "load and lint", took_ms()
    desired = compile_desired(configuration, "a")
    yield "compile", took_ms()
    observed = network.observe()
    yield "observe", took_ms()
    plan = make_plan(desired, observed, "main@" + "0" * 40)
    yield "make plan", took_ms()
    outcome = execute_plan(plan, network, journal)
    yield "perform", took_ms()
    if not outcome.complete:
        sys.exit(f"the plan was not performed: {outcome.problem}")


if __name__ == "__main__":
    main()
