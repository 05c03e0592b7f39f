"""A plan as a document, `"format": "hagit.plan/1"`: printed by `-o json`, saved by `--out`, lossless.

Decides the format. Within one number it only grows; a reader refuses another number. Does not know files.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from reconciler.core.facts.change import ActionStage, ActionVerb, Impact
from reconciler.core.facts.codec import (
    fact_document,
    fact_from_document,
    facts_document,
    facts_from_document,
    origin_document,
    origin_from_document,
)
from reconciler.core.facts.fact import Fact
from reconciler.core.facts.fact_kind import Document
from reconciler.core.facts.state import Origin
from reconciler.core.planning.plan import Action, Base, Blame, Foreign, Gate, HeldChange, OrdersChange, Plan
from reconciler.errors import UsageError, shape_defect

FORMAT: Final = "hagit.plan/1"


def plan_document(plan: Plan) -> Document:
    """The plan as JSON-able data. `summary` repeats what the actions say, for people and policies that read it."""
    return {
        "format": FORMAT,
        "base": {"controller": plan.base.controller, "revision": plan.base.revision, "digest": plan.base.digest},
        "summary": {
            **{verb.value: sum(action.verb is verb for action in plan.actions) for verb in ActionVerb},
            "held": len(plan.holds),
            "impact": plan.impact.name.lower(),
        },
        "actions": [_action_document(action) for action in plan.actions],
        "holds": [_hold_document(hold) for hold in plan.holds],
        "foreign": [{"fact": fact_document(item.fact), "note": item.note} for item in plan.foreign],
        "warnings": list(plan.warnings),
        "before": facts_document(plan.before),
        "after": facts_document(plan.after),
        "names": dict(sorted(plan.names.items())),
        "notes": list(plan.notes),
        "orders": [_orders_document(item) for item in plan.orders],
    }


def plan_from_document(document: Document) -> Plan:
    """The plan of a document. Raises UsageError for anything that is not a plan of this format."""
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise UsageError(f"this is not a saved plan: format {found!r}, {FORMAT!r} expected", remedy="plan again")
    try:
        return Plan(
            base=Base(**document["base"]),
            actions=tuple(_action(item) for item in document["actions"]),
            holds=tuple(_hold(item) for item in document["holds"]),
            foreign=tuple(Foreign(fact_from_document(item["fact"]), item["note"]) for item in document["foreign"]),
            warnings=tuple(document["warnings"]),
            before=facts_from_document(document["before"]),
            after=facts_from_document(document["after"]),
            names=MappingProxyType(dict(document["names"])),
            notes=tuple(document.get("notes", ())),
            orders=tuple(map(_orders_change, document.get("orders", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise UsageError(f"the saved plan is damaged: {shape_defect(error)}", remedy="plan again") from error


def _orders_document(change: OrdersChange) -> Document:
    document: Document = {"what": change.what, "before": change.before, "after": change.after}
    if change.origin is not None:
        document["origin"] = origin_document(change.origin)
    if change.blame is not None:
        document["blame"] = {name: getattr(change.blame, name) for name in Blame.__slots__}
    return document


def _orders_change(document: Document) -> OrdersChange:
    blame = document.get("blame")
    return OrdersChange(
        what=document["what"],
        before=document["before"],
        after=document["after"],
        origin=_origin(document.get("origin")),
        blame=None if blame is None else Blame(**blame),
    )


def _action_document(action: Action) -> Document:
    document: Document = {
        "stage": action.stage.name.lower(),
        "verb": action.verb.value,
        "key": list(action.key),
        "before": None if action.before is None else fact_document(action.before),
        "after": None if action.after is None else fact_document(action.after),
        "reason": action.reason,
        "impact": action.impact.name.lower(),
        "resource": action.resource,
        "origin": None if action.origin is None else origin_document(action.origin),
        "blame": None,
        "consequences": [fact_document(fact) for fact in action.consequences],
    }
    if action.blame is not None:
        document["blame"] = {name: getattr(action.blame, name) for name in Blame.__slots__}
    return document


def _action(document: Document) -> Action:
    return Action(
        stage=ActionStage[document["stage"].upper()],
        verb=ActionVerb(document["verb"]),
        before=_fact(document["before"]),
        after=_fact(document["after"]),
        reason=document["reason"],
        impact=Impact[document["impact"].upper()],
        resource=document["resource"],
        origin=_origin(document["origin"]),
        blame=None if document["blame"] is None else Blame(**document["blame"]),
        consequences=tuple(fact_from_document(item) for item in document["consequences"]),
    )


def _hold_document(hold: HeldChange) -> Document:
    return {
        "key": list(hold.key),
        "gate": hold.gate.value,
        "why": hold.why,
        "remedy": hold.remedy,
        "resource": hold.resource,
        "origin": None if hold.origin is None else origin_document(hold.origin),
    }


def _hold(document: Document) -> HeldChange:
    origin = _origin(document["origin"])
    key, gate = tuple(document["key"]), Gate(document["gate"])
    return HeldChange(key, gate, document["why"], document["remedy"], origin, document["resource"])


def _fact(document: Any) -> Fact | None:
    return None if document is None else fact_from_document(document)


def _origin(document: Any) -> Origin | None:
    return None if document is None else origin_from_document(document)
