"""Trees of Debian's packages in the lab's cache: unpacked for machines, never installed on the host.

Decides which tree to use: the one of the version that apt would install now; without apt or a network, the one that was
used last. Does not know which packages are in a tree.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.lab.image import alone, cache_directory
from tests.lab.step import ImageError, Progress

#: Number of trees of each kind to keep; the oldest are removed.
TREES_MAX = 2


def tree(kind: str, newest: Callable[[Path, Progress], Path], progress: Progress) -> Path:
    """Return the tree `KIND-VERSION` to use. Raises ImageError.

    `newest` returns the current tree, and makes it in the cache if it is missing.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / "lock"):
        try:
            made = newest(cache, progress)
        except ImageError as error:
            if not (cached := _trees(cache, kind)):
                raise
            made = cached[-1]
            progress(f"lab: {error}; going on with {made.name}")
        os.utime(made)
        for old in _trees(cache, kind)[:-TREES_MAX]:
            shutil.rmtree(old)
    return made


def _trees(cache: Path, kind: str) -> list[Path]:
    """Return the trees in the cache, the one that was used last at the end."""
    return sorted(cache.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
