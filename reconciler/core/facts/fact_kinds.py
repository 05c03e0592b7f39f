"""Every kind of fact. A new module of facts is one line here."""

from __future__ import annotations

from typing import Any, Final

from reconciler.core.facts.fact import NETWORK_KINDS, Fact
from reconciler.core.facts.fact_kind import FactKind
from reconciler.core.facts.host_setting import HOST_KINDS
from reconciler.core.facts.storage import STORAGE_KINDS

#: By the first word of the key.
FACT_KINDS: Final[dict[str, FactKind[Any]]] = {
    kind.word: kind for kind in (*NETWORK_KINDS, *HOST_KINDS, *STORAGE_KINDS)
}


def kind_of(fact: Fact) -> FactKind[Any]:
    """The kind of a fact."""
    return FACT_KINDS[fact.key[0]]
