"""LivePools: the pools and datasets of the controller this process runs on, as facts.

Decides how facts become settings of `perform`, and what `zpool get` and `zfs get` print becomes facts. A program that
did not answer in time may still be stuck in the kernel; while one is, nothing more is asked and everything is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import Unknown
from reconciler.core.facts.storage import STAMP, Dataset, DatasetKind, Pool, PoolProperty, Property, StorageFact
from reconciler.core.facts.storage_adapter import StorageLook
from reconciler.errors import ObservationError, PerformError
from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs import perform as performing
from reconciler.system.zfs.devices import BY_ID
from reconciler.system.zfs.layouts import layout_in, layout_of
from reconciler.system.zfs.pool_lock import PoolLock
from reconciler.system.zfs.tables import settings_of
from reconciler.system.zfs.values import PropertySource, Setting

#: A look, whatever it is at; a healthy pool answers in a tenth of a second.
LOOK_S: Final = 10.0
_GONE: Final = ("no such pool", "does not exist")
_STUCK: Final = "zpool or zfs was asked before and has not answered yet"


class LivePools:
    """Implements `core.facts.pools.Pools`. `directory` has the disks by the names that the configuration has."""

    def __init__(
        self, directory: Path = BY_ID, *, properties: tuple[str, ...] = (), moving: PoolLock | None = None
    ) -> None:
        self._directory = directory
        self._properties = properties
        self._moving = moving or PoolLock()

    def observe(self, keys: Collection[Key] | None) -> StorageLook:
        """One look; never raises."""
        asked = None if keys is None else {key[1] for key in keys}
        settings = _ask(arguments.pool_properties())
        if isinstance(settings, str):
            scopes = [("pool",)] if asked is None else [("pool", pool) for pool in sorted(asked)]
            return StorageLook(unknown=tuple(part for scope in scopes for part in _unknown(scope, settings)))
        facts: list[Fact] = []
        unknown: list[Unknown] = []
        for pool, values in settings.items():
            if asked is not None and pool not in asked:
                continue
            names = None if keys is None else [key[2] for key in keys if key[:2] == ("pool-property", pool)]
            facts.append(Pool(pool, layout=layout_of(pool, self._directory) if keys is None else ()))
            facts += _pool_properties(pool, values, names)
            wanted = _names_of(keys, pool) if keys is not None else self._properties
            found = _ask(arguments.dataset_properties(pool, _with_stamp(wanted)))
            if isinstance(found, str):
                unknown += (Unknown((word, pool), found) for word in ("dataset", "property"))
            else:
                facts += _dataset_facts(found, None if keys is None else frozenset(keys))
        by_key: dict[Key, Fact] = {fact.key: fact for fact in facts}
        return StorageLook(MappingProxyType(by_key), tuple(unknown))

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """A narrow look. Raises ObservationError."""
        found: dict[Key, Fact | None] = dict.fromkeys(keys)
        for pool in sorted({key[1] for key in keys if key[0] in ("pool", "pool-property")}):
            settings = _ask(arguments.pool_properties(pool))
            if isinstance(settings, str):
                raise ObservationError(settings, where=pool)
            for name, values in settings.items():
                facts: tuple[Fact, ...] = (Pool(name), *_pool_properties(name, values, None))
                found.update((fact.key, fact) for fact in facts if fact.key in found)
        for dataset in sorted({key[2] for key in keys if key[0] in ("dataset", "property")}):
            settings = _ask(arguments.dataset_properties(dataset, below=False))
            if isinstance(settings, str):
                raise ObservationError(settings, where=dataset)
            wanted = frozenset(key for key in keys if key[2:3] == (dataset,))
            found.update((fact.key, fact) for fact in _dataset_facts(settings, wanted) if fact.key in found)
        return found

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """One change. Raises PerformError."""
        fact = after if after is not None else before
        assert isinstance(fact, StorageFact)
        match self._perform(after) if after is not None else performing.destroy_dataset(fact.key[-1]):
            case performing.Denied(why):
                remedy = "look with zpool status and zfs list, then make a new plan"
                raise PerformError(why, where=" ".join(fact.key), remedy=remedy)
            case performing.Unanswered(deadline_s):
                why = f"no answer within {deadline_s:.3g} s; it may still be done"
                raise PerformError(why, where=" ".join(fact.key), remedy="look at the pool, then make a new plan")

    def _perform(self, fact: Fact) -> performing.Result:
        if isinstance(fact, Pool):
            layout = layout_in(fact.layout)
            settings, root = dict(fact.options), _settings(fact.root)
            # It is mounted as it is made: a look in the meantime finds it at once.
            was_here = self._moving.ready(fact.name)
            self._moving.set_ready(fact.name, ready=True)
            made = performing.create_pool(
                fact.name, layout, settings=settings, root_settings=root, directory=self._directory
            )
            if isinstance(made, performing.Denied) and not was_here:
                self._moving.set_ready(fact.name, ready=False)
            return made
        if isinstance(fact, PoolProperty):
            return performing.set_pool_property(fact.pool, fact.name, fact.value)
        if isinstance(fact, Property):
            if fact.local:
                return performing.set_property(fact.dataset, _settings([(fact.name, fact.value)]))
            return performing.inherit(fact.dataset, fact.name)
        assert isinstance(fact, Dataset)
        own = _settings(fact.options)
        size = own.pop("volsize", None)
        return performing.create_dataset(
            fact.name, fact.kind, settings=own, size_bytes=None if size is None else int(size)
        )


def _settings(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values as zfs(8) takes them: where `get -p` prints 0 for none, `set` wants the word."""
    none = ("quota", "refquota", "reservation", "refreservation")
    return {name: "none" if name in none and value == "0" else value for name, value in options}


def _with_stamp(names: Iterable[str]) -> tuple[str, ...]:
    """What is asked of every dataset."""
    return ("type", STAMP, *(name for name in names if name != STAMP))


def _names_of(keys: Collection[Key], pool: str) -> list[str]:
    """The properties that any dataset of a pool is asked for."""
    return sorted({key[3] for key in keys if key[:2] == ("property", pool)})


def _ask(argv: tuple[str, ...]) -> dict[str, dict[str, Setting]] | str:
    """Settings by name, without what is not there; or why nothing is known."""
    if tools.abandoned():
        return _STUCK
    match tools.run(argv, deadline_s=LOOK_S):
        case tools.Ended(0, stdout, _):
            return settings_of(stdout)
        case tools.Ended(code, stdout, stderr):
            lines = [line for line in stderr.splitlines() if line.strip()]
            if lines and all(any(word in line for word in _GONE) for line in lines):
                return settings_of(stdout)
            return stderr.strip() or f"{argv[0]} ended with {code}"
        case tools.Overdue(deadline_s):
            return f"{argv[0]} gave no answer within {deadline_s:.3g} s"
        case tools.Absent(program, why):
            return f"{program}: {why}"


def _unknown(scope: Key, why: str) -> Iterator[Unknown]:
    for word in ("pool", "pool-property", "dataset", "property"):
        yield Unknown((word, *scope[1:]), why)


def _pool_properties(pool: str, values: Mapping[str, Setting], names: Collection[str] | None) -> Iterator[PoolProperty]:
    for name in values if names is None else names:
        if name in values and "@" not in name:
            value = values[name].value
            yield PoolProperty(pool, name, "" if value == "-" else value)


def _dataset_facts(found: Mapping[str, Mapping[str, Setting]], keys: frozenset[Key] | None) -> Iterator[Fact]:
    """Datasets with their stamps, and of the other properties those in `keys`; None: all."""
    for name, values in found.items():
        kind = values.get("type")
        if kind is None or kind.value not in tuple(DatasetKind):
            continue
        yield Dataset(name, DatasetKind(kind.value))
        stamp = values.get(STAMP)
        is_own = stamp is not None and stamp.origin is PropertySource.LOCAL
        yield Property(name, STAMP, stamp.value if stamp is not None and is_own else "", is_own)
        for word, value in values.items():
            fact = Property(name, word, value.value, value.origin is PropertySource.LOCAL)
            if word not in (STAMP, "type") and value.value != "-" and (keys is None or fact.key in keys):
                yield fact
