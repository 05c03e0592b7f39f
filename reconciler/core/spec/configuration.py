"""A desired state that has been read: resources with their places, and what is only warned about.

Holds and finds; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

from reconciler.core.facts.state import Origin
from reconciler.core.spec.dataset import DatasetSpec
from reconciler.core.spec.failover import FailoverSpec
from reconciler.core.spec.interface import InterfaceSpec
from reconciler.core.spec.kinds import AlertingSpec, PairSpec, RouteSpec, SourceSpec
from reconciler.core.spec.model import Model
from reconciler.core.spec.pool import PoolSpec
from reconciler.core.spec.tree import Path, Place, YamlDocument
from reconciler.errors import Complaint

S = TypeVar("S", bound=Model, covariant=True)

#: The two controllers, by the names that `a:` and `b:` give them.
CONTROLLERS = ("a", "b")


@dataclass(frozen=True, slots=True)
class Resource(Generic[S]):
    """One document of the language: what it says, and where each part of it is written."""

    kind: str
    name: str
    spec: S
    document: YamlDocument = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """`Kind/name`, as origins and the drift policy call it."""
        return f"{self.kind}/{self.name}"

    def origin(self, *path: str | int) -> Origin:
        """Where the value at `path` of the spec is written; the empty path means the name of the resource."""
        return Origin(self.document.file, *self._place(path), self.id)

    def complaint(self, path: Path, what: str, remedy: str, code: str) -> Complaint:
        """A complaint about the value at `path` of the spec; the empty path means the name of the resource."""
        return Complaint(self.document.file, *self._place(path), what, remedy, code)

    def _place(self, path: Path) -> Place:
        return self.document.place(("spec", *path) if path else ("metadata", "name"))


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything one revision asks for, free of defects when it comes from `load`.

    `interfaces`, `routes`, `pools` and `datasets` are in the order of their files.
    """

    pair: Resource[PairSpec]
    interfaces: Mapping[str, Resource[InterfaceSpec]] = field(default_factory=lambda: MappingProxyType({}))
    routes: Mapping[str, Resource[RouteSpec]] = field(default_factory=lambda: MappingProxyType({}))
    source: Resource[SourceSpec] | None = None
    alerting: Resource[AlertingSpec] | None = None
    failover: Resource[FailoverSpec] | None = None
    pools: Mapping[str, Resource[PoolSpec]] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[Complaint, ...] = ()
    datasets: Mapping[str, Resource[DatasetSpec]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers that the Pair describes."""
        return tuple(controller for controller in CONTROLLERS if self.pair.spec.half(controller) is not None)
