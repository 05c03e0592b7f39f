"""Plans in files: `hagit plan --out` writes them, `hagit apply FILE` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.planning.plan import Plan
from reconciler.errors import StalePlanError, StateError, UsageError

if TYPE_CHECKING:
    from reconciler.core.rollout.pair_document import SavedPair
    from reconciler.core.rollout.pair_plan import PairPlan


def save_plan(plan: Plan, path: Path, pair: PairPlan | None = None) -> None:
    """Write a plan for `hagit apply FILE`, with that of the pair where there is one."""
    from reconciler.core.planning.plan_document import plan_document
    from reconciler.core.rollout.pair_document import pair_document
    from reconciler.system.files import json_line, write_named

    document = plan_document(plan) if pair is None else pair_document(plan.base.controller, pair)
    write_named(path, json_line(document))


def saved_plan(path: Path, controller: str) -> tuple[Plan, SavedPair | None]:
    """Read a saved plan: that of this controller, and that of the pair when it is for both.

    Raises UsageError for a file that is no plan, StalePlanError for one of the other controller alone.
    """
    from reconciler.core.planning.plan_document import plan_from_document
    from reconciler.core.rollout.pair_document import saved_pair
    from reconciler.system.files import read_json

    remedy = f"make a new one: hagit plan --out {path}"
    try:
        document = read_json(path)
    except StateError as error:
        raise UsageError(f"not a saved plan: {error.what}", where=str(path), remedy=remedy) from error
    if document is None:
        raise UsageError("there is no saved plan", where=str(path), remedy=f"make one: hagit plan --out {path}")
    try:
        plan = plan_from_document(document)
        pair = saved_pair(document)
    except UsageError as error:
        raise UsageError(error.what, where=str(path), remedy=remedy) from error
    if pair is not None and controller in pair.plans:
        return pair.plans[controller], pair
    if plan.base.controller != controller:
        raise StalePlanError(
            f"the plan is for controller {plan.base.controller}, this is {controller}",
            where=str(path),
            remedy="make one here: hagit plan --out FILE",
        )
    return plan, None
