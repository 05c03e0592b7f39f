"""The terminal: colour, width, questions, and a progress line that is silent in a pipe."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import sys
import textwrap
import time
from types import TracebackType
from typing import Final

from reconciler.errors import UsageError
from reconciler.printing import printable
from reconciler.system.streams import ESCAPE, escape

WIDTH_MIN: Final = 60
WIDTH_MAX: Final = 120


def wants_color() -> bool:
    """Colour on a terminal only, or with FORCE_COLOR; never with NO_COLOR set to anything (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the output, 60 to 120. In a pipe 100 unless COLUMNS is set, so that output is reproducible."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return 100
    return max(WIDTH_MIN, min(WIDTH_MAX, shutil.get_terminal_size().columns))


def fold(text: str, columns: int) -> list[str]:
    """The text in lines of at most `columns`; at least one line. Breaks at spaces only."""
    lines = textwrap.wrap(text, max(20, columns), break_on_hyphens=False, break_long_words=False)
    return lines or [""]


def local_time(at_s: float) -> str:
    """Seconds since 1970 as date and time of this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))


def styled(text: str, *codes: int) -> str:
    """`text` in the given SGR codes (ECMA-48 8.3.117) where colour is wanted."""
    if not wants_color():
        return text
    return f"{escape()}[{';'.join(map(str, codes))}m{text}{escape()}[0m"


def marked_escapes(text: str) -> str:
    """The text with its control sequences marked as hagit's own, which the output stream lets through."""
    return text.replace(ESCAPE, escape())


def confirmed(question: str) -> bool:
    """Ask the operator; only the whole word `yes` is a yes. Without a terminal the answer is no."""
    if not sys.stdin.isatty():
        return False
    return _answer(f"{question} Only 'yes' is taken: ") == "yes"


def ask_text(question: str, default: str) -> str:
    """Ask the operator for a text. An empty answer means the default."""
    return _answer(f"{question} [{default}]: ") or default


def ask_word(question: str) -> str:
    """Ask the operator for a word. Empty at the end of the input."""
    return _answer(question)


def ask_secret(question: str) -> str:
    """Ask the operator for a text that is not shown. Raises UsageError without a terminal: no argument has a secret."""
    if not sys.stdin.isatty():
        raise UsageError("a passphrase is typed on a terminal, and standard input is none", remedy="use a key: --help")
    return getpass.getpass(f"{question}: ")


def _answer(prompt: str) -> str:
    """One line of standard input, stripped; empty at the end of the input.

    Does not use `input`, which loses a Ctrl-C between its prompt and its first read.
    """
    sys.stdout.write(prompt)
    sys.stdout.flush()
    return sys.stdin.readline().strip()


def survive_hangup() -> None:
    """Go on when the terminal is gone: a change of the network may have cut the operator's own session (SIGHUP)."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _clear() -> str:
    """The sequence that goes to the first column and clears the line (ECMA-48 8.3.9, 8.3.41)."""
    return f"{escape()}[G{escape()}[K"


def print_not_done(what: str) -> None:
    """Say on standard error that nothing was done, and how to do it where the operator cannot be asked."""
    print(f"{what}." if sys.stdin.isatty() else f"{what}: there is no terminal to ask on; add --yes.", file=sys.stderr)


class ProgressLine:
    """A line of progress that is overwritten, and cleared at the end. Prints nothing unless on a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> ProgressLine:
        return self

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._shown:
            try:
                sys.stderr.write(f"{_clear()}{printable(text)[: width() - 1]}")
                sys.stderr.flush()
            except OSError:
                # The terminal is gone, and the work goes on.
                self._shown = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write(_clear())
            sys.stderr.flush()
