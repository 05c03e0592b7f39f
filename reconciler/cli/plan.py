"""`hagit plan`: shows what would be done, and can save it for `hagit apply FILE`: on an enrolled pair, for both.

Changes nothing. `core/planning` makes the plan; `apply` and `rollback` make and print theirs with the functions here.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.agent.session import UNCOMMITTED, Content, Session
from reconciler.cli.options import DirectoryOption, NodeOption, Output, OutputOption, RevisionOption
from reconciler.cli.revision_choice import choose_revision
from reconciler.cli.saved_plan import save_plan
from reconciler.cli.terminal import marked_escapes, wants_color, width
from reconciler.core.planning.plan import OrdersChange, Plan
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError

if TYPE_CHECKING:
    from reconciler.core.rollout.pair_plan import PairPlan


def plan(
    node: NodeOption = None,
    output: OutputOption = Output.TEXT,
    revision: RevisionOption = None,
    directory: DirectoryOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Save the plan for `hagit apply FILE`.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="0 nothing to do, 1 error, 2 changes.")
    ] = False,
) -> int:
    """Show what would be done, why, with which impact, and who asks for it. Changes nothing.

    On an enrolled pair it is one plan for both controllers: in which order, in which role, and how long clients wait.

    \b
    Example:  hagit plan
              hagit plan --out change.plan && hagit apply change.plan
    """
    as_json = output is Output.JSON
    with Session(node) as session:
        chosen, content = choose_revision(session, revision, directory)
        found, pair = plan_with_peer(session, chosen, content)
    if out is not None:
        save_plan(found, out, pair)
    print_plans(found, pair, as_json=as_json)
    if out is not None and not as_json:
        print(f"\nSaved. Apply exactly this with: hagit apply {out}")
    changes = pair.steps or pair.stops if pair is not None else ()
    return 2 if detailed_exitcode and (found.actions or found.orders or changes) else 0


def plan_alone(session: Session, revision: Revision, content: Content) -> tuple[Plan, None]:
    """The plan of this controller, whatever the peer does."""
    return make_plan(session, revision, content), None


def plan_with_peer(session: Session, revision: Revision, content: Content) -> tuple[Plan, PairPlan | None]:
    """The plan of this controller, and that of the pair; None on a pair that is not enrolled, or for uncommitted files.

    The peer makes its part at the same time.
    """
    try:
        client = session.peer
    except HagitError as error:
        print(f"note: this plan is for controller {session.node.controller} alone: {error}", file=sys.stderr)
        client = None
    else:
        if client is None and session.node.watchdog is not None and not content.desired.alone:
            here = session.node.controller
            print(f"note: this plan is for controller {here} alone; `hagit enroll` joins the pair", file=sys.stderr)
    if client is None or revision.commit == UNCOMMITTED:
        return plan_alone(session, revision, content)
    from reconciler.agent.pair_plans import PeerPlan, planned_side

    asked = PeerPlan(client, revision.commit)
    plan = make_plan(session, revision, content)
    return plan, asked.combined(planned_side(session, content, plan))


def make_plan(session: Session, revision: Revision, content: Content) -> Plan:
    """The plan that makes this controller what `content` says, with warnings about disks and secrets that it lacks."""
    orders = orders_changes(session, content)
    plan = session.propose(revision, content, orders)
    notes, lacking = session.name_notes(content)
    warnings = (*plan.warnings, *_share_warnings(session, content), *lacking)
    plan = replace(plan, notes=(*plan.notes, *notes), warnings=warnings)
    if not orders:
        return plan
    from reconciler.cli.new_disks import new_disk_warnings

    return replace(plan, warnings=(*plan.warnings, *new_disk_warnings(session.node, content.orders)))


def _share_warnings(session: Session, content: Content) -> tuple[str, ...]:
    """What keeps this controller from serving the shares, and who uses shares that go."""
    if session.orders is None:
        lacking = "the node file has no [watchdog], so this controller serves no share; see `hagit explain node`"
        return (lacking,) if content.shares is not None else ()
    try:
        return session.orders.warnings(content)
    except HagitError:
        # The changes of the orders meet the same error, and say so.
        return ()


def orders_changes(session: Session, content: Content) -> tuple[OrdersChange, ...]:
    """How the orders for the watchdog change. When they cannot be published, says so and holds up nothing else."""
    if session.orders is None:
        return ()
    try:
        return session.orders.changes(content)
    except HagitError as error:
        print(f"note: the orders for the watchdog cannot be published: {error}", file=sys.stderr)
        return ()


def print_plans(plan: Plan, pair: PairPlan | None, *, as_json: bool) -> None:
    """Print the plan of the pair, or of this controller where there is none for the pair."""
    if pair is None:
        print_plan(plan, as_json=as_json)
    elif as_json:
        from reconciler.core.rollout.pair_document import pair_document

        print(json.dumps(pair_document(plan.base.controller, pair), indent=1))
    else:
        from reconciler.core.rollout.pair_plan_text import render_pair_plan

        print(marked_escapes(render_pair_plan(pair, color=wants_color(), width=width())))


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print a plan, for people or as JSON."""
    if as_json:
        from reconciler.core.planning.plan_document import plan_document

        print(json.dumps(plan_document(plan), indent=1))
    else:
        from reconciler.core.planning.render import render_plan

        print(marked_escapes(render_plan(plan, color=wants_color(), width=width())))
