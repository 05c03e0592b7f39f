"""The plan of a pair as a document: the key `pair` of `hagit.plan/1`, `"format": "hagit.pair-plan/1"`.

The rest of that document is the plan of the controller that was asked, so that every reader of such plans can read it.
Decides the format, and which part of a saved plan belongs to which controller.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from reconciler.core.facts.fact_kind import Document
from reconciler.core.planning.plan import Plan
from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.rollout.pair_plan import PairPlan, PairStep
from reconciler.core.rollout.rollout_state import clean
from reconciler.errors import UsageError, shape_defect

FORMAT: Final = "hagit.pair-plan/1"


class SavedPair(NamedTuple):
    """A saved plan for both: the plan of each controller, and the role that each had."""

    plans: dict[str, Plan]
    roles: dict[str, str]


def pair_document(here: str, plan: PairPlan) -> Document:
    """The plan of controller `here`, with the key `pair` for the rest."""
    own, peer = plan.side(here), plan.side("b" if here == "a" else "a")
    assert own is not None
    pair: dict[str, Any] = {
        "format": FORMAT,
        "steps": [_step(number, step) for number, step in enumerate(plan.steps, 1)],
        "switchovers": plan.switchovers,
        "interruption_ms": plan.interruption_ms,
        "measured_ms": list(plan.measured_ms),
        "stops": [{"why": stop.why, "remedy": stop.remedy} for stop in dict.fromkeys(plan.stops)],
        "unknown": list(plan.unknown),
        "roles": {side.state.controller: side.state.role.value for side in plan.sides},
        "peer": None if peer is None else plan_document(peer.plan),
    }
    return {**plan_document(own.plan), "pair": pair}


def saved_pair(document: Document) -> SavedPair | None:
    """Both plans of a saved plan; None for a plan of one controller. Raises UsageError for a damaged one."""
    pair = document.get("pair")
    if pair is None:
        return None
    if not isinstance(pair, dict) or pair.get("format") != FORMAT:
        found = pair.get("format") if isinstance(pair, dict) else pair
        raise UsageError(f"the plan of the pair has the format {clean(found)!r}, {FORMAT!r} expected")
    try:
        roles = {str(name): str(role) for name, role in pair["roles"].items()}
        own = plan_from_document({name: value for name, value in document.items() if name != "pair"})
        plans = {own.base.controller: own}
        if pair["peer"] is not None:
            there = plan_from_document(pair["peer"])
            plans[there.base.controller] = there
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"the saved plan of the pair is damaged: {shape_defect(error)}") from error
    return SavedPair(plans, roles)


def _step(number: int, step: PairStep) -> Document:
    return {
        "number": number,
        "step": step.kind.value,
        "controller": step.controller,
        "role": step.role.value,
        "why": step.why,
        "interruption_ms": step.interruption_ms,
        "parts": [{"what": what, "most_ms": ms} for what, ms in step.parts],
        "actions": step.actions,
        "orders": step.orders,
        "noticed": step.noticed,
    }
