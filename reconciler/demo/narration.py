"""Run the commands of the demonstration on its testbed, and wait for their effects.

The steps themselves are in `demo/configuration_story` and `demo/failover_story`, the layout in `demo/step_output`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from reconciler.cli.terminal import wants_color
from reconciler.demo.repository import Repository
from reconciler.demo.step_output import COLUMNS, INDENT, StepOutput
from reconciler.demo.testbed import Testbed

#: Time limit of each wait: generous, because the machine may be busy.
WAIT_S_MAX: Final = 60.0
TICK_S: Final = 0.005
Result = TypeVar("Result")


class Narrator(StepOutput):
    """Prints one numbered step after the other and runs its commands on a testbed."""

    def __init__(self, testbed: Testbed, repository: Repository) -> None:
        super().__init__()
        self.testbed = testbed
        self.repository = repository
        self.alert_log = repository.root / "alerts.jsonl"
        self._pause = threading.Event()

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
        self.typed(controller, "hagit", *arguments)

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
