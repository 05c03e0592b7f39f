"""Group 9: what a look at the source costs in a repository of 500 pairs, beside one of a single pair."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from reconciler.agent.source.selector import select_revision
from reconciler.agent.store import Store
from reconciler.system.git.mirror import Mirror
from reconciler.system.node import load_node
from tests.bench.figure import Figure, Group
from tests.bench.stopwatch import HAGIT, ROOT
from tests.system.repositories import Work

PAIRS: Final = 500
_EXAMPLE: Final = ROOT / "examples" / "fleet" / "pairs" / "shelf1" / "pair.yaml"
_LOOKS: Final = ("a look, nothing new", "a look, a commit of another pair", "a look, a commit of this pair")


class _Follower:
    """A controller of the pair `shelf0`, and its repository."""

    def __init__(self, directory: Path, pairs: int) -> None:
        self.work = _repository(directory, pairs)
        node_file = directory / "node.toml"
        node_file.write_text(
            f"controller = 'a'\nstate = '{directory}/state'\nlisten = false\n[source]\n"
            f"remotes = ['{self.work.path}']\npath = 'pairs/shelf0'\n[trust]\nunsigned = 'accept-without-warning'\n"
        )
        self._node = load_node(node_file)
        self._store = Store(self._node.state)
        self._mirror = Mirror(self._store.mirror)
        self._own = (self.work.path / "pairs/shelf0/pair.yaml").read_text()
        self.taken: dict[str, list[float]] = {name: [] for name in _LOOKS}
        select_revision(self._node, self._store, self._mirror)

    def measure(self, number: int) -> None:
        """One look of each kind."""
        changes = (None, {"pairs/other/notes.yaml": ""}, {"pairs/shelf0/pair.yaml": self._own})
        for name, files in zip(_LOOKS, changes, strict=True):
            if files is not None:
                self.work.commit(**{path: f"{text}# {number}\n" for path, text in files.items()})
            began_s = time.perf_counter()
            select_revision(self._node, self._store, self._mirror)
            self.taken[name].append(1000 * (time.perf_counter() - began_s))

    def validate(self) -> float:
        """Milliseconds of `hagit validate --all`."""
        began_s = time.perf_counter()
        subprocess.run([HAGIT, "validate", "--all", str(self.work.path)], check=True, capture_output=True)
        return 1000 * (time.perf_counter() - began_s)


def measure(directory: Path, runs: int) -> Group:
    """Looks in this process, in turn at one pair and at 500, and `hagit validate --all` as a process."""
    few, many = (_Follower(directory / str(pairs), pairs) for pairs in (1, PAIRS))
    for number in range(runs):
        few.measure(number)
        many.measure(number)
    figures: list[Figure] = []
    for name in _LOOKS:
        floor = Figure(f"{name}, 1 pair", tuple(few.taken[name]))
        figures.append(floor)
        samples = tuple(many.taken[name])
        figures.append(Figure(f"{name}, {PAIRS} pairs", samples, floor=floor.median, floor_name="1 pair", aim=1.3))
    one, all_pairs = (
        Figure(f"hagit validate --all, {count} pairs", (follower.validate(),))
        for count, follower in ((1, few), (PAIRS, many))
    )
    return Group(f"A repository of {PAIRS} pairs", (*figures, one, all_pairs))


def _repository(directory: Path, pairs: int) -> Work:
    """A repository of this many pairs, each with an address, serial numbers and disks of its own."""
    work = Work(directory / "work")
    work.path.mkdir(parents=True)
    work.git("init", "-q", "-b", "main")
    text = _EXAMPLE.read_text()
    for number in range(pairs):
        high, low = divmod(number, 250)
        made = text.replace("shelf1", f"shelf{number}").replace("10.0.0.", f"10.{high}.{low}.")
        made = made.replace("A1-0001", f"A{number}").replace("B1-0001", f"B{number}")
        made = made.replace("c500a1b2c1", f"c5{number:08x}").replace("02:00:00:01", f"02:00:{high:02x}:{low:02x}")
        work.write(f"pairs/shelf{number}/pair.yaml", made.encode())
    alerts = "apiVersion: hagit/v1\nkind: Alerting\nmetadata: {name: alerts}\nspec: {drift: {default: heal}}\n"
    work.commit(**{"common/alerts.yaml": alerts})
    return work
