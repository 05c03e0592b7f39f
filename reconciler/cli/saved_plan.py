"""Plans in files: `hagit plan --out` writes them, `hagit apply FILE` reads them."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.planning.plan import Plan
from reconciler.errors import StalePlanError, StateError, UsageError


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan for `hagit apply FILE`."""
    from reconciler.core.planning.plan_document import plan_document
    from reconciler.system.files import json_line, write_named

    write_named(path, json_line(plan_document(plan)))


def saved_plan(path: Path, controller: str) -> Plan:
    """Read a saved plan. Raises UsageError for a file that is no plan, StalePlanError for the other controller's."""
    from reconciler.core.planning.plan_document import plan_from_document
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
    except UsageError as error:
        raise UsageError(error.what, where=str(path), remedy=remedy) from error
    if plan.base.controller != controller:
        raise StalePlanError(
            f"the plan is for controller {plan.base.controller}, this is {controller}",
            where=str(path),
            remedy="make one here: hagit plan --out FILE",
        )
    return plan
