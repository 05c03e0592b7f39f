"""Group 2: plan and apply as the number of interfaces grows, beside ip(8) making the same changes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from reconciler.demo.testbed import Machine, Testbed
from tests.bench.crowd import HOSTNAME, changes, desired, make_nics, undo
from tests.bench.figure import Figure, Group, exponent
from tests.bench.pair import make_node, make_repository
from tests.bench.stopwatch import HAGIT, Timed, Times, run_in, time_in

SIZES: Final = (10, 100, 1000)
FLOOR: Final = "ip -batch"
FIRST, AGAIN, APPLY, IDLE = "plan, new commit", "plan, known commit", "apply", "plan, no change"
PARTS: Final = ("load and lint", "compile", "observe", "make plan", "perform")


@dataclass(slots=True)
class Size:
    """What was measured at one size, in milliseconds by name."""

    count: int
    whole: dict[str, Times]
    parts: dict[str, list[float]]


def measure(directory: Path, runs: int) -> Group:
    """Whole processes and their parts at every size."""
    sizes = []
    with Testbed() as testbed:
        testbed["a"].run("hostname", HOSTNAME)
        made = 0
        for count in SIZES:
            make_nics(testbed, made, count)
            made = count
            sizes.append(_at(testbed["a"], directory / str(count), count, _runs_of(runs, count)))
    figures: list[Figure] = []
    for size in sizes:
        figures += _figures(size)
    notes = (
        "each interface: mark, mtu, up, an IPv4 and an IPv6 address: five actions of hagit, five lines of ip(8)",
        "parts are inside one process; the whole apply adds starting up, locks, and what is printed",
        f"growth from {SIZES[-2]} to {SIZES[-1]} (1 is in proportion): {_growth(sizes)}",
    )
    return Group("Many interfaces", tuple(figures), notes)


def _runs_of(runs: int, count: int) -> int:
    return max(3, runs // 4) if count < SIZES[-1] else max(3, runs // 10)


def _at(machine: Machine, directory: Path, count: int, runs: int) -> Size:
    repository, control = directory / "pair", directory / "a"
    make_repository(repository, {"pair.yaml": desired(count)})
    env = make_node(control, "a", repository)
    (directory / "changes").write_text(changes(count))
    (directory / "undo").write_text(undo(count))
    reset = ("ip", "-batch", str(directory / "undo"))
    commands = (
        Timed(FLOOR, ("ip", "-batch", str(directory / "changes"))),
        Timed(FIRST, (HAGIT, "plan"), (reset, ("rm", "-rf", str(control / "state")))),
        Timed(AGAIN, (HAGIT, "plan")),
        Timed(APPLY, (HAGIT, "apply", "--yes")),
        Timed(IDLE, (HAGIT, "plan", "--detailed-exitcode"), ()),
        Timed("undo", reset),
    )
    whole = time_in(machine, commands, runs, env)
    return Size(count, whole, _parts(machine, directory, reset, runs))


def _parts(machine: Machine, directory: Path, reset: Sequence[str], runs: int) -> dict[str, list[float]]:
    places = str(directory / "pair"), str(directory / "parts")
    argv = run_in(machine, "tests.bench.parts", *places, str(runs), *reset)
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    taken: dict[str, list[float]] = json.loads(done.stdout)
    return taken


def _figures(size: Size) -> list[Figure]:
    bare = size.whole[FLOOR]
    floor = Figure(f"{size.count:>5} {FLOOR}", bare.wall, note=bare.note)
    figures = [floor]
    for name in (FIRST, AGAIN, APPLY, IDLE):
        aim, times = 2.0 if name == APPLY and size.count == SIZES[-1] else None, size.whole[name]
        title = f"{size.count:>5} {name}"
        figures.append(Figure(title, times.wall, "ms", floor.median, FLOOR, aim=aim, note=times.note))
    figures += [
        Figure(f"{size.count:>5}   {name}", tuple(size.parts[name]), floor=floor.median, floor_name=FLOOR)
        for name in PARTS
    ]
    return figures


def _growth(sizes: Sequence[Size]) -> str:
    """The exponents, in words."""
    told = []
    for name in (FLOOR, FIRST, AGAIN, APPLY, IDLE):
        told.append(f"{name} {exponent({size.count: median(size.whole[name].wall) for size in sizes}):.2f}")
    for name in PARTS:
        told.append(f"{name} {exponent({size.count: median(size.parts[name]) for size in sizes}):.2f}")
    return ", ".join(told)
