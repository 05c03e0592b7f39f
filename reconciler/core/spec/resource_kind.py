"""What the language has to know of one kind of resource. The rest of `core/spec` asks for this and names no kind.

A module describes its kind once: the models, the facts that a resource asks for, the scope that a change of it needs,
and its own defects. It ends with a `ResourceKind`, and `kinds` lists it. Loader, schema, `explain`, configuration,
lint, scopes and compiler follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from reconciler.core.facts.fact import Fact, Key
from reconciler.core.facts.scope import Scope
from reconciler.core.spec.configuration import Resource
from reconciler.core.spec.model import Document, Model
from reconciler.core.spec.tree import Path

if TYPE_CHECKING:
    from reconciler.core.spec.configuration import Configuration
    from reconciler.core.spec.defect import LintDefect
    from reconciler.core.spec.topology import ControllerTopology

S = TypeVar("S", bound=Model, covariant=True)

#: A fact, the resource that asks for it, and the path inside its spec; the empty path means the name of the resource.
Asked: TypeAlias = tuple[Fact, Resource[Any], Path]
#: The key of a fact to destroy, whether it is protected, and the resource that asks for it.
Destruction: TypeAlias = tuple[Key, bool, Resource[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class ResourceKind(Generic[S]):
    """One kind of resource.

    `name`: the value of `kind:` in YAML. `document`: the model of a whole document, `spec` the model of its spec.
    `facts`: the facts that all resources of this kind ask for on one controller; None if they ask for none.
    `destroys`: the facts whose destruction they ask for. `single`: a repository holds at most one.
    `scope`: the scope that a change needs; `field_scopes`: fields of the spec that need another one.
    `unwritten`: what such a field means when it is not written, so that writing the default changes nothing.
    `defects`: the lint rules of this kind that stand in its own module.
    """

    name: str
    document: type[Document]
    spec: type[S]
    scope: Scope
    single: bool = False
    facts: Callable[[Configuration, ControllerTopology], Iterator[Asked]] | None = None
    destroys: Callable[[Configuration], Iterator[Destruction]] | None = None
    field_scopes: Mapping[str, Scope] = field(default_factory=lambda: MappingProxyType({}))
    unwritten: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    defects: tuple[LintDefect, ...] = ()
