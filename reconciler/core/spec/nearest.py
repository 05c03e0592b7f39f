"""The known name that is most like a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The name a person probably meant, upper and lower case alike, or None when nothing is close."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word[:64].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """A sentence for a complaint: what was probably meant, else everything that is known."""
    names = sorted(known)
    close = nearest(word, names)
    if close is not None:
        return f"Did you mean `{close}`?"
    if not names:
        return "There is none to choose from."
    listed = ", ".join(f"`{name}`" for name in names[:12]) + (", …" if len(names) > 12 else "")
    return f"Known: {listed}."
