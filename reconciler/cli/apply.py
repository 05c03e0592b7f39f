"""What plan, apply, diff, drift, rollback and accept-history do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from reconciler.agent.session import Session
from reconciler.agent.source.content import Content
from reconciler.agent.source.selection import Selection
from reconciler.cli.saved_plan import save_plan, saved_plan
from reconciler.cli.terminal import Progress, confirmed, own, wants_color, width
from reconciler.core.facts.network import Network
from reconciler.core.planning.plan import Action, OrdersChange, Plan
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError, SourceError, StalePlanError, UsageError

UNCOMMITTED = "uncommitted"


def run_plan(
    node_file: Path | None,
    as_json: bool,
    *,
    revision: str | None,
    directory: Path | None,
    out: Path | None,
    detailed: bool,
) -> int:
    """`hagit plan`."""
    with Session(node_file) as session:
        chosen, content = _choose(session, revision, directory)
        plan = _plan(session, chosen, content)
    if out is not None:
        save_plan(plan, out)
    _show(plan, as_json)
    if out is not None and not as_json:
        print(f"\nSaved. Apply exactly this with: hagit apply {out}")
    return 2 if detailed and (plan.actions or plan.orders) else 0


def run_apply(
    node_file: Path | None,
    as_json: bool,
    *,
    file: Path | None,
    revision: str | None,
    directory: Path | None,
    yes: bool,
) -> int:
    """`hagit apply`."""
    if file is not None and (revision or directory):
        raise UsageError("a saved plan already says which revision it is for", remedy="leave the option out")
    from reconciler.agent.apply import resume
    from reconciler.core.planning.planner import base_keys

    with Session(node_file) as session:
        resume(session.store, session.network)
        content: Content | None
        if file is not None:
            plan = saved_plan(file, session.node.controller)
            session.network.focus(base_keys(plan))
            chosen = _revision_of_plan(session, plan)
            content = _content_of_plan(session, plan, chosen)
        else:
            chosen, content = _choose(session, revision, directory)
            plan = _plan(session, chosen, content)
        if not as_json:
            _show(plan, as_json=False)
        if (plan.actions or plan.orders) and not yes and not confirmed(f"\nApply {_everything(plan)}?"):
            _refused("Nothing was applied")
            return 1
        return _apply(session, plan, chosen, content, "applied", as_json)


def run_diff(node_file: Path | None, as_json: bool, *, revision: str | None, directory: Path | None) -> int:
    """`hagit diff`."""
    with Session(node_file) as session:
        chosen, content = _choose(session, revision, directory)
        return _differences(session, chosen, content, as_json)


def run_drift(node_file: Path | None, as_json: bool) -> int:
    """`hagit drift`."""
    with Session(node_file) as session:
        applied = session.store.applied()
        if applied is None:
            raise SourceError("no revision was ever applied here", remedy="run `hagit apply`")
        if not applied.holds_now():
            print("note: nothing was applied since this controller booted", file=sys.stderr)
        return _differences(session, applied.revision, session.content_for(applied.revision), as_json)


def run_rollback(node_file: Path | None, *, to: str | None, yes: bool) -> int:
    """`hagit rollback`."""
    from reconciler.agent.apply import resume

    with Session(node_file) as session:
        resume(session.store, session.network)
        applied = session.store.applied()
        if applied is None:
            raise SourceError("no revision was ever applied here", remedy="there is nothing to go back to")
        target = session.find_revision(to) if to else _previous(session, applied.revision)
        content = _as_it_was(session, target)
        plan = _plan(session, target, content)
        _show(plan, as_json=False)
        head = session.store.accepted().head
        what = f"{head[:7]} is blocked until another commit comes"
        if target.commit == head:
            what = "it is the newest commit as well, so nothing is blocked"
        print(f"\nRolling back to {target.name} ({target.summary}); {what}.")
        if not yes and not confirmed("Go on?"):
            _refused("Nothing was rolled back")
            return 1
        return _apply(
            session, plan, target, content, "rolled back", as_json=False, begin=lambda: _block(session, head, target)
        )


def run_accept_history(node_file: Path | None, commit: str, *, yes: bool) -> int:
    """`hagit accept-history`."""
    from reconciler.agent.source.selector import accept_history

    with Session(node_file) as session:
        if not yes and not confirmed(f"Take {commit} as the tip, whatever came before it and whoever signed it?"):
            print(
                "Nothing was accepted." if sys.stdin.isatty() else "Nothing was accepted: add --yes.", file=sys.stderr
            )
            return 1
        revision = accept_history(session.node, session.store, session.mirror, commit)
        session.poke()
        print(f"Accepted {revision.name} ({revision.summary}, by {revision.author}).")
        return 0


def _choose(session: Session, commit: str | None, directory: Path | None) -> tuple[Revision, Content]:
    """The revision to work with and its content. Raises what refused the newest one."""
    if directory is not None:
        if commit is not None:
            raise UsageError("--revision and --directory exclude each other", remedy="leave one out")
        from reconciler.agent.source.content import compile_content
        from reconciler.system.git.tree import read_directory

        return Revision(UNCOMMITTED, UNCOMMITTED), compile_content(read_directory(directory), session.node.controller)
    selection = session.select()
    _warn_of_weak_trust(session)
    for remote, why in selection.remotes:
        print(f"note: {remote}: {why}", file=sys.stderr)
    for note in selection.notes:
        print(f"note: {note}", file=sys.stderr)
    if commit is not None:
        revision = session.find_revision(commit)
        return revision, session.content_for(revision)
    if selection.refusal is not None:
        if selection.revision is None or not _is_offline(selection):
            raise selection.refusal
        print(f"note: {selection.refusal}\nnote: going on with {selection.revision.name}", file=sys.stderr)
    if selection.revision is None or selection.content is None:
        raise SourceError("there is no revision to work with", remedy="commit a configuration")
    for warning in selection.content.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return selection.revision, selection.content


def _warn_of_weak_trust(session: Session) -> None:
    from reconciler.agent.source.unsigned_commits import unsigned_accepted

    weak = unsigned_accepted(session.node, session.store.accepted())
    if weak is not None:
        print(f"warning: {weak}", file=sys.stderr)


def _is_offline(selection: Selection) -> bool:
    """True when no remote gave anything to judge; False when what one gave was refused, or its host key was."""
    from reconciler.errors import RemoteUnreachable

    refusal = selection.refusal
    return selection.head is None and (isinstance(refusal, RemoteUnreachable) or type(refusal) is SourceError)


def _plan(session: Session, revision: Revision, content: Content) -> Plan:
    from reconciler.agent.apply import propose

    blame = session.blamer(revision.commit) if revision.commit != UNCOMMITTED else None
    session.network.focus(content.keys())
    orders = _orders_changes(session, content)
    plan = propose(content, revision.full_name, session.network.observe(), blame, orders)
    if not orders:
        return plan
    from reconciler.cli.new_disks import new_disk_warnings

    return replace(plan, warnings=(*plan.warnings, *new_disk_warnings(session.node, content.orders)))


def _orders_changes(session: Session, content: Content) -> tuple[OrdersChange, ...]:
    """What the watchdog will be told otherwise. What stands in its way holds up nothing else."""
    if session.orders is None:
        return ()
    try:
        return session.orders.changes(content)
    except HagitError as error:
        print(f"note: the orders for the watchdog cannot be published: {error}", file=sys.stderr)
        return ()


def _differences(session: Session, revision: Revision, content: Content, as_json: bool) -> int:
    """Print what differs; 1 when anything does."""
    from reconciler.core.facts.state import DriftMode
    from reconciler.core.planning.drift import see

    ignored = DriftMode.IGNORE
    policy = content.desired.drift
    session.network.focus(content.keys())
    found = [
        item
        for item in see(content.desired, session.network.observe()).differences
        if policy.mode(item.resource) is not ignored
    ]
    if as_json:
        from reconciler.cli.status import difference_document

        documents = [difference_document(item) for item in found]
        print(json.dumps({"format": "hagit.differences/1", "revision": revision.full_name, "differences": documents}))
    elif not found:
        print(f"No differences. Live state matches {revision.name}.")
    else:
        from reconciler.cli.status import difference_line

        print(f"{len(found)} difference{'s' if len(found) > 1 else ''} between {revision.name} and live:")
        for item in found:
            print(difference_line(item))
    return 1 if found else 0


def _show(plan: Plan, as_json: bool) -> None:
    if as_json:
        from reconciler.core.planning.plan_document import plan_document

        print(json.dumps(plan_document(plan), indent=1))
    else:
        from reconciler.core.planning.render import render_plan

        print(own(render_plan(plan, color=wants_color(), width=width())))


def _revision_of_plan(session: Session, plan: Plan) -> Revision:
    """The revision of a saved plan, which must still be the one to be in force."""
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
    """The content of a saved plan, whose orders must still change as it says; None where nothing keeps it."""
    if revision.commit == UNCOMMITTED:
        if plan.orders:
            print("note: the orders for the watchdog are published from a commit or a directory", file=sys.stderr)
        return None
    content = session.content_for(revision)
    if _orders_changes(session, content) != plan.orders:
        raise StalePlanError(
            "the plan is stale: the orders for the watchdog have changed", remedy="make a new plan with `hagit plan`"
        )
    return content


def _apply(
    session: Session,
    plan: Plan,
    revision: Revision,
    content: Content | None,
    what: str,
    as_json: bool,
    begin: Callable[[], None] | None = None,
) -> int:
    from reconciler.agent.apply import enforce
    from reconciler.cli.outcome import outcome_document, print_outcome

    network: Network = session.network
    record_as = what if revision.commit != UNCOMMITTED else ""
    with Progress() as progress:

        def show(index: int, total: int, action: Action) -> None:
            progress.show(f"[{index + 1}/{total}] {action.verb.value} {action.key}")

        outcome = enforce(
            session.store,
            network,
            plan,
            revision,
            purpose="hagit apply",
            record_as=record_as,
            begin=begin,
            progress=show,
        )
    orders = None
    if outcome.failure is None and content is not None and session.orders is not None:
        orders = session.orders.publish(content, revision.commit if revision.commit != UNCOMMITTED else "")
    if as_json:
        print(json.dumps(outcome_document(plan, revision, outcome, orders)))
    if outcome.failure is not None:
        print(f"Stopped after {outcome.performed} of {_actions(outcome.total)}.", file=sys.stderr)
        raise outcome.failure
    session.poke()
    if not as_json:
        print_outcome(plan, revision, outcome, orders)
    return 1 if outcome.held else 0


def _previous(session: Session, now: Revision) -> Revision:
    """The revision that was in force before this one."""
    from reconciler.core.status.revision import revision_from_document

    for entry in reversed(session.store.history()):
        if entry["what"] in ("applied", "rolled back") and entry["revision"]["commit"] != now.commit:
            return revision_from_document(entry["revision"])
    raise SourceError(
        f"nothing was in force before {now.name}", remedy="name the commit to go back to: hagit rollback COMMIT"
    )


def _as_it_was(session: Session, target: Revision) -> Content:
    """The content of the target, with what was changed since it was in force."""
    from reconciler.agent.apply import as_it_was

    entries = session.store.history()
    last = max((at for at, entry in enumerate(entries) if entry["revision"]["commit"] == target.commit), default=-1)
    return as_it_was(session.content_for(target), entries[last + 1 :])


def _block(session: Session, head: str, target: Revision) -> None:
    from reconciler.agent.store import Blocked
    from reconciler.system.clock import wall_s
    from reconciler.system.git.history import position

    with session.store.source_lock(wait_s=10.0):
        accepted = session.store.accepted()
        why = f"rolled back to {target.name}"
        blocked = None if target.commit == head else Blocked(head, why, wall_s(), position(session.mirror, head))
        # The Source resource of what is in force again judges what comes next.
        source = session.content_for(target).settings.source
        policy = asdict(source) if source else None
        session.store.accept(replace(accepted, blocked=blocked, pinned=target if blocked else None, policy=policy))


def _refused(what: str) -> None:
    print(f"{what}." if sys.stdin.isatty() else f"{what}: nobody can be asked here; add --yes.", file=sys.stderr)


def _everything(plan: Plan) -> str:
    """What a person is asked about."""
    orders = "new orders for the watchdog" if plan.orders else ""
    return " and ".join(part for part in (_actions(len(plan.actions)) if plan.actions else "", orders) if part)


def _actions(count: int) -> str:
    return f"{count} action{'' if count == 1 else 's'}"
