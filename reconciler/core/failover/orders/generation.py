"""Which generation orders get, so that it rises with every change and both controllers come to the same one.

Decides by the place of a revision in its history: the number of commits up to it, a thousand generations apart, so
that what has no place of its own (a rollback, orders that were changed by hand) fits between two commits. Both
controllers count the same commits, so they agree without talking. Does not know git, nor where orders are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciler.core.failover.orders.orders import Orders

#: Generations from one commit to the next.
STEP: Final = 1_000


def place(position: int, back: int = 0) -> int:
    """The generation of the revision that is the `position`-th of its history.

    `back`: this many commits were gone back from there by a rollback; the further back, the later.
    """
    return position * STEP + min(max(back, 0), STEP - 1)


def published(wanted: Orders, current: Orders | None, seen: int) -> Orders | None:
    """The orders that have to be written for `wanted`, whose generation is that of its place; None when all is well.

    `current` are those that are published now, None when there are none that can be read. `seen` is the highest
    generation that was ever published or followed here, 0 when none was: what a watchdog follows is never repeated
    with another content.
    """
    seen = max(seen, current.generation if current is not None else 0)
    if current is None:
        # The same revision again, after the state of the agent was lost: the same generation again.
        return wanted if wanted.generation >= seen else replace(wanted, generation=seen + 1)
    if replace(wanted, generation=current.generation) == current and current.generation == seen:
        return wanted if wanted.generation > seen else None
    return replace(wanted, generation=max(wanted.generation, seen + 1))
