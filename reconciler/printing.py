"""What reaches terminals, journals, mails and pages: text in which no character does anything but stand there.

Names, messages and values come from git, from the network and from other programs. Everything that is printed goes
through `printable`: control characters, characters that turn the direction of text or have no width, line separators
that are none to people, and halves of surrogate pairs are written as `\\uXXXX`. That is how JSON writes them, too, so a
document that is printed stays the same document. Decides nothing about where text comes from.
"""

from __future__ import annotations

import re
from typing import Final

#: Unicode's general categories Cc, Cf, Cs, Co, Zl and Zp, letters and marks without a shape, and the tags.
_UNSAFE: Final = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
_IN_LINE: Final = re.compile(f"[{_UNSAFE}]")
_IN_TEXT: Final = re.compile(f"(?![\n\t])[{_UNSAFE}]")
#: Longest value from outside that a line for people shows, in characters.
VALUE_LENGTH_MAX: Final = 200


def printable(text: str) -> str:
    """One line: whatever is not to be seen is written as `\\uXXXX`, ends of lines included."""
    return text if text.isascii() and text.isprintable() else _IN_LINE.sub(_escape, text)


def printable_text(text: str) -> str:
    """The same for text of several lines: ends of lines and tabs stay."""
    return text if text.isascii() and text.isprintable() else _IN_TEXT.sub(_escape, text)


def cut(text: str, most: int = VALUE_LENGTH_MAX) -> str:
    """At most this many characters; a cut text ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number > 0xFFFF:
        high, low = divmod(number - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{number:04x}"
