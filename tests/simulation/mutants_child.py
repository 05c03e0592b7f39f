"""A child interpreter with one mutant in its core: `python -m tests.simulation.mutants_child MUTANT TASK …`.

MUTANT may be `-`, the unchanged core. A TASK is a catcher, `story:NAME`, `scene:NAME:STATES`, `twins:NAME`,
`seed:NUMBER` or `test:FILE::NAME`, or a search: `stories`, `scenes`, `twins`, `swarm`, `tests`. Prints one line of JSON
for each catcher that it tried: its name, what broke ("" for nothing) and the length of the trace. A search prints only
catchers that found something broken.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from tests.simulation.mutants import BY_NAME, mutated, source_of
from tests.simulation.mutants_model import Mutant

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "tests" / "stories"
UNITS = ROOT / "tests" / "core" / "failover"
#: A catcher that runs longer counts as having caught nothing: the mutant may only be slow.
CATCH_S_MAX = 40
SCENE_STATES = (1_000, 30_000)
SEEDS = 200
#: This many catching stories are enough to choose the shortest from.
STORIES_MAX = 4

Caught = tuple[str, str, int]


class Slow(Exception):
    """A catcher took too long."""


class Seeded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the core another source; Python finds every other module as usual."""

    def __init__(self, mutant: Mutant) -> None:
        path = source_of(mutant)
        self.name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self.path = str(path)
        self.source = mutated(mutant)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=self.path)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.path, "exec"), module.__dict__)


def install(name: str) -> None:
    """Seed the bug. The core must not have been imported yet, or the mutant would not be in it."""
    early = [module for module in sys.modules if module.startswith("reconciler.core")]
    assert not early, f"imported too early: {early}"
    if name != "-":
        sys.meta_path.insert(0, Seeded(BY_NAME[name]))


def crashed(error: BaseException) -> str:
    """Describe a broken assertion of the core, which counts as a catch like any other."""
    return f"crash: {type(error).__name__}: {error}".replace("\n", " ")[:160]


def story(name: str) -> Caught:
    """Play a story. A broken invariant or expectation counts, the golden timeline never does."""
    from reconciler.simulation.timed.stories import play, read

    text = (STORIES / f"{name}.txt").read_text()
    try:
        telling = play(read(text))
    except Slow:
        raise
    except Exception as error:
        return f"story:{name}", crashed(error), len(text.partition("---")[0].splitlines())
    broke = telling.failures[-1] if telling.failures else ""
    return f"story:{name}", broke, len(telling.lines)


def scene(name: str, states: int) -> Caught:
    """Explore a scene up to `states` states, shortest traces first."""
    from reconciler.simulation.exhaustive.explorer import explore
    from reconciler.simulation.exhaustive.scenes import DEEP, SCENES
    from reconciler.simulation.exhaustive.world import BoundedWorld

    found = next(one for one in (*SCENES, *DEEP) if one.name == name)
    try:
        explored = explore(BoundedWorld(found), states, recover=False)
    except Slow:
        raise
    except Exception as error:
        return f"scene:{name}:{states}", crashed(error), 0
    return f"scene:{name}:{states}", explored.broken, explored.depth


def twins(name: str) -> Caught:
    """Search every order of the claims of twins."""
    from reconciler.simulation.exhaustive.scenes import SHELF
    from reconciler.simulation.exhaustive.twins import TWINS, search, together

    found, states, _ = search(together(SHELF, next(one for one in TWINS if one.name == name)))
    return f"twins:{name}", "" if found is None else "two machines of one side import at once", states


def seed(number: int) -> Caught:
    """Play a seed of the swarm; the length is the number of faults that remain after shrinking (`shrunk`)."""
    from reconciler.simulation.timed.swarm import draw, run

    try:
        outcome = run(draw(number))
    except Slow:
        raise
    except Exception as error:
        return f"seed:{number}", crashed(error), len(draw(number).injections)
    return f"seed:{number}", outcome.broken, outcome.faults


def shrunk(number: int) -> int:
    """Return how many faults are enough to break what the seed breaks."""
    from reconciler.simulation.timed.swarm import draw, shrink

    return len(shrink(draw(number), 400).injections) - 1


class FirstFailure:
    """Records the first failed test that pytest reports."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def unit(place: str) -> Caught:
    """Run the tests of one step in a file, or one of them, in this interpreter."""
    import pytest

    first = FirstFailure()
    options = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=no", "--show-capture=no"]
    ended = pytest.main([*options, str(ROOT / place)], plugins=[first])
    assert ended in (0, 1), f"{place} could not be run: {ended}"
    return f"test:{first.name or place}", first.name.rpartition("::")[2].partition("[")[0].replace("_", " "), 1


def limited(catch: Callable[[], Caught]) -> Caught | None:
    """Return what `catch` finds, or None if it takes too long."""

    def expired(_: int, __: FrameType | None) -> None:
        raise Slow

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(CATCH_S_MAX)
    try:
        return catch()
    except Slow:
        return None
    finally:
        signal.alarm(0)


def one(task: str) -> Caught | None:
    """Run a catcher by its name."""
    kind, _, rest = task.partition(":")
    match kind:
        case "story":
            return limited(lambda: story(rest))
        case "scene":
            name, _, states = rest.partition(":")
            return limited(lambda: scene(name, int(states)))
        case "twins":
            return limited(lambda: twins(rest))
        case "seed":
            return limited(lambda: seed(int(rest)))
        case "test":
            return limited(lambda: unit(rest))
        case _:
            raise ValueError(f"no catcher is called {task}")


def search(task: str) -> Iterator[Caught]:
    """Yield some stories that catch the mutant, or the first scene within the fewest states, or the first seed."""
    if task == "stories":
        names = sorted(path.stem for path in STORIES.glob("*.txt"))
        caught = (found for name in names if (found := one(f"story:{name}")) and found[1])
        yield from islice(caught, STORIES_MAX)
    elif task == "tests":
        tries = (f"test:{path.relative_to(ROOT)}" for path in sorted(UNITS.glob("test_step_*.py"), reverse=True))
        if found := next((found for name in tries if (found := one(name)) and found[1]), None):
            yield found
    elif task == "twins":
        from reconciler.simulation.exhaustive.twins import TWINS

        tries = (f"twins:{about.name}" for about in TWINS)
        if found := next((found for name in tries if (found := one(name)) and found[1]), None):
            yield found
    elif task == "scenes":
        from reconciler.simulation.exhaustive.scenes import SCENES

        tries = (f"scene:{about.name}:{states}" for states in SCENE_STATES for about in SCENES)
        if found := next((found for name in tries if (found := one(name)) and found[1]), None):
            yield found
    else:
        tries = (f"seed:{number}" for number in range(SEEDS))
        if found := next((found for name in tries if (found := one(name)) and found[1]), None):
            name, broke, faults = found
            yield name, broke, faults if broke.startswith("crash") else shrunk(int(name.partition(":")[2]))


def main(name: str, tasks: Sequence[str]) -> None:
    install(name)
    for task in tasks:
        if ":" in task:
            print(json.dumps(one(task) or (task, "", 0)), flush=True)
        else:
            for found in search(task):
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
