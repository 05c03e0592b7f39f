"""Forked children that a disk holds in the kernel, where no signal ends them, so that their parent leaves them.

Decides nothing. A child must not hold what its parent is to let go of, such as a lock, for as long as a disk likes.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

#: Above every descriptor; closing a whole range is one call (close_range(2)).
DESCRIPTOR_MAX: Final = (1 << 31) - 1


class OrphanedProcesses:
    """Children of one kind that may still be there."""

    def __init__(self) -> None:
        self._children: set[int] = set()

    def add(self, child: int) -> None:
        """Leave this one behind: its parent stops waiting for it."""
        self._children.add(child)

    def reap(self) -> int:
        """Forget those that have ended; how many have not."""
        for child in list(self._children):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(child, os.WNOHANG) == (0, 0):
                    continue
            self._children.discard(child)
        return len(self._children)


def close_all_but(*kept: int) -> None:
    """In a child: of its parent's descriptors only these and the three standard ones stay open."""
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, DESCRIPTOR_MAX)
