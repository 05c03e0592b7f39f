"""Text with colours for a terminal: pieces with a style each, measured without their escape sequences.

Decides which style has which SGR code (ECMA-48 section 8.3.117), and that nothing a stranger wrote (an alias, an
author) reaches the terminal as a control character. Does not know what is printed.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from reconciler.printing import printable

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
#: White space that wrapping takes away or replaces; a short text without any is a line as it is.
_UNEVEN: Final = re.compile(r"^ | $|[\t\n\v\f\r]")


class Style(Enum):
    """How a piece looks; the value is its SGR code, empty for none."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    GOOD = "32"
    CHANGE = "33"
    BAD = "31"
    ALARM = "1;31"
    NOTE = "36"


class Piece(NamedTuple):
    """Some text in one style."""

    text: str
    style: Style = Style.PLAIN


def paint(pieces: Iterable[Piece], *, color: bool) -> str:
    """One line. Without `color` the styles are dropped, and so is space at the end."""
    parts = [(printable(piece.text), piece.style.value) for piece in pieces]
    while parts and not parts[-1][0].strip():
        parts.pop()
    if parts:
        parts[-1] = (parts[-1][0].rstrip(), parts[-1][1])
    return "".join(f"\x1b[{code}m{text}\x1b[0m" if color and code and text.strip() else text for text, code in parts)


def wrapped(text: str, *, first: str, indent: int, width: int, style: Style = Style.PLAIN) -> list[list[Piece]]:
    """Lines of `text`, the first one opened by `first`, the others indented alike; `indent` and `width` in columns.

    A no-break space is printed as a space and never broken at.
    """
    room = max(width - indent, 24)
    # Commands in remedies and addresses are to be copied: never broken inside a word.
    if len(text) <= room and not _UNEVEN.search(text):
        lines = [text]
    else:
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    opening = Piece(first.ljust(indent), Style.FAINT)
    return [
        [opening if number == 0 else Piece(" " * indent), Piece(line.replace(NO_BREAK, " "), style)]
        for number, line in enumerate(lines)
    ]


def unbroken(text: str) -> str:
    """The text as one word for `wrapped`."""
    return text.replace(" ", NO_BREAK)
