"""Rollback to a revision that was in force before: which one, with which content, and what keeps the newest one away.

A rollback restores also what newer revisions changed in place and no stamp remembers; the history holds these values.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from reconciler.agent.apply import restored_content
from reconciler.agent.pair_plans import planned_side
from reconciler.agent.rollout_record import release
from reconciler.agent.session import Content, Session
from reconciler.agent.store import BlockedCommit, Store
from reconciler.core.planning.plan import Plan
from reconciler.core.rollout.pair_plan import PlannedSide
from reconciler.core.status.revision import Revision, revision_from_document
from reconciler.errors import SourceError
from reconciler.system.clock import wall_s
from reconciler.system.git.history import position

LOCK_WAIT_S = 10.0
#: Words of the history for a revision that came into force.
IN_FORCE = ("applied", "rolled back", "reverted")


def previous_revision(session: Session, now: Revision) -> Revision:
    """The revision that was in force before `now`. Raises SourceError when there is none."""
    entries = session.store.history()
    # What could not be reached after its change is nothing to go back to.
    undone = {entry.get("undone") for entry in entries}
    for entry in reversed(entries):
        if entry["what"] in IN_FORCE and entry["revision"]["commit"] not in undone:
            revision = revision_from_document(entry["revision"])
            if not revision.same_state(now):
                return revision
    raise SourceError(
        f"nothing was in force before {now.name}", remedy="name the commit to go back to: hagit rollback COMMIT"
    )


def rollback_content(session: Session, target: Revision) -> Content:
    """The content of the target, completed by the values that newer revisions changed in place."""
    entries = session.store.history()
    revisions = [revision_from_document(entry["revision"]) for entry in entries]
    last = max((at for at, revision in enumerate(revisions) if revision.same_state(target)), default=-1)
    return restored_content(session.content_for(target), entries[last + 1 :])


def restored_for(session: Session, revision: Revision, content: Content) -> Content:
    """The content with which the agent brings `revision` in force: completed when a rollback asks for it."""
    return rollback_content(session, revision) if is_rollback(session.store, revision) else content


def is_rollback(store: Store, revision: Revision) -> bool:
    """Whether a revision is to be in force because a person rolled back to it, and is not yet."""
    pinned, applied = store.accepted().pinned, store.applied()
    if pinned is None or not pinned.same_state(revision):
        return False
    return applied is not None and not applied.revision.same_state(revision)


def block_head(session: Session, head: str, target: Revision) -> None:
    """Keep `target` in force: do not apply `head` again until another state comes. Blocks nothing if it is `head`.

    `head`: the commit to which the state of the followed head goes back.
    """
    with session.store.source_lock(wait_s=LOCK_WAIT_S):
        accepted = session.store.accepted()
        why = f"rolled back to {target.name}"
        blocked = None if target.commit == head else BlockedCommit(head, why, wall_s(), position(session.mirror, head))
        # From now on the Source resource of the target judges new commits.
        source = session.content_for(target).settings.source
        policy = asdict(source) if source else None
        session.store.accept(replace(accepted, blocked=blocked, pinned=target if blocked else None, policy=policy))


def rollback_side(session: Session, target: Revision, content: Content, plan: Plan) -> PlannedSide:
    """The part of this controller in a rollback of the pair. A person may go back to a commit that was blocked."""
    side, blocked = planned_side(session, content, plan), session.store.accepted().blocked
    if blocked is None or blocked.commit != target.commit:
        return side
    return replace(side, state=replace(side.state, refused="", refused_why=""))


def start_rollback(session: Session, head: str, target: Revision) -> None:
    """Leave the way back to the agent here: it follows the order of the pair. Raises StateError, SourceError."""
    block_head(session, head, target)
    release(session.store, target.commit)
    session.store.log_decision("rollback", revision=target.full_name, blocked=head)
    session.notify_agent()
