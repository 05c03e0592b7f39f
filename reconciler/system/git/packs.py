"""Keeping the mirror fast over the years: every fetch leaves a pack, and many small packs make every look slow.

Decides when they are merged into one. Nothing is ever dropped, so a revision in use keeps its objects whatever the
branch does. The caller holds the mirror's lock; readers, also in other processes, find the merged pack by themselves.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pygit2

PACKS_MAX = 50


def merge_packs(repository: pygit2.Repository, mirror: Path) -> None:
    """Merge all packs into one when there are more than 50. A full disk only means that they stay as they are."""
    folder = mirror / "objects" / "pack"
    old = list(folder.glob("pack-*.pack"))
    if len(old) <= PACKS_MAX:
        return
    # Not enough room, or an object that cannot be read: the next fetch or the next look will say so.
    with contextlib.suppress(pygit2.GitError, KeyError, OSError):
        repository.pack()
        fresh = set(folder.glob("pack-*.pack")) - set(old)
        for pack in old if fresh else []:
            # The index goes last: an index without its pack is ignored, a pack without its index is litter.
            pack.unlink()
            pack.with_suffix(".idx").unlink(missing_ok=True)
