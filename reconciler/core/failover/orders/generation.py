"""Generation: the number of orders, which rises with every change and is the same on both controllers.

The position of a revision in its history gives the number: the count of commits up to it, times one thousand. The gap
leaves room between two commits for orders without a position of their own (a rollback, or orders changed by hand). Both
controllers count the same commits, so they agree without communication. Does not know git, nor where orders are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciler.core.failover.orders.orders import Orders

#: Generations from one commit to the next.
STEP: Final = 1_000


def generation_of(position: int, back: int = 0) -> int:
    """Return the generation of the revision that is the `position`-th of its history.

    `back`: number of commits that a rollback went back from there. A rollback further back gets a higher generation.
    """
    return position * STEP + min(max(back, 0), STEP - 1)


def published(wanted: Orders, current: Orders | None, seen: int) -> Orders | None:
    """Return the orders to publish for `wanted`, whose generation comes from its position; None if none are needed.

    `current`: the published orders; None if there are none that can be read. `seen`: highest generation ever published
    or followed here; 0 if none was. Two orders with different content never have the same generation.
    """
    seen = max(seen, current.generation if current is not None else 0)
    if current is None:
        # The agent lost its state and publishes the same revision again: use the same generation again.
        return wanted if wanted.generation >= seen else replace(wanted, generation=seen + 1)
    if replace(wanted, generation=current.generation) == current and current.generation == seen:
        return wanted if wanted.generation > seen else None
    return replace(wanted, generation=max(wanted.generation, seen + 1))
