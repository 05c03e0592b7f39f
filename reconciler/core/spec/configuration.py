"""A desired state that has been read: resources with their places in the YAML, and warnings.

It holds resources by kind and finds them; it decides nothing. `resource_kind` says what a kind is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from reconciler.core.facts.state import Origin
from reconciler.core.spec.model import Model
from reconciler.core.spec.tree import Path, Place, YamlDocument
from reconciler.errors import Complaint

if TYPE_CHECKING:
    from reconciler.core.spec.alerting import AlertingSpec
    from reconciler.core.spec.dataset import DatasetSpec
    from reconciler.core.spec.failover import FailoverSpec
    from reconciler.core.spec.interface import InterfaceSpec
    from reconciler.core.spec.iscsi import IscsiServerSpec, IscsiTargetSpec
    from reconciler.core.spec.nfs import NfsExportSpec, NfsServerSpec
    from reconciler.core.spec.pair import PairSpec
    from reconciler.core.spec.pool import PoolSpec
    from reconciler.core.spec.resource_kind import ResourceKind
    from reconciler.core.spec.route import RouteSpec
    from reconciler.core.spec.source import SourceSpec

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


#: Resources by kind, then by name; of two with one name the first.
ByKind: TypeAlias = Mapping[str, Mapping[str, Resource[Any]]]


def by_kind(resources: Iterable[Resource[Any]]) -> ByKind:
    """Resources by kind and name, in their order."""
    found: dict[str, dict[str, Resource[Any]]] = {}
    for resource in resources:
        found.setdefault(resource.kind, {}).setdefault(resource.name, resource)
    return found


@dataclass(frozen=True)
class Resources:
    """Resources by kind. The kinds that other modules use by name have a property each; `of` finds any other kind."""

    by_kind: ByKind

    def of(self, kind: ResourceKind[S]) -> Mapping[str, Resource[S]]:
        """The resources of one kind by name, in the order of their files; of two with one name the first."""
        return self.by_kind.get(kind.name, {})

    def _first(self, kind: str) -> Resource[Any] | None:
        return next(iter(self.by_kind.get(kind, {}).values()), None)

    @property
    def interfaces(self) -> Mapping[str, Resource[InterfaceSpec]]:
        """Every Interface by name."""
        return self.by_kind.get("Interface", {})

    @property
    def routes(self) -> Mapping[str, Resource[RouteSpec]]:
        """Every Route by name."""
        return self.by_kind.get("Route", {})

    @property
    def pools(self) -> Mapping[str, Resource[PoolSpec]]:
        """Every Pool by name."""
        return self.by_kind.get("Pool", {})

    @property
    def datasets(self) -> Mapping[str, Resource[DatasetSpec]]:
        """Every Dataset by the name of the resource."""
        return self.by_kind.get("Dataset", {})

    @property
    def exports(self) -> Mapping[str, Resource[NfsExportSpec]]:
        """Every NfsExport by name."""
        return self.by_kind.get("NfsExport", {})

    @property
    def targets(self) -> Mapping[str, Resource[IscsiTargetSpec]]:
        """Every IscsiTarget by name."""
        return self.by_kind.get("IscsiTarget", {})

    @property
    def nfs_server(self) -> Resource[NfsServerSpec] | None:
        """The NfsServer, if there is one."""
        return self._first("NfsServer")

    @property
    def iscsi_server(self) -> Resource[IscsiServerSpec] | None:
        """The IscsiServer, if there is one."""
        return self._first("IscsiServer")

    @property
    def source(self) -> Resource[SourceSpec] | None:
        """The Source, if there is one."""
        return self._first("Source")

    @property
    def alerting(self) -> Resource[AlertingSpec] | None:
        """The Alerting, if there is one."""
        return self._first("Alerting")

    @property
    def failover(self) -> Resource[FailoverSpec] | None:
        """The Failover, if there is one."""
        return self._first("Failover")


@dataclass(frozen=True)
class Configuration(Resources):
    """Everything one revision asks for, free of defects when it comes from `load`."""

    warnings: tuple[Complaint, ...] = ()

    @property
    def pair(self) -> Resource[PairSpec]:
        """The one Pair."""
        pair = self._first("Pair")
        assert pair is not None
        return pair

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers that the Pair describes."""
        return tuple(controller for controller in CONTROLLERS if self.pair.spec.half(controller) is not None)
