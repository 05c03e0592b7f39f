"""`hagit apply`: shows the plan, asks, and carries it out; or carries out a saved plan.

On an enrolled pair the agents of both controllers carry it out (`pair_apply`). Elsewhere `agent/apply` does the actions
here. `rollback` carries out its plan with the functions here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.agent.session import UNCOMMITTED, Content, Session
from reconciler.cli.confirm import await_confirmation
from reconciler.cli.duration import parsed_ms
from reconciler.cli.options import DirectoryOption, NodeOption, Output, OutputOption, RevisionOption, YesOption
from reconciler.cli.plan import orders_changes, plan_alone, plan_with_peer, print_plan
from reconciler.cli.revision_choice import choose_revision
from reconciler.cli.saved_plan import saved_plan
from reconciler.cli.terminal import ProgressLine, confirmed, print_not_done, styled, survive_hangup
from reconciler.core.confirmation.pending_change import ChangeStage, PendingChange
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.planning.plan import Action, Plan
from reconciler.core.planning.planner import base_keys
from reconciler.core.status.revision import Revision
from reconciler.errors import StalePlanError, UsageError

if TYPE_CHECKING:
    from reconciler.agent.session import ApplyOutcome
    from reconciler.core.rollout.pair_document import SavedPair
    from reconciler.core.rollout.pair_plan import PairPlan


def apply(
    file: Annotated[Path | None, typer.Argument(help="A plan saved by `hagit plan --out`.", metavar="[FILE]")] = None,
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
    yes: YesOption = False,
    here: Annotated[
        bool, typer.Option("--here", help="Apply on this controller alone and at once, whatever the other one does.")
    ] = False,
    confirm_within: Annotated[
        str | None,
        typer.Option(
            "--confirm-within",
            help="Here alone, and back again unless `hagit confirm` comes within this time: 2m.",
            metavar="TIME",
        ),
    ] = None,
) -> int:
    """Show the plan, ask, and do it: one action at a time, looking after each, stopping at a surprise.

    On an enrolled pair both agents do their part in the order of the plan, and this command shows how they get on.
    A change that could cut a controller off is taken back by itself unless everything that answered before answers
    after it, or `hagit confirm` keeps it.

    A saved plan is refused when what it was made from has moved. Cut off at any point, run it again: it ends at the
    same state.

    \b
    Example:  hagit apply
              hagit apply --yes change.plan
    """
    as_json = output is Output.JSON
    within_s = parsed_ms(confirm_within, "--confirm-within") / 1_000 if confirm_within else None
    here = here or within_s is not None
    if file is not None and (revision or directory):
        raise UsageError("a saved plan already says which revision it is for", remedy="leave the option out")
    with Session(node) as session:
        session.resume_interrupted()
        content: Content | None
        if file is not None:
            plan, saved = saved_plan(file, session.node.controller)
            session.host.select_storage(base_keys(plan))
            chosen = _revision_of_plan(session, plan)
            content = _content_of_plan(session, plan, chosen)
            pair = None if saved is None or here else _unmoved_pair(session, plan, saved)
        else:
            chosen, content = choose_revision(session, revision, directory)
            make = plan_alone if here else plan_with_peer
            plan, pair = make(session, chosen, content)
        if pair is not None:
            from reconciler.cli.pair_apply import apply_pair, concerns_both

            if concerns_both(session, chosen, pair):
                return apply_pair(session, chosen, pair, yes=yes, as_json=as_json)
        if not as_json:
            print_plan(plan, as_json=False)
        if (plan.actions or plan.orders) and not yes and not confirmed(f"\nApply {_everything(plan)}?"):
            print_not_done("Nothing was applied")
            return 1
        return carry_out(session, plan, chosen, content, "applied", as_json=as_json, within_s=within_s)


def carry_out(
    session: Session,
    plan: Plan,
    revision: Revision,
    content: Content | None,
    what: str,
    *,
    as_json: bool = False,
    begin: Callable[[], None] | None = None,
    within_s: float | None = None,
) -> int:
    """Do what a plan says, publish the orders, and print the outcome. Returns the exit status.

    `what`: the word for it in the history. `begin` is called once everything is ready, before the first action.
    `within_s`: the operator has to confirm the change within this time.
    """
    survive_hangup()
    with ProgressLine() as progress:

        def show(index: int, total: int, action: Action) -> None:
            progress.show(f"[{index + 1}/{total}] {action.verb.value} {action.key}")

        outcome = session.apply(
            plan, revision, what=what, content=content, begin=begin, progress=show, within_s=within_s
        )
    orders = None
    if outcome.failure is None and content is not None and session.orders is not None:
        orders = session.orders.publish(content, revision.commit if revision.commit != UNCOMMITTED else "")
    session.notify_agent()
    if not as_json and outcome.failure is None:
        _print_outcome(plan, revision, outcome, orders)
    change = await_confirmation(session, as_json=as_json)
    if as_json:
        print(json.dumps(_document(plan, revision, outcome, orders, change)))
    if outcome.failure is not None:
        print(f"Stopped after {outcome.performed} of {_actions(outcome.total)}.", file=sys.stderr)
        raise outcome.failure
    return 1 if outcome.held or (change is not None and change.stage is ChangeStage.REVERTED) else 0


def _unmoved_pair(session: Session, plan: Plan, saved: SavedPair) -> PairPlan:
    from reconciler.cli.pair_apply import require_unmoved

    return require_unmoved(session, plan, saved)


def _revision_of_plan(session: Session, plan: Plan) -> Revision:
    """The revision of a saved plan. Raises StalePlanError unless it is still the one to be in force."""
    branch, _, commit = plan.base.revision.rpartition("@")
    if branch == UNCOMMITTED:
        return Revision(UNCOMMITTED, UNCOMMITTED)
    selection = session.select()
    now = selection.revision
    if now is None or now.commit != commit:
        wanted = now.name if now else "nothing"
        raise StalePlanError(
            f"the plan is stale: it is for {branch}@{commit[:7]}, but {wanted} is to be applied",
            remedy="make a new plan with `hagit plan`",
        )
    return now


def _content_of_plan(session: Session, plan: Plan, revision: Revision) -> Content | None:
    """The content of a saved plan; None for uncommitted files, which nothing keeps.

    Raises StalePlanError unless the orders still change as the plan says.
    """
    if revision.commit == UNCOMMITTED:
        if plan.orders:
            print("note: the orders for the watchdog are published from a commit or a directory", file=sys.stderr)
        return None
    content = session.content_for(revision)
    if orders_changes(session, content) != plan.orders:
        raise StalePlanError(
            "the plan is stale: the orders for the watchdog have changed", remedy="make a new plan with `hagit plan`"
        )
    return content


def _document(
    plan: Plan, revision: Revision, outcome: ApplyOutcome, orders: Orders | None, change: PendingChange | None
) -> dict[str, Any]:
    """JSON form of an outcome. `failure`: the problem to read first; `held`: each part that was not done, and why.

    `change`: what became of a change that could cut this controller off.
    """
    problem = outcome.problem
    return {
        "format": "hagit.outcome/1",
        "revision": revision.full_name,
        "performed": outcome.performed,
        "total": outcome.total,
        "complete": outcome.complete,
        "orders": orders.generation if orders is not None else None,
        "change": {"stage": change.stage.value, "why": change.why} if change is not None else None,
        "failure": {"what": problem.what, "where": problem.where, "remedy": problem.remedy} if problem else None,
        "held": [
            {"key": list(hold.key), "gate": hold.gate.value, "why": hold.why, "remedy": hold.remedy}
            for hold in (*plan.holds, *outcome.held)
        ],
    }


def _print_outcome(plan: Plan, revision: Revision, outcome: ApplyOutcome, orders: Orders | None) -> None:
    """One line about the actions that were done, then each part that was refused or waits for a refused one."""
    published = f"orders {orders.generation} published" if orders is not None and plan.orders else ""
    count = outcome.performed
    done = f"{count} action{'' if count == 1 else 's'} done" if outcome.total else "" if published else "Nothing to do"
    held = len(plan.holds) + len(outcome.held)
    held_too = f"; {held} held" if held else ""
    both = "; ".join(part for part in (done, published) if part)
    print(f"\n{styled('Applied', 32, 1)} {revision.name}: {both}{held_too}.")
    for hold in outcome.held:
        print(f"held ({hold.gate}): {hold.why}\n  {hold.remedy}", file=sys.stderr)


def _everything(plan: Plan) -> str:
    """What the question to the operator names."""
    orders = "new orders for the watchdog" if plan.orders else ""
    return " and ".join(part for part in (_actions(len(plan.actions)) if plan.actions else "", orders) if part)


def _actions(count: int) -> str:
    """`1 action`, `2 actions`."""
    return f"{count} action{'' if count == 1 else 's'}"
