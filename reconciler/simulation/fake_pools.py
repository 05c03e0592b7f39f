"""FakePools: pools and datasets in memory, which change as ZFS would change them.

Consequences come from `core.facts.storage_prediction`. This module decides what ZFS refuses and which defaults a new
dataset has, and lets a test make pools hang. The conformance suite keeps it equal to the programs, and in the lab to
ZFS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import Unknown
from reconciler.core.facts.storage import (
    FIXED,
    INHERITED,
    STAMP,
    Dataset,
    DatasetKind,
    Pool,
    PoolProperty,
    Property,
    StorageFact,
    above,
    is_inside,
    pool_of,
    ways_up,
)
from reconciler.core.facts.storage_adapter import StorageLook
from reconciler.core.facts.storage_prediction import Stored, inherited
from reconciler.errors import ObservationError, PerformError

#: Default properties of a dataset (zfsprops(7), OpenZFS 2.1), as far as the tests read them.
DEFAULTS: Final = {
    "compression": "off", "atime": "on", "recordsize": "131072", "quota": "0", "reservation": "0", "readonly": "off",
    "mountpoint": "", "canmount": "on", "sync": "standard", "copies": "1", "casesensitivity": "sensitive",
}  # fmt: skip
VOLUME_DEFAULTS: Final = {
    "compression": "off", "reservation": "0", "readonly": "off", "sync": "standard", "copies": "1",
    "volblocksize": "8192", "volmode": "default",
}  # fmt: skip
POOL_DEFAULTS: Final = {"ashift": "0", "autotrim": "off", "autoexpand": "off", "comment": ""}


class FakePools:
    """Implements `core.facts.pools.Pools`. `hung`: pools that do not answer."""

    def __init__(self, *pools: str) -> None:
        self.facts: dict[Key, Fact] = {}
        self.hung: set[str] = set()
        self._stored = Stored(self.facts)
        for pool in pools:
            self.perform(None, Pool(pool, create=True))

    def observe(self, keys: Collection[Key] | None) -> StorageLook:
        """Return one look; `keys` limits it to these, None for all."""
        pools = None if keys is None else {key[1] for key in keys}
        facts = {
            key: fact
            for key, fact in self.facts.items()
            if pools is None or key[1] in pools
            if keys is None or key in keys or key[0] in ("pool", "dataset") or key[-1] == STAMP
            if key[1] not in self.hung or key[0] in ("pool", "pool-property")
        }
        unknown = [Unknown((word, pool), "hangs") for pool in sorted(self.hung) for word in ("dataset", "property")]
        return StorageLook(MappingProxyType(facts), tuple(unknown))

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """Return a look at these keys only. Raises ObservationError for a pool that hangs."""
        if any(key[1] in self.hung for key in keys):
            raise ObservationError("hangs")
        return {key: self.facts.get(key) for key in keys}

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """Make one change. Raises PerformError if ZFS refuses."""
        fact = after if after is not None else before
        assert isinstance(fact, StorageFact)
        refused = self._refused_removal(fact) if after is None else self._refused(fact)
        if refused:
            raise PerformError(refused, where=" ".join(fact.key))
        if after is None:
            self._stored.remove(fact)
        elif isinstance(fact, Property) and not fact.local:
            self._inherit(fact)
        else:
            is_new = fact.key not in self.facts
            self._stored.set(fact)
            if is_new:
                self._complete(fact)

    def _refused(self, fact: StorageFact) -> str:
        if isinstance(fact, Pool):
            return f"cannot create '{fact.name}': pool already exists" if fact.key in self.facts else ""
        if isinstance(fact, PoolProperty):
            return "" if ("pool", fact.pool) in self.facts else f"cannot open '{fact.pool}': no such pool"
        if isinstance(fact, Dataset):
            return self._refused_dataset(fact)
        if ("dataset", pool_of(fact.dataset), fact.dataset) not in self.facts:
            return f"cannot open '{fact.dataset}': dataset does not exist"
        if fact.name in FIXED:
            return f"cannot set property for '{fact.dataset}': '{fact.name}' is readonly"
        return self._refused_size(fact)

    def _refused_dataset(self, fact: Dataset) -> str:
        upper = self.facts.get(("dataset", pool_of(fact.name), above(fact.name)))
        if fact.key in self.facts:
            return f"cannot create '{fact.name}': dataset already exists"
        if not isinstance(upper, Dataset):
            return f"cannot create '{fact.name}': parent does not exist"
        if upper.kind is DatasetKind.VOLUME:
            return f"cannot create '{fact.name}': parent is not a filesystem"
        return ""

    def _refused_size(self, fact: Property) -> str:
        other = {"quota": "reservation", "reservation": "quota"}.get(fact.name)
        there = self.facts.get((*fact.key[:3], other or ""))
        if not isinstance(there, Property) or not fact.value.isdecimal():
            return ""
        sizes = {fact.name: int(fact.value), there.name: int(there.value)}
        if sizes["quota"] and sizes["reservation"] > sizes["quota"]:
            return f"cannot set property for '{fact.dataset}': size is greater than available space"
        return ""

    def _refused_removal(self, fact: Fact) -> str:
        name = fact.key[-1]
        if fact.key not in self.facts:
            return f"cannot open '{name}': dataset does not exist"
        if any(isinstance(other, Dataset) and is_inside(other.name, name) for other in self.facts.values()):
            return f"cannot destroy '{name}': filesystem has children"
        return ""

    def _complete(self, fact: Fact) -> None:
        """Add the defaults of a new fact."""
        if isinstance(fact, Pool):
            for name, value in POOL_DEFAULTS.items():
                self.facts.setdefault(("pool-property", fact.name, name), PoolProperty(fact.name, name, value))
            self._complete(self.facts["dataset", fact.name, fact.name])
        elif isinstance(fact, Dataset):
            defaults = VOLUME_DEFAULTS if fact.kind is DatasetKind.VOLUME else DEFAULTS
            for name in defaults:
                if ("property", fact.key[1], fact.name, name) not in self.facts:
                    self._stored.set(Property(fact.name, name, self._unset(fact.name, name), local=False))

    def _inherit(self, fact: Property) -> None:
        value = "" if ":" in fact.name else self._unset(fact.dataset, fact.name)
        self._stored.set(Property(fact.dataset, fact.name, value, local=False))

    def _unset(self, dataset: str, name: str) -> str:
        """Return the value of a property that is not set on a dataset."""
        for upper in ways_up(dataset) if name in INHERITED else ():
            there = self.facts.get(("property", pool_of(dataset), upper, name))
            if isinstance(there, Property) and there.local:
                return inherited(there, dataset)
        return f"/{dataset}" if name == "mountpoint" else {**VOLUME_DEFAULTS, **DEFAULTS}[name]
