"""Group 4: how much memory a running agent holds (proc_pid_smaps_rollup(5))."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from reconciler.demo.testbed import Testbed
from tests.bench.figure import Figure, Group
from tests.bench.pair import agent, alertmanager, make_node, make_repository
from tests.bench.reaction import files

AIM_MB: Final = 80.0
TIMEOUT_S: Final = 20.0


def measure(directory: Path, runs: int) -> Group:
    """An agent that has followed its source, applied a commit, and knows an Alertmanager."""
    repository = directory / "pair"
    make_repository(repository, files(0))
    env = make_node(directory / "a", "a", repository, listen=True)
    with ExitStack() as stack:
        testbed = stack.enter_context(Testbed())
        stack.enter_context(alertmanager(testbed, directory / "alertmanager"))
        process = stack.enter_context(agent(testbed["a"], env, directory / "a.log"))
        _until_published(directory / "a" / "state" / "status.json")
        first = _megabytes(process.pid)
        # Again after some more looks: what grows would show.
        for mtu in range(1400, 1400 + runs):
            testbed["a"].run("ip", "link", "set", "link0", "mtu", str(mtu))
        then = _megabytes(process.pid)
    figures = (
        Figure("agent, resident (RSS)", (first["Rss"],), "MB", aim=AIM_MB),
        Figure("agent, its share (PSS)", (first["Pss"],), "MB"),
        Figure("agent, its own (private)", (first["Private_Clean"] + first["Private_Dirty"],), "MB"),
        Figure(f"agent, RSS after {runs} more looks", (then["Rss"],), "MB", aim=AIM_MB),
    )
    return Group("Memory of a running agent (MB = 10^6 bytes)", figures)


def _until_published(path: Path) -> None:
    """Wait until the agent has published a state with an applied revision."""
    end_s = time.monotonic() + TIMEOUT_S
    pause = threading.Event()
    while not (path.exists() and json.loads(path.read_text()).get("revision")):
        if time.monotonic() > end_s:
            raise TimeoutError("the agent has not applied the first commit")
        pause.wait(0.05)


def _megabytes(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}
