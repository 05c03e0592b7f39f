"""What an agent remembers of pushes: the commit that it accepted alone, until the peer has it.

One small file in the directory of the hosted repository, synced before the branch moves, so that an agent that is
killed in between still raises the alert. Also what the last comparison with the peer found, which is kept in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import HagitError
from reconciler.system.clock import wall_s
from reconciler.system.files import PUBLIC, read_json, write_json

FORMAT: Final = "hagit.alone/1"
FILE: Final = "alone.json"


@dataclass(frozen=True, slots=True)
class AloneCommit:
    """A commit that this controller accepted without its peer, and when, in seconds since 1970."""

    commit: str
    since_s: float


def alone_commit(directory: Path) -> AloneCommit | None:
    """The commit that the peer still lacks; None without one, or when the file is damaged."""
    try:
        document = read_json(directory / FILE)
    except HagitError:
        return None
    match document:
        case {"format": "hagit.alone/1", "commit": str(commit), "since_s": int() | float() as since_s}:
            return AloneCommit(commit, float(since_s))
    return None


def record_alone(directory: Path, commit: str, why: str) -> None:
    """Remember that a commit is about to be accepted alone. Synced. Raises StateError."""
    known = alone_commit(directory)
    since_s = known.since_s if known is not None else wall_s()
    document = {"format": FORMAT, "commit": commit, "since_s": since_s, "why": why}
    write_json(directory / FILE, document, mode=PUBLIC)


def forget_alone(directory: Path) -> None:
    """The peer has caught up."""
    if alone_commit(directory) is not None:
        write_json(directory / FILE, {"format": FORMAT}, mode=PUBLIC)
