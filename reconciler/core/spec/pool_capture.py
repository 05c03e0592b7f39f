"""Imported pools and their datasets to the resources that ask for exactly what is there.

Decides what is worth writing: the disks, and every property that is set and that the language has. What was chosen when
something was made is not written, because it cannot be changed later. Does not know how the facts were observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from reconciler.core.facts.state import Observed
from reconciler.core.facts.storage import (
    FIXED,
    STAMP,
    Dataset,
    DatasetKind,
    Pool,
    PoolProperty,
    Property,
    pool_of,
    rounded,
)
from reconciler.core.shares.shares import STATE_NAME
from reconciler.core.spec.dataset import SIZES, DatasetProperties
from reconciler.core.spec.pool import PoolProperties
from reconciler.core.spec.values import RESOURCE_NAME

#: What a pool has of which nothing is said (zpoolprops(7)).
_DEFAULTS: Final = {"autotrim": "off", "autoexpand": "off", "autoreplace": "off", "delegation": "on", "comment": ""}
#: What a dataset is made with where nothing else is chosen (zfsprops(7)).
_CHOSEN: Final = {
    "encryption": "off", "keyformat": "none", "casesensitivity": "sensitive", "normalization": "none",
    "utf8only": "off",
}  # fmt: skip
_SIZED: Final = ("recordsize", "volblocksize")
_WHOLE: Final = ("copies", "ashift")


def languages_properties() -> tuple[str, ...]:
    """The properties of datasets that the language has a word for, by their names in ZFS."""
    return (*DatasetProperties.model_fields, *SIZES.values(), "mountpoint")


def captured_pools(observed: Observed) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kind, name and spec of each resource, pools first; the name is what a person would choose."""
    facts = [observed.facts[key] for key in sorted(observed.facts)]
    for fact in facts:
        if isinstance(fact, Pool):
            yield "Pool", fact.name, _pool(fact, observed)
    for fact in facts:
        # Shares ask for the state dataset: no resource does.
        if isinstance(fact, Dataset) and fact.name != f"{pool_of(fact.name)}/{STATE_NAME}":
            spec = _dataset(fact, observed)
            stamp = observed.facts.get(("property", fact.key[1], fact.name, STAMP))
            name = stamp.value if isinstance(stamp, Property) and stamp.local else ""
            wish = name if re.fullmatch(RESOURCE_NAME, name) else re.sub(r"[^A-Za-z0-9_.-]", "-", fact.name)[:60]
            if "/" in fact.name or len(spec) > 1:
                yield "Dataset", wish, spec


def lost_of_pools(observed: Observed) -> Iterator[str]:
    """What was chosen when a dataset was made and is not written: a dataset made from the YAML would be without it."""
    for key in sorted(observed.facts):
        fact = observed.facts[key]
        if not isinstance(fact, Property) or fact.value == _CHOSEN.get(fact.name, fact.value):
            continue
        above = observed.facts.get(("property", key[1], fact.dataset.rpartition("/")[0], fact.name))
        if not isinstance(above, Property) or above.value != fact.value:
            yield f"{fact.dataset}: {fact.name}={fact.value}, which was chosen when it was made and cannot be changed"


def _pool(pool: Pool, observed: Observed) -> dict[str, Any]:
    groups: dict[str, list[Any]] = {}
    for role, kind, *disks in pool.layout:
        if role in ("cache", "spare"):
            groups.setdefault("spares" if role == "spare" else role, []).extend(disks)
        else:
            key = {"": "vdevs", "dedup": "special"}.get(role, role)
            groups.setdefault(key, []).append({"type": kind, "disks": list(disks)})
    spec: dict[str, Any] = {key: groups[key] for key in ("vdevs", "log", "special", "cache", "spares") if key in groups}
    properties: dict[str, Any] = {}
    for name in PoolProperties.model_fields:
        fact = observed.facts.get(("pool-property", pool.name, name))
        if isinstance(fact, PoolProperty) and name not in FIXED and fact.value != _DEFAULTS.get(name):
            properties[name] = _value(name, fact.value)
    return spec | ({"properties": properties} if properties else {})


def _dataset(dataset: Dataset, observed: Observed) -> dict[str, Any]:
    spec: dict[str, Any] = {"dataset": dataset.name}
    if dataset.kind is DatasetKind.VOLUME:
        spec["type"] = "volume"
    own = {
        fact.name: fact.value
        for name in languages_properties()
        if isinstance(fact := observed.facts.get(("property", dataset.key[1], dataset.name, name)), Property)
        and (fact.local or name == "volsize")
    }
    for key, name in SIZES.items():
        if name in own:
            spec[key] = _size(own[name])
    if "mountpoint" in own:
        spec["mountpoint"] = own["mountpoint"]
    properties = {
        name: _value(name, own[name]) for name in DatasetProperties.model_fields if name in own and name not in FIXED
    }
    return spec | ({"properties": properties} if properties else {})


def _value(name: str, value: str) -> str | int:
    if name in _SIZED:
        return _size(value)
    return int(value) if name in _WHOLE and value.isdecimal() else value


def _size(value: str) -> str | int:
    """`10G` for what is round, else the number of bytes."""
    if not value.isdecimal():
        return value
    words = rounded(int(value))
    return words if not words.isdecimal() else int(value) or "none"
