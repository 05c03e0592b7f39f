"""One thing that is wrong with what this machine has, told before a takeover meets it. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Items that are named at most; of the others only the number is given.
NAMED_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` and `text` stay the same as long as the matter does; `evidence` shows it, `remedy` says what to do."""

    code: str
    text: str
    evidence: str
    remedy: str


def listed(items: Sequence[str]) -> str:
    """`disk0; disk1; …`, no longer than a person reads."""
    more = len(items) - NAMED_MAX
    return "; ".join(items[:NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")
