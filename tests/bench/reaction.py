"""Group 3: how soon a commit is in force on both controllers, and how soon a deleted address is told and put back.

The moments are the kernel's (`ip monitor address`) and Alertmanager's (the line that it has taken an alert), so what
is measured ends in the world and not in the agent's opinion.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from reconciler.demo.testbed import Testbed
from tests.bench.ear import Ear, Heard, address_monitor, end
from tests.bench.figure import Figure, Group
from tests.bench.pair import ALERTMANAGER_PORT, CLIENT_ADDRESS, agent, alertmanager, commit, make_node, make_repository

#: Tries of an address deleted by hand, whatever the runs: the aim is about this many.
DELETIONS: Final = 200
#: Addresses on each controller that take turns, so that none is deleted often enough to be damped (3 in 600 s).
ADDRESSES: Final = 50
#: Between two deletions; each controller has every second one, so that neither raises 20 alerts in 10 s (a storm).
PAUSE_S: Final = 0.28
TIMEOUT_S: Final = 20.0
#: What Alertmanager prints at its level of debugging for each alert that it takes.
_TAKEN: Final = re.compile(r'msg="Received alert" alert=\w+\[(\w+)\]')
CONTROLLERS: Final = {"a": 11, "b": 12}

_FILE = """\
apiVersion: hagit/v1
kind: Pair
metadata: {{name: shelf}}
spec:
  a: {{hostname: shelf-a}}
  b: {{hostname: shelf-b}}
---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: management}}
spec:
  a: {{match: {{mac: "02:00:00:00:aa:00"}}, address: 10.77.0.11/24}}
  b: {{match: {{mac: "02:00:00:00:bb:00"}}, address: 10.77.0.12/24}}
---
apiVersion: hagit/v1
kind: Interface
metadata: {{name: data}}
spec:
  a: {{match: {{mac: "02:00:00:00:aa:01"}}, addresses: [{a}]}}
  b: {{match: {{mac: "02:00:00:00:bb:01"}}, addresses: [{b}]}}
---
apiVersion: hagit/v1
kind: Alerting
metadata: {{name: alerts}}
spec:
  alertmanager: ["http://{client}:{port}"]
  drift: {{default: heal}}
"""


def standing_address(number: int, controller: str) -> str:
    """One of those that are deleted by hand."""
    return f"10.80.{number}.{CONTROLLERS[controller]}/24"


def commit_address(number: int, controller: str) -> str:
    """The one that commit `number` brings, in place of the one before."""
    return f"10.79.{number % 250}.{CONTROLLERS[controller]}/24"


def files(number: int) -> dict[str, str]:
    """The desired state of commit `number`."""
    lists = {
        name: ", ".join((commit_address(number, name), *(standing_address(one, name) for one in range(ADDRESSES))))
        for name in CONTROLLERS
    }
    return {"pair.yaml": _FILE.format(**lists, client=CLIENT_ADDRESS, port=ALERTMANAGER_PORT)}


def measure(directory: Path, runs: int) -> Group:
    """Commits first, then deletions, with the same two agents."""
    repository = directory / "pair"
    make_repository(repository, files(0))
    with ExitStack() as stack:
        testbed = stack.enter_context(Testbed())
        manager = stack.enter_context(alertmanager(testbed, directory / "alertmanager"))
        monitors = {name: address_monitor(testbed[name]) for name in CONTROLLERS}
        stack.callback(end, list(monitors.values()))
        pipes = {name: monitor.stdout for name, monitor in monitors.items()} | {"manager": manager.stderr}
        ear = stack.enter_context(Ear({name: pipe for name, pipe in pipes.items() if pipe is not None}))
        for name in CONTROLLERS:
            env = make_node(directory / name, name, repository)
            stack.enter_context(agent(testbed[name], env, directory / f"{name}.log"))
        ear.times({name: _came(name, commit_address(0, name)) for name in CONTROLLERS}, TIMEOUT_S)
        _until_applied(directory, repository)
        commits = [_commit(ear, directory, repository, number) for number in range(1, runs + 1)]
        ear.idle(time.monotonic() + 0.5)
        deletions = _deletions(testbed, ear)
    told, back = zip(*deletions, strict=True)
    figures = (
        Figure("git commit → live on both controllers", tuple(commits), aim=1000, judged=0.99),
        Figure("address deleted → back", back, aim=500, judged=0.99),
        Figure("address deleted → alert in Alertmanager", told, aim=500, judged=0.99),
    )
    notes = (
        "commits: from the start of `git commit` to the kernel's news of the new address on the later controller",
        f"deletions: one every {PAUSE_S} s, in turn on a and b, {ADDRESSES} addresses each, so that nothing is damped "
        "or collapsed; from the kernel's news that it is gone",
        "100 ms of it are the pause between the two looks that a difference has to be seen in",
    )
    return Group("Reaction of two running agents", figures, notes)


def _came(source: str, address: str, gone: bool = False) -> Callable[[Heard], bool]:
    words = f" {address} "
    return lambda heard: heard.source == source and words in heard.line and heard.line.startswith("Deleted") is gone


def _told(heard: Heard) -> str:
    """The fingerprint of the alert that Alertmanager says it has taken, else nothing."""
    found = _TAKEN.search(heard.line) if heard.source == "manager" else None
    return found[1] if found else ""


def _commit(ear: Ear, directory: Path, repository: Path, number: int) -> float:
    """Milliseconds from the start of `git commit` until both have the address."""
    began_s: list[float] = []
    commit(repository, files(number), lambda: began_s.append(time.monotonic()))
    times = ear.times({name: _came(name, commit_address(number, name)) for name in CONTROLLERS}, TIMEOUT_S)
    _until_applied(directory, repository)
    return (max(times.values()) - began_s[0]) * 1000


def _until_applied(directory: Path, repository: Path) -> None:
    """Wait until both agents have recorded the newest commit as applied."""
    head = (repository / ".git" / "refs" / "heads" / "main").read_text().strip()
    end_s = time.monotonic() + TIMEOUT_S
    pause = threading.Event()
    for name in CONTROLLERS:
        record = directory / name / "state" / "applied.json"
        while not record.exists() or json.loads(record.read_text())["revision"]["commit"] != head:
            if time.monotonic() > end_s:
                raise TimeoutError(f"{name} has not applied {head}: {(directory / f'{name}.log').read_text()}")
            pause.wait(0.01)


def _deletions(testbed: Testbed, ear: Ear) -> list[tuple[float, float]]:
    """For each deletion: milliseconds until it is told, and until the address is back."""
    tries = []
    prints: dict[str, str] = {}
    turns = itertools.islice(itertools.cycle([(n, name) for n in range(ADDRESSES) for name in CONTROLLERS]), DELETIONS)
    for number, name in turns:
        next_s = time.monotonic() + PAUSE_S
        address = standing_address(number, name)
        command = testbed[name].enter(["ip", "address", "delete", address, "dev", "data0"])
        with subprocess.Popen(command, stdin=subprocess.DEVNULL):
            wanted = {
                "gone": _came(name, address, gone=True),
                "back": _came(name, address),
                "told": _new(prints, address),
            }
            times = ear.times(wanted, TIMEOUT_S)
        tries.append(((times["told"] - times["gone"]) * 1000, (times["back"] - times["gone"]) * 1000))
        ear.idle(next_s)
    return tries


def _new(prints: dict[str, str], address: str) -> Callable[[Heard], bool]:
    """Fits the alert about an address, and not what comes late for another: `prints` learns the fingerprint of each."""

    def fits(heard: Heard) -> bool:
        told = _told(heard)
        if told and told not in prints.values():
            prints.setdefault(address, told)
        return told != "" and prints.get(address) == told

    return fits
