"""The shape of an adapter for the pools and datasets of one controller; the real one and the fake both have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.state import NO_FACTS, Facts, Unknown


@dataclass(frozen=True, slots=True)
class StorageLook:
    """One look. A pool that does not answer is unknown with everything in it, and no other is."""

    facts: Facts = field(default_factory=lambda: NO_FACTS)
    unknown: tuple[Unknown, ...] = ()


class StorageAdapter(Protocol):
    """Reads and changes pools and datasets. It does not know whether this controller is the one to do so."""

    def observe(self, keys: Collection[Key] | None) -> StorageLook:
        """Whether these pools are imported, all of their datasets with the stamp, and the properties that `keys` name.

        None: all pools and every property that the language has, and how the pools are laid out.
        """
        ...

    def perform(self, before: Fact | None, after: Fact | None) -> None:
        """One change of one fact: make (`before` is None), set or give up a property, destroy (`after` is None).

        What is made has its stamp from the start, when its options say so. Doing what is done already is no error, but
        for making and destroying. Nothing is destroyed that has something below it, or snapshots.
        Raises PerformError with ZFS' reason as a sentence.
        """
        ...

    def observe_keys(self, keys: Collection[Key]) -> Mapping[Key, Fact | None]:
        """A narrow look at a few keys, in time that does not grow with the number of datasets; None means absent.

        Raises ObservationError when one of them cannot be read.
        """
        ...
