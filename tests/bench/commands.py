"""Group 1: what a person waits for at the prompt, beside an interpreter that does nothing."""

from __future__ import annotations

from pathlib import Path

from reconciler.demo.testbed import Testbed
from tests.bench.figure import Figure, Group
from tests.bench.pair import make_node, make_repository, minimal_pair
from tests.bench.stopwatch import HAGIT, PYTHON, Timed, time_in

_FLOOR = "python3 -c pass"


def measure(directory: Path, runs: int) -> Group:
    """Whole-process times for the minimal pair, on a controller where it is applied."""
    repository = directory / "pair"
    make_repository(repository, minimal_pair())
    env = make_node(directory / "a", "a", repository)
    commands = (
        Timed(_FLOOR, (PYTHON, "-c", "pass")),
        Timed("hagit --version", (HAGIT, "--version")),
        Timed("hagit pl<TAB>", (HAGIT, "__complete", "pl")),
        Timed("hagit status", (HAGIT, "status")),
        Timed("hagit validate", (HAGIT, "validate", str(repository))),
        Timed("hagit plan, no change", (HAGIT, "plan", "--detailed-exitcode")),
    )
    aims = {"hagit --version": 3.0, "hagit pl<TAB>": 3.0, "hagit plan, no change": 12.0}
    with Testbed() as testbed:
        testbed["a"].run("ip", "link", "set", "mgmt0", "up")
        time_in(testbed["a"], (Timed("apply", (HAGIT, "apply", "--yes")), *commands), 1, env)
        taken = time_in(testbed["a"], commands, runs, env)
    bare = taken.pop(_FLOOR)
    floor = Figure(_FLOOR, bare.wall, note=bare.note)
    figures = (
        Figure(name, times.wall, floor=floor.median, floor_name=_FLOOR, aim=aims.get(name), note=times.note)
        for name, times in taken.items()
    )
    return Group("Commands, whole process, minimal pair", (floor, *figures))
