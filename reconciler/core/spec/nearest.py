"""The known name that is most like a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

#: Names that are compared closely at most; a repository with more interfaces has names that differ in a digit.
_COMPARED_MAX: Final = 64


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The name a person probably meant, upper and lower case alike, or None when nothing is close."""
    lower = word[:64].lower()
    names = list(known)
    if len(names) > _COMPARED_MAX:
        names = [name for name in names if name[:1].lower() == lower[:1] and abs(len(name) - len(word)) <= 2]
    by_lower = {name.lower(): name for name in names[:_COMPARED_MAX]}
    found = difflib.get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """A sentence for a complaint: what was probably meant, else everything that is known."""
    names = list(known)
    close = nearest(word, names)
    if close is not None:
        return f"Did you mean `{close}`?"
    if not names:
        return "There is none to choose from."
    listed = ", ".join(f"`{name}`" for name in sorted(names[:12])) + (", …" if len(names) > 12 else "")
    return f"Known: {listed}."
