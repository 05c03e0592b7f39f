"""A terminal with an operator: a command on a pty(7), what it shows, what is typed."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

from tests.controller import ROOT, Controller
from tests.wait import DEADLINE_S


class Screen:
    """One command on a terminal."""

    def __init__(self, controller: Controller, *arguments: str, **environment: str) -> None:
        self._near, far = pty.openpty()
        self._process = subprocess.Popen(
            ["env", "--default-signal=INT", "setsid", "--ctty", *controller.argv(*arguments)],
            cwd=ROOT,
            env=controller.environment | environment,
            stdin=far,
            stdout=far,
            stderr=far,
        )
        os.close(far)
        self.shown = ""

    def until(self, text: str) -> None:
        """Wait until it shows a text."""
        end_s = time.monotonic() + DEADLINE_S
        while text not in self.shown:
            assert self._read(end_s), f"{text!r} is not in {self.shown!r}"

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._near, text.encode())

    def end(self) -> int:
        """Wait for the end; the exit status."""
        end_s = time.monotonic() + DEADLINE_S
        while self._read(end_s):
            pass
        os.close(self._near)
        return self._process.wait(DEADLINE_S)

    def _read(self, end_s: float) -> bool:
        ready, _, _ = select.select([self._near], [], [], max(0.0, end_s - time.monotonic()))
        assert ready, f"silent after {self.shown!r}"
        try:
            found = os.read(self._near, 65536)
        except OSError:
            # Linux reads EIO from a pty whose other end is closed.
            return False
        self.shown += found.decode(errors="replace").replace("\r\n", "\n")
        return bool(found)


def script(path: Path, text: str) -> Path:
    """A program for a shell to run."""
    path.write_text(text)
    path.chmod(0o755)
    return path
