"""How the histories of the two controllers relate, and which of them moves.

Histories only go forward, so whichever controller has the descendant is ahead, and the other follows. Where neither
descends from the other, both stay as they are until a person decides.
"""

from __future__ import annotations

from enum import StrEnum


class HistoryRelation(StrEnum):
    """How this controller's commit relates to the peer's. EMPTY: neither has one. UNKNOWN: the peer's is not here."""

    EMPTY = "empty"
    EQUAL = "equal"
    BEHIND = "behind"
    AHEAD = "ahead"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


def relation(here: str, there: str, *, known: bool, descends: bool, leads: bool) -> HistoryRelation:
    """The relation of two tips (full ids, empty for none).

    `known`: the peer's commit is in a repository here. `descends`: it descends from ours; `leads`: ours descends from
    it. A commit that is not known here has to be fetched before anything can be said of it.
    """
    if here == there:
        return HistoryRelation.EQUAL if here else HistoryRelation.EMPTY
    if not there:
        return HistoryRelation.AHEAD
    if not here or (known and descends):
        return HistoryRelation.BEHIND
    if known and leads:
        return HistoryRelation.AHEAD
    return HistoryRelation.DIFFERENT if known else HistoryRelation.UNKNOWN
