"""How an apply ended, as `hagit apply` and `hagit rollback` show it: what was done, and what is held and why."""

from __future__ import annotations

import sys
from typing import Any

from reconciler.agent.executor import Outcome
from reconciler.cli.terminal import paint
from reconciler.core.failover.orders import Orders
from reconciler.core.planning.plan import Plan
from reconciler.core.status.revision import Revision


def outcome_document(plan: Plan, revision: Revision, outcome: Outcome, orders: Orders | None) -> dict[str, Any]:
    """The JSON form. `failure` is the one problem to read first; `held` says why each part was not done."""
    problem = outcome.problem
    return {
        "format": "hagit.outcome/1",
        "revision": revision.full_name,
        "performed": outcome.performed,
        "total": outcome.total,
        "complete": outcome.complete,
        "orders": orders.generation if orders is not None else None,
        "failure": {"what": problem.what, "where": problem.where, "remedy": problem.remedy} if problem else None,
        "held": [
            {"key": list(hold.key), "gate": hold.gate.value, "why": hold.why, "remedy": hold.remedy}
            for hold in (*plan.holds, *outcome.held)
        ],
    }


def print_outcome(plan: Plan, revision: Revision, outcome: Outcome, orders: Orders | None) -> None:
    """What was done, in a line, then every part that was refused or waits for one that was."""
    told = f"orders {orders.generation} published" if orders is not None and plan.orders else ""
    count = outcome.performed
    done = f"{count} action{'' if count == 1 else 's'} done" if outcome.total else "" if told else "Nothing to do"
    held = len(plan.holds) + len(outcome.held)
    held_too = f"; {held} held" if held else ""
    print(f"\n{paint('Applied', 32, 1)} {revision.name}: {done}{'; ' if done and told else ''}{told}{held_too}.")
    for hold in outcome.held:
        print(f"held ({hold.gate}): {hold.why}\n  {hold.remedy}", file=sys.stderr)
