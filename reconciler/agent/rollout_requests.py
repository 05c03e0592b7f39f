"""What the peer asks about a revision of the pair, and the answers: state, plan, release, rollback.

    rollout        the state of this controller, `hagit.rollout/1`
    plan           {"commit"}: its plan for a commit; or {"refused"}: why it cannot take it; or {"missing"}: it has
                   another
    release        {"commit"}: an operator released it on the other controller; the agent here looks at once
    rollback-plan  {"commit"}: its plan to go back to a commit, or {"refused"}
    rollback       {"commit", "head"}: an operator goes back to `commit` and blocks `head`; the agent here does its part

Each handler runs in a thread of its own and opens its own Session. Nothing is applied here: the agent's loop does that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from reconciler.agent.pair_plans import PLAN, RELEASE, ROLLBACK, ROLLBACK_PLAN, planned_side, side_reply
from reconciler.agent.rollback import rollback_content, rollback_side, start_rollback
from reconciler.agent.rollout_record import ROLLOUT, own_state, release
from reconciler.agent.session import Content, Session
from reconciler.core.rollout.rollout_state import clean, rollout_document
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError, SourceError, UsageError
from reconciler.system.peer.channel import Handler, PeerReply

SessionOpener: TypeAlias = Callable[[], Session]
COMMIT_LENGTH: Final = 40


def rollout_handlers(sessions: SessionOpener) -> dict[str, Handler]:
    """The requests by name."""
    return {
        ROLLOUT: lambda request: _state(sessions),
        PLAN: lambda request: _plan(sessions, _commit(request.body)),
        RELEASE: lambda request: _release(sessions, _commit(request.body)),
        ROLLBACK_PLAN: lambda request: _rollback_plan(sessions, _commit(request.body)),
        ROLLBACK: lambda request: _rollback(sessions, _commit(request.body), _commit(request.body, "head")),
    }


def _commit(body: Mapping[str, Any], name: str = "commit") -> str:
    commit = body.get(name)
    if not isinstance(commit, str) or len(commit) != COMMIT_LENGTH or not set(commit) <= set("0123456789abcdef"):
        raise UsageError(f"not a commit id: {clean(commit)!r}")
    return commit


def _state(sessions: SessionOpener) -> PeerReply:
    with sessions() as session:
        return PeerReply(rollout_document(own_state(session.node, session.store)))


def _plan(sessions: SessionOpener, commit: str) -> PeerReply:
    """The plan of this controller for a commit that it has, as an attachment of JSON."""
    with sessions() as session:
        revision, content, missing = _revision(session, commit)
        if revision is None or content is None:
            return PeerReply(missing)
        try:
            orders = session.orders.changes(content) if session.orders is not None else ()
        except HagitError as error:
            return PeerReply({"refused": str(error)})
        return side_reply(planned_side(session, content, session.propose(revision, content, orders)))


def _revision(session: Session, commit: str) -> tuple[Revision | None, Content | None, dict[str, str]]:
    """The revision of a commit and its content; else the answer that says why there is none."""
    wanted = session.store.accepted().wanted
    if wanted is None or wanted.commit != commit:
        selection = session.select()
        wanted = selection.revision
        if selection.refusal is not None and selection.refused_state == commit:
            return None, None, {"refused": str(selection.refusal)}
    if wanted is None or wanted.commit != commit:
        return None, None, {"missing": wanted.name if wanted is not None else "no revision"}
    try:
        return wanted, session.content_for(wanted), {}
    except HagitError as error:
        return None, None, {"refused": str(error)}


def _release(sessions: SessionOpener, commit: str) -> PeerReply:
    """Let the agent here apply a commit that it would follow in any case."""
    with sessions() as session:
        release(session.store, commit)
        session.notify_agent()
        return PeerReply({"released": commit})


def _rollback_plan(sessions: SessionOpener, commit: str) -> PeerReply:
    """The plan of this controller to go back to a commit, by its own judgement whether it may."""
    with sessions() as session:
        try:
            target = session.find_revision(commit)
            content = rollback_content(session, target)
            orders = session.orders.changes(content) if session.orders is not None else ()
        except HagitError as error:
            return PeerReply({"refused": str(error)})
        return side_reply(rollback_side(session, target, content, session.propose(target, content, orders)))


def _rollback(sessions: SessionOpener, commit: str, head: str) -> PeerReply:
    """Want a commit that may be used here, and block the newest one, if it is the same as there. Raises HagitError."""
    with sessions() as session:
        target = session.find_revision(commit)
        newest = session.newest_state()
        if newest != head:
            raise SourceError(
                f"the newest commit here is {newest[:7]}, and {head[:7]} on the other controller",
                remedy="wait until both have the same, and try again",
            )
        start_rollback(session, head, target)
        return PeerReply({"wanted": target.commit})
