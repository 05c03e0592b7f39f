"""`hagit rollback`: goes back to a revision that was in force before, and blocks the newest commit."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from reconciler.agent.apply import restored_content, resume_interrupted
from reconciler.agent.session import Session
from reconciler.agent.source.content import Content
from reconciler.agent.store import Blocked
from reconciler.cli.apply import carry_out, print_not_done
from reconciler.cli.options import NodeOption, YesOption
from reconciler.cli.plan import make_plan, print_plan
from reconciler.cli.terminal import confirmed
from reconciler.core.status.revision import Revision, revision_from_document
from reconciler.errors import SourceError
from reconciler.system.clock import wall_s
from reconciler.system.git.history import position


def rollback(
    to: Annotated[
        str | None, typer.Argument(help="The commit to go back to; without it the one before.", metavar="[COMMIT]")
    ] = None,
    node: NodeOption = None,
    yes: YesOption = False,
) -> int:
    """Go back to a revision that was in force before. The newest commit is blocked until another one comes.

    A commit that was refused (its signature, or a replaced branch) is refused here, too.

    \b
    Example:  hagit rollback
              hagit rollback 3f2c1ab
    """
    with Session(node) as session:
        resume_interrupted(session.store, session.network)
        applied = session.store.applied()
        if applied is None:
            raise SourceError("no revision was ever applied here", remedy="there is nothing to go back to")
        target = session.find_revision(to) if to else _previous(session, applied.revision)
        content = _restored_content(session, target)
        plan = make_plan(session, target, content)
        print_plan(plan, as_json=False)
        head = session.store.accepted().head
        what = f"{head[:7]} is blocked until another commit comes"
        if target.commit == head:
            what = "it is the newest commit as well, so nothing is blocked"
        print(f"\nRolling back to {target.name} ({target.summary}); {what}.")
        if not yes and not confirmed("Go on?"):
            print_not_done("Nothing was rolled back")
            return 1
        return carry_out(session, plan, target, content, "rolled back", begin=lambda: _block(session, head, target))


def _previous(session: Session, now: Revision) -> Revision:
    """The revision that was in force before this one."""
    for entry in reversed(session.store.history()):
        if entry["what"] in ("applied", "rolled back") and entry["revision"]["commit"] != now.commit:
            return revision_from_document(entry["revision"])
    raise SourceError(
        f"nothing was in force before {now.name}", remedy="name the commit to go back to: hagit rollback COMMIT"
    )


def _restored_content(session: Session, target: Revision) -> Content:
    """The content of the target, completed by the values that newer revisions changed in place."""
    entries = session.store.history()
    last = max((at for at, entry in enumerate(entries) if entry["revision"]["commit"] == target.commit), default=-1)
    return restored_content(session.content_for(target), entries[last + 1 :])


def _block(session: Session, head: str, target: Revision) -> None:
    """Keep the agent from applying `head` again until another commit comes."""
    with session.store.source_lock(wait_s=10.0):
        accepted = session.store.accepted()
        why = f"rolled back to {target.name}"
        blocked = None if target.commit == head else Blocked(head, why, wall_s(), position(session.mirror, head))
        # From now on the Source resource of the target judges new commits.
        source = session.content_for(target).settings.source
        policy = asdict(source) if source else None
        session.store.accept(replace(accepted, blocked=blocked, pinned=target if blocked else None, policy=policy))
