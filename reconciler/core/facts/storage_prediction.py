"""What ZFS makes of one change of pools and datasets: what is made comes with its properties, what is set is inherited.

Decides which facts follow; tests with real pools check it. Does not know why a change is made.

Not predicted, because facts do not tell: space, what a size is rounded to, and what a property that is given up will be
when nothing above it is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.core.facts.storage import (
    INHERITED,
    STAMP,
    Dataset,
    Options,
    Pool,
    PoolProperty,
    Property,
    StorageFact,
    is_inside,
    property_key,
    ways_up,
)

if TYPE_CHECKING:
    from reconciler.core.facts.fact import Fact, Key


class Stored:
    """Changes the facts of pools and datasets in a table that it shares with its maker, and only those."""

    __slots__ = ("_datasets", "_facts")

    def __init__(self, facts: dict[Key, Fact]) -> None:
        self._facts = facts
        #: Datasets by the name of each property that is known of them; made when first asked for.
        self._datasets: dict[str, dict[str, None]] | None = None

    def set(self, fact: StorageFact) -> None:
        """The fact becomes true, and what follows from it."""
        if isinstance(fact, Property):
            self._set_property(fact)
        elif isinstance(fact, PoolProperty):
            self._facts[fact.key] = fact
        elif isinstance(fact, Pool):
            self._facts[fact.key] = Pool(fact.name)
            for name, value in fact.options:
                self.set(PoolProperty(fact.name, name, value))
            self._make(Dataset(fact.name), fact.root)
        else:
            is_new = fact.key not in self._facts
            self._facts[fact.key] = Dataset(fact.name, fact.kind)
            if is_new:
                self._make(Dataset(fact.name, fact.kind), fact.options)

    def remove(self, fact: StorageFact) -> None:
        """A pool, or a dataset with nothing below it, is no more. Properties cannot be taken away."""
        assert isinstance(fact, Pool | Dataset), f"{fact.key} can only be changed"
        inside = [key for key in self._facts if key != fact.key and self._is_part(key, fact)]
        for key in (fact.key, *inside):
            gone = self._facts.pop(key, None)
            if isinstance(gone, Property) and self._datasets is not None:
                self._datasets[gone.name].pop(gone.dataset, None)

    def _is_part(self, key: Key, fact: Pool | Dataset) -> bool:
        if key[0] not in ("pool-property", "dataset", "property") or key[1] != fact.key[1]:
            return False
        return isinstance(fact, Pool) or (key[0] == "property" and key[2] == fact.name)

    def _make(self, dataset: Dataset, options: Options) -> None:
        self._facts[dataset.key] = dataset
        self._put(Property(dataset.name, STAMP, "", local=False))
        for name, value in options:
            self._put(Property(dataset.name, name, value))

    def _set_property(self, fact: Property) -> None:
        self._put(fact)
        if fact.name not in INHERITED:
            return
        known = self._known(fact.name)
        # From the top, so that each takes the value that the one above it has by now.
        for dataset in sorted(name for name in known if is_inside(name, fact.dataset)):
            below = self._facts[property_key(dataset, fact.name)]
            assert isinstance(below, Property)
            nearest = self._nearest(dataset, fact.name)
            if not below.local and isinstance(nearest, Property):
                self._put(replace(below, value=inherited(nearest, dataset)))

    def _nearest(self, dataset: str, name: str) -> Fact:
        """The property of the nearest dataset above of which it is known."""
        known = self._known(name)
        return self._facts[property_key(next(upper for upper in ways_up(dataset) if upper in known), name)]

    def _put(self, fact: Property) -> None:
        self._facts[fact.key] = fact
        if self._datasets is not None:
            self._datasets.setdefault(fact.name, {})[fact.dataset] = None

    def _known(self, name: str) -> dict[str, None]:
        if self._datasets is None:
            self._datasets = {}
            for fact in self._facts.values():
                if isinstance(fact, Property):
                    self._datasets.setdefault(fact.name, {})[fact.dataset] = None
        return self._datasets[name]


def inherited(source: Property, dataset: str) -> str:
    """What a dataset below has from a property that is set: a mount point goes on with the names below."""
    if source.name == "mountpoint" and source.value.startswith("/"):
        return source.value.rstrip("/") + dataset.removeprefix(source.dataset)
    return source.value
