"""Standard output and standard error of every process of hagit.

Decides what reaches them: text through `printing.printable_text`, so that nothing that was written elsewhere moves a
cursor, turns text round or forges a colour; hagit's own control sequences begin with `escape()`. What the encoding has
no sign for is written as an escape. Decides also what becomes of output that cannot be written: the command goes on to
its end without it, and ends with an error; standard error is written as far as that is possible.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Final, TextIO

ESCAPE: Final = "\x1b"
_STDIN, _STDOUT, _STDERR = range(3)
#: Follows the escape of hagit's own sequences. The author of a foreign text cannot know it.
_secret = ""


def escape() -> str:
    """What begins a control sequence of hagit's own (ECMA-48), on standard output or standard error."""
    return ESCAPE + _secret


class Screen(io.TextIOWrapper):
    """A stream that people read. `failure`: the first error of writing; what is written after it is dropped."""

    def __init__(self, stream: TextIO, *, ends: bool) -> None:
        super().__init__(
            stream.buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=stream.isatty()
        )
        #: Whether a failure ends what flushes explicitly.
        self._ends = ends
        # It would close the buffer that both share.
        self._before = stream
        self.failure: OSError | None = None
        #: Passes everything as it is: for pages of help, in which nothing is foreign.
        self.trusts = False

    def write(self, text: str) -> int:
        """Write, or remember why not."""
        if self.failure is None:
            try:
                super().write(text if self.trusts else _cleaned(text))
                if not self._ends:
                    super().flush()
            except OSError as error:
                self.failure = error
        return len(text)

    def flush(self) -> None:
        """Raises OSError when something could not be written."""
        if self.closed:
            return
        if self.failure is None:
            try:
                super().flush()
            except OSError as error:
                self.failure = error
        if self.failure is not None and self._ends and not self.trusts:
            raise self.failure

    def give_up(self) -> OSError | None:
        """Flush for the last time; why something was not written, None when everything was."""
        with suppress(OSError):
            self.flush()
        if self.failure is not None:
            # What is still buffered goes nowhere, without another word at the end of the interpreter.
            self._ends = False
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        return self.failure


def _cleaned(text: str) -> str:
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    # Shell completion starts at every TAB, and prints plain words: it does not pay for expressions.
    from reconciler.printing import printable_text

    if not _secret or _secret not in text:
        return printable_text(text)
    return ESCAPE.join(printable_text(part) for part in text.split(escape()))


def install() -> None:
    """Make both streams of this process Screens, and take the place of closed ones."""
    global _secret
    _open_closed()
    if not isinstance(sys.stdout, Screen):
        _secret = f"[{os.urandom(8).hex()}]"
        # The streams before stay referenced by `sys.__stdout__`: they close no descriptor.
        sys.stdout = Screen(sys.stdout, ends=True)
        sys.stderr = Screen(sys.stderr, ends=False)


def trust_help() -> None:
    """From here on nothing foreign is printed, and the pages of help have colours of their own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Screen):
            stream.trusts = True


def finish(status: int, failed: int, *, asks: bool = False) -> int:
    """The exit status of a command: `failed` when its output could not be written.

    A reader that closes the pipe early has seen enough, and that is no error, unless the command `asks`: then 0 would
    be an answer that was not read.
    """
    error = sys.stdout.give_up() if isinstance(sys.stdout, Screen) else None
    if error is not None and error.errno == errno.EPIPE:
        status = failed if asks else status
    elif error is not None:
        why = f"standard output cannot be written: {error.strerror}; what was to be shown is lost"
        print(f"hagit: {why}", file=sys.stderr)
        status = failed
    if isinstance(sys.stderr, Screen):
        sys.stderr.give_up()
    return status


def _open_closed() -> None:
    """A file that is opened later must not become standard output because that was closed."""
    for number, flags in ((_STDIN, os.O_RDONLY), (_STDOUT, os.O_RDONLY), (_STDERR, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one. Standard output refuses what is written, as a closed one does.
            os.open(os.devnull, flags)
    if sys.stdout is None:
        sys.stdout = _opened(_STDOUT)
    if sys.stderr is None:
        sys.stderr = _opened(_STDERR)
    if sys.stdin is None:
        sys.stdin = open(_STDIN, closefd=False)  # noqa: SIM115 - it stays open


def _opened(number: int) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w", closefd=False)), encoding="utf-8")
