"""Number and print the steps of the demonstration, run commands, and wait for their effects.

Decides the layout of the output. The steps themselves are in `demo/configuration_story` and `demo/failover_story`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from reconciler.cli.terminal import fold, styled, wants_color
from reconciler.demo.repository import Repository
from reconciler.demo.testbed import Testbed

COLUMNS: Final = 100
INDENT: Final = "    "
#: Time limit of each wait: generous, because the machine may be busy.
WAIT_S_MAX: Final = 60.0
TICK_S: Final = 0.005
Result = TypeVar("Result")
_COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Without colours."""
    return _COLOR.sub("", text)


class Narrator:
    """Prints one numbered step after the other and runs its commands on a testbed."""

    def __init__(self, testbed: Testbed, repository: Repository) -> None:
        self.testbed = testbed
        self.repository = repository
        self.alert_log = repository.root / "alerts.jsonl"
        self.number = 0
        self._pause = threading.Event()

    def step(self, title: str, text: str) -> None:
        """Print the heading of a step."""
        self.number += 1
        print(f"\n{styled(f'{self.number}. {title}', 1, 36)}")
        print(textwrap.fill(text, COLUMNS, initial_indent="   ", subsequent_indent="   ") + "\n", flush=True)

    def show(self, text: str) -> None:
        """Print the output of a command, folded."""
        for line in text.rstrip().splitlines():
            for part in _folded(line, COLUMNS - len(INDENT)):
                print((INDENT + part).rstrip(), flush=True)

    def note(self, text: str, label: str = "") -> None:
        """Print a line of the story, folded at the width of the screen."""
        head = INDENT + (f"{label:<14}" if label else "")
        for at, line in enumerate(fold(text, COLUMNS - len(head))):
            print((head if not at else " " * len(head)) + line, flush=True)

    def hagit(self, controller: str, *arguments: str, check: bool = True) -> str:
        """Run `hagit` on a controller; return its output."""
        columns = str(COLUMNS - 2 * len(INDENT))
        environment = {**os.environ, "HAGIT_NODE": str(self.repository.node(controller)), "COLUMNS": columns}
        if wants_color():
            # Its output goes through a pipe to this screen.
            environment["FORCE_COLOR"] = "1"
        command = [sys.executable, "-m", "reconciler.cli.entry", *arguments]
        return self.testbed[controller].run(*command, check=check, env=environment)

    def command(self, controller: str, *arguments: str) -> None:
        """Print the next command line, as an operator would type it on this controller."""
        line = f"{controller}$ hagit {shlex.join(arguments)}"
        print(INDENT + styled(line, 1), flush=True)

    def wait_until(self, what: str, condition: Callable[[], Result]) -> Result:
        """Wait until `condition` returns a true value, and return it.

        Raises RuntimeError with the logs after a minute.
        """
        deadline_s = time.monotonic() + WAIT_S_MAX
        while not (result := condition()):
            if time.monotonic() > deadline_s:
                paths = sorted(self.repository.root.glob("*/*.log"))
                logs = "".join(f"\n--- {path}\n{path.read_text(errors='replace')[-4_000:]}" for path in paths)
                raise RuntimeError(f"waited {WAIT_S_MAX:.0f} s in vain for {what}{logs}")
            self._pause.wait(TICK_S)
        return result

    def newest_commit(self) -> str:
        """The newest commit, 7 digits."""
        return Path(self.repository.path / ".git/refs/heads/main").read_text()[:7]

    def agent(self, controller: str) -> dict[str, Any]:
        """The status document that the agent published last; empty before the first."""
        path = self.repository.root / controller / "state/status.json"
        document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return document

    def applied(self, controller: str) -> str:
        """The commit in force, 7 digits; empty before the first."""
        return ((self.agent(controller).get("applied") or {}).get("commit") or "")[:7]

    def alert(self, text: str, since_s: float) -> dict[str, Any] | None:
        """The first firing alert with this text that the webhook has received since then (seconds since 1970)."""
        if not self.alert_log.exists():
            return None
        for line in self.alert_log.read_text().splitlines():
            received: dict[str, Any] = json.loads(line)
            data = received["event"]["data"]
            if received["at_s"] >= since_s and text in data["summary"] and data["status"] == "firing":
                return received
        return None


def _folded(line: str, columns: int) -> list[str]:
    """A line, perhaps with colours, folded at spaces; the continuation is indented."""
    indent = " " * (len(plain(line)) - len(plain(line).lstrip()) + len(INDENT))
    parts, now = [], ""
    for word in re.findall(r" *[^ ]+", line):
        if now.strip() and len(plain(now + word)) > columns:
            parts.append(now)
            now = indent + word.lstrip()
        else:
            now += word
    return [*parts, now]
