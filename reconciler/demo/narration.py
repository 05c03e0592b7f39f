"""What every part of the demonstration does: number the steps, run commands, wait, and print what came of it.

Decides how the story looks. Does not know what is told.
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

from reconciler.cli.terminal import fold, paint, wants_color
from reconciler.demo.repository import Repository
from reconciler.demo.testbed import Stage

COLUMNS: Final = 100
INDENT: Final = "    "
#: A machine that is busy with other things has all the time it needs; whatever has not come by then does not come.
PATIENCE_S: Final = 60.0
TICK_S: Final = 0.005
Result = TypeVar("Result")
_COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Without colours."""
    return _COLOR.sub("", text)


class Telling:
    """The voice, and the hands: one numbered step after the other on a stage."""

    def __init__(self, stage: Stage, repository: Repository) -> None:
        self.stage = stage
        self.repository = repository
        self.heard = repository.root / "alerts.jsonl"
        self.number = 0
        self._pause = threading.Event()

    def say(self, title: str, text: str) -> None:
        """Begin a step."""
        self.number += 1
        print(f"\n{paint(f'{self.number}. {title}', 1, 36)}")
        print(textwrap.fill(text, COLUMNS, initial_indent="   ", subsequent_indent="   ") + "\n", flush=True)

    def show(self, text: str) -> None:
        """What a command printed, as it is."""
        for line in text.rstrip().splitlines():
            for part in _folded(line, COLUMNS - len(INDENT)):
                print((INDENT + part).rstrip(), flush=True)

    def note(self, text: str, label: str = "") -> None:
        """A line of the story; what is longer than the screen goes on below."""
        head = INDENT + (f"{label:<14}" if label else "")
        for at, line in enumerate(fold(text, COLUMNS - len(head))):
            print((head if not at else " " * len(head)) + line, flush=True)

    def hagit(self, controller: str, *arguments: str, check: bool = True) -> str:
        """Run the command on a controller; what it printed."""
        columns = str(COLUMNS - 2 * len(INDENT))
        environment = {**os.environ, "HAGIT_NODE": str(self.repository.node(controller)), "COLUMNS": columns}
        if wants_color():
            # Its output is a pipe here, yet it ends on this screen.
            environment["FORCE_COLOR"] = "1"
        command = [sys.executable, "-m", "reconciler.cli.entry", *arguments]
        return self.stage[controller].run(*command, check=check, env=environment)

    def command(self, controller: str, *arguments: str) -> None:
        """The command line that comes next, as a person would type it there."""
        line = f"{controller}$ hagit {shlex.join(arguments)}"
        print(INDENT + paint(line, 1), flush=True)

    def until(self, what: str, condition: Callable[[], Result]) -> Result:
        """Wait; what the condition returned when it held. Raises RuntimeError with the logs."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (result := condition()):
            if time.monotonic() > deadline_s:
                paths = sorted(self.repository.root.glob("*/*.log"))
                logs = "".join(f"\n--- {path}\n{path.read_text(errors='replace')[-4_000:]}" for path in paths)
                raise RuntimeError(f"waited {PATIENCE_S:.0f} s in vain for {what}{logs}")
            self._pause.wait(TICK_S)
        return result

    def head(self) -> str:
        """The newest commit, short."""
        return Path(self.repository.path / ".git/refs/heads/main").read_text()[:7]

    def agent(self, controller: str) -> dict[str, Any]:
        """What the agent published last."""
        path = self.repository.root / controller / "state/status.json"
        document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return document

    def applied(self, controller: str) -> str:
        """The commit in force, short."""
        return ((self.agent(controller).get("applied") or {}).get("commit") or "")[:7]

    def alert(self, text: str, since_s: float) -> dict[str, Any] | None:
        """The first alert with this text that the client's webhook has heard since then, while it fires."""
        if not self.heard.exists():
            return None
        for line in self.heard.read_text().splitlines():
            heard: dict[str, Any] = json.loads(line)
            data = heard["event"]["data"]
            if heard["at_s"] >= since_s and text in data["summary"] and data["status"] == "firing":
                return heard
        return None


def _folded(line: str, columns: int) -> list[str]:
    """A line that may be coloured, cut at spaces where it is too long; what goes on stands deeper than it began."""
    indent = " " * (len(plain(line)) - len(plain(line).lstrip()) + len(INDENT))
    parts, now = [], ""
    for word in re.findall(r" *[^ ]+", line):
        if now.strip() and len(plain(now + word)) > columns:
            parts.append(now)
            now = indent + word.lstrip()
        else:
            now += word
    return [*parts, now]
