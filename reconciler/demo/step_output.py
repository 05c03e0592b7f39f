"""How a demonstration prints: numbered steps, output of commands, and lines of the story, folded at one width.

Decides the layout. Knows neither machines nor steps: the demonstrations in namespaces and in the lab use it.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import Final

from reconciler.cli.terminal import fold, styled

COLUMNS: Final = 100
INDENT: Final = "    "
_COLOR: Final = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    """Without colours."""
    return _COLOR.sub("", text)


class StepOutput:
    """Prints one numbered step after the other."""

    def __init__(self) -> None:
        self.number = 0

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

    def typed(self, machine: str, *words: str) -> None:
        """Print a command line, as a person types it on a machine."""
        print(INDENT + styled(f"{machine}$ {shlex.join(words)}", 1), flush=True)


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
