"""The table of mutants: what caught each, and the length of the trace. Reads and writes `MUTANTS.md`.

A replay runs the one catcher that the table names. A search tries every catcher and takes the shortest trace of the
cheapest kind: stories, then the explorer, then the swarm.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.simulation.mutants import BY_NAME, MUTANTS

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("MUTANTS.md")
#: No search that finds something runs nearly as long. After this time the child counts as hanging.
CHILD_S_MAX = 3_600
WORKERS = 2
#: The unit of a trace's length, by the kind of catcher.
UNITS = {"story": "lines", "scene": "moves", "twins": "states", "seed": "faults", "test": "step"}
KINDS = {
    "story": "stories", "scene": "the explorer", "twins": "the search of twins",
    "seed": "the swarm", "test": "tests of one step",
}  # fmt: skip
HEAD = """# Mutants

Seeded bugs in `reconciler/core/failover`, each with what caught it. Written by
`HAGIT_MUTANTS=all python -m pytest tests/simulation/test_mutants.py --rewrite-goldens`; without the variable the test
plays each recorded catcher again. The bugs themselves are in `mutants_*.py`.

A catcher is a story (`tests/stories`), a scene of the explorer with a limit of states, a scene of the search of twins
(`simulation/exhaustive/twins`), or a seed of the swarm. A trace is as long as the timeline up to what broke (lines),
the shortest path there (moves), the states that were searched (states), or the faults that are left when the seed is
shrunk.

"""
DEPTH = """
## Defence in depth

These change nothing that anybody could see, for another layer does the same work. Only a test of one step looks at the
layer alone; it is kept, so that two careless changes are needed before anything breaks.

"""


@dataclass(frozen=True)
class Catch:
    """The result of one catcher. `broke` is empty if it found nothing."""

    catcher: str
    broke: str
    length: int

    @property
    def kind(self) -> str:
        return self.catcher.partition(":")[0]


def child(name: str, tasks: Iterable[str]) -> list[Catch]:
    """Run catchers or searches over one mutant, `-` for the unchanged core, in a separate interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants_child", name, *tasks],
        cwd=ROOT, capture_output=True, text=True, timeout=CHILD_S_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"mutant {name} did not run: {done.stderr[-2_000:]}"
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return [Catch(catcher, words(broke), length) for catcher, broke, length in answers]


def words(broke: str) -> str:
    """Return the invariant or the expectation that broke, without the figures of this run."""
    told = broke.removeprefix("an invariant broke: ")
    if told.startswith("crash: "):
        return told.replace("|", "/")
    # A line of a timeline may contain a colon; the report of an invariant or a test does not.
    cut = told.rpartition(": ")[0] if told == broke and not told.startswith("broken ") else told.partition(":")[0]
    return (cut or told).replace("|", "/")


def search(name: str) -> Catch | None:
    """Return the best catch of the cheapest kind: a crash only without another, a test only for covered mutants."""
    for task in ("stories", "scenes", "twins", "swarm", *(("tests",) if BY_NAME[name].covered else ())):
        found = sorted(child(name, [task]), key=lambda catch: (catch.broke.startswith("crash"), catch.length))
        if found:
            return found[0]
    return None


def replay(name: str, recorded: Catch) -> Catch:
    """Return what the recorded catcher finds now."""
    (found,) = child(name, [recorded.catcher])
    # Finding the length of a shrunk trace takes many runs; only a search does that.
    return Catch(found.catcher, found.broke, recorded.length) if found.kind == "seed" else found


def everywhere(work: Callable[[str], Catch | None]) -> dict[str, Catch | None]:
    """Call `work` for every mutant, in `WORKERS` threads."""
    names = [mutant.name for mutant in MUTANTS]
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(names, pool.map(work, names), strict=True))


def rendered(catches: Mapping[str, Catch]) -> str:
    """Return the page."""
    kinds = Counter(catch.kind for catch in catches.values())
    lines = [f"{len(catches)} mutants, all caught: "
             + ", ".join(f"{kinds[kind]} by {told}" for kind, told in KINDS.items() if kinds[kind]) + "."]  # fmt: skip
    for kind, told in KINDS.items():
        lengths = [catch.length for catch in catches.values() if catch.kind == kind]
        if lengths and kind != "test":
            lines.append(f"Traces of {told}: median {median(lengths):g} {UNITS[kind]}, longest {max(lengths)}.")
    seen = {name: catch for name, catch in catches.items() if catch.kind != "test"}
    lines += ["", *_rows(seen, ("caught by", "broke", "trace"))]
    covered = {name: catch for name, catch in catches.items() if catch.kind == "test"}
    if covered:
        lines += [*DEPTH.rstrip().splitlines(), "", *_rows(covered, ("seen by", "broke", "trace", "what covers it"))]
    return HEAD + "\n".join(lines) + "\n"


def _rows(catches: Mapping[str, Catch], titles: tuple[str, ...]) -> list[str]:
    """A Markdown table; the last column only where there is a title for it."""
    titles = ("mutant", "module", "what a careless programmer does, and what follows", *titles)
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for name, catch in catches.items():
        mutant = BY_NAME[name]
        cells = (name, mutant.module, mutant.careless, f"`{catch.catcher}`", catch.broke,
                 f"{catch.length} {UNITS[catch.kind]}", mutant.covered)  # fmt: skip
        lines.append(f"| {' | '.join(cells[: len(titles)])} |")
    return lines


def recorded() -> dict[str, Catch]:
    """What the page says, by mutant."""
    rows = {}
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) in (6, 7) and cells[3].startswith("`"):
            rows[cells[0]] = Catch(cells[3].strip("`"), cells[4], int(cells[5].split()[0]))
    return rows
