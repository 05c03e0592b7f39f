"""Times whole commands, from before they are started until they have ended.

A program of its own, so that it can run inside a machine of the testbed: entering the machine is not part of what is
measured. Every round runs each command once, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from reconciler.demo.testbed import Machine

ROOT: Final = Path(__file__).parent.parent.parent
PYTHON: Final = sys.executable
HAGIT: Final = str(Path(sys.executable).parent / "hagit")
#: For one run of all commands that are timed together.
TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A command to time, and those to run before it, untimed. Every one must end with status 0."""

    name: str
    argv: Sequence[str]
    before: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of each run: by the clock, and of processor time, which what else the machine does alters less."""

    wall: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def note(self) -> str:
        """The processor time in words."""
        return f"{median(self.processor):.1f} ms of processor"


def time_in(machine: Machine, commands: Sequence[Timed], runs: int, env: Mapping[str, str]) -> dict[str, Times]:
    """The times of each command, by its name."""
    work = {"runs": runs, "commands": [asdict(command) for command in commands]}
    done = subprocess.run(
        run_in(machine, "tests.bench.stopwatch"),
        input=json.dumps(work).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, **env},
        timeout=TIMEOUT_S * runs,
    )
    taken: dict[str, list[tuple[float, float]]] = json.loads(done.stdout)
    return {name: Times(*zip(*samples, strict=True)) for name, samples in taken.items()}


def run_in(machine: Machine, module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this project on a machine; entering it changes the directory."""
    return machine.enter(["env", f"PYTHONPATH={ROOT}", PYTHON, "-m", module, *arguments])


def main() -> None:
    """Read the work as JSON, write the samples as JSON."""
    work = json.load(sys.stdin)
    taken: dict[str, list[tuple[float, float]]] = {command["name"]: [] for command in work["commands"]}
    for _ in range(work["runs"]):
        for command in work["commands"]:
            for argv in command["before"]:
                _run(argv)
            taken[command["name"]].append(_run(command["argv"]))
    json.dump(taken, sys.stdout)


def _run(argv: Sequence[str]) -> tuple[float, float]:
    """Run one command; its milliseconds by the clock and of processor time."""
    used_s, began_s = _processor_s(), time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    took_ms, used_ms = (time.perf_counter() - began_s) * 1000, (_processor_s() - used_s) * 1000
    if done.returncode:
        sys.exit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout.decode(errors='replace')[-2000:]}")
    return took_ms, used_ms


def _processor_s() -> float:
    """What all children that have ended used, in seconds (getrusage(2))."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
