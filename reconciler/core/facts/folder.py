"""Folders of a repository: how they are written, and which of them contain one another."""

from __future__ import annotations

from typing import Final

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*"
#: Path of a folder from the root of the repository: no hidden folder, no `..`, at most 16 levels.
FOLDER: Final = rf"(?=.{{1,255}}/?$){_PART}(?:/{_PART}){{0,15}}/?"


def lies_in(path: str, folder: str) -> bool:
    """Whether a path lies below a folder. The empty folder is the root of the repository."""
    return not folder or path.startswith(f"{folder}/")


def overlap(one: str, other: str) -> bool:
    """Whether two folders are the same, or one lies in the other."""
    return one == other or lies_in(one, other) or lies_in(other, one)
