"""What codec and planning have to know of one kind of fact: how it is written, read, put into words, and changed.

A module of facts describes each of its kinds once, and `fact_kinds` lists the modules. Saved plans, journals, digests,
order and impact of actions, plans on the screen, drift and alerts follow from that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from reconciler.core.facts.change import ActionStage, ActionVerb, Impact

#: The fields of a fact as JSON values, by name.
Document: TypeAlias = dict[str, Any]
F = TypeVar("F")


def _unnoticed(_verb: ActionVerb, _fact: object) -> Impact:
    return Impact.NONE


@dataclass(frozen=True, slots=True, eq=False)
class FactKind(Generic[F]):
    """One kind of fact.

    `word`: the first word of the key, and the value of `fact` in documents. `type`: the frozen dataclass.
    `value`: what the fact answers, such as `9000` or `10.0.0.0/8 via 10.0.0.1`.
    `name`: the fact in a sentence, such as `mtu of eth1`. `label`: one word for it in plans; empty: `word`.
    `about`: the beginning of `value` that a change need not repeat; None: there is none.
    `read`: the fields of a document as arguments of `type`; None: as they are. It raises ValueError, KeyError or
    TypeError for a document that does not fit.
    `stage`: the place of its changes in a plan. `impact`: what clients notice of one change; by default nothing.
    `pruned`: hagit removes a fact of this kind that it made and that nothing asks for any more.
    """

    word: str
    type: type[F]
    value: Callable[[F], str]
    name: Callable[[F], str]
    label: str = ""
    about: Callable[[F], str] | None = None
    read: Callable[[Document], Document] | None = None
    stage: ActionStage = ActionStage.SETTING
    impact: Callable[[ActionVerb, F], Impact] = _unnoticed
    pruned: bool = False
