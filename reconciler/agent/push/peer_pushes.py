"""What this controller's agent answers when its peer takes a push: the requests that `push_peer` lists.

The peer is authenticated, and all the same nothing moves here that this controller has not judged by its own policy: a
staging reference exists for judged commits alone, and a branch moves to nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from reconciler.agent.pair_plans import planned_side, side_reply
from reconciler.agent.push.candidate import Candidate, candidate_plan, judge_candidate, judged
from reconciler.agent.push.push_peer import FETCH, MOVE, OFFER, PLAN, STATE, commit_in
from reconciler.agent.push.synchronisation import PairRepositories
from reconciler.agent.session import Session
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.errors import HagitError, PeerError, PeerErrorCode
from reconciler.system.node_push import PushNode
from reconciler.system.peer.channel import Handler, PeerReply, PeerRequest
from reconciler.system.push.git_user import git_user
from reconciler.system.push.hosted_repository import HostedRepository

HAVE_MAX: Final = 16
OFFERED_MAX: Final = 4


class OfferedCandidates:
    """The commits that were offered and judged last, for the question for their plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, Candidate] = {}

    def keep(self, candidate: Candidate) -> None:
        """Keep one, at most `OFFERED_MAX` of them."""
        with self._lock:
            self._found.pop(candidate.tip, None)
            while len(self._found) >= OFFERED_MAX:
                del self._found[next(iter(self._found))]
            self._found[candidate.tip] = candidate

    def of(self, tip: str) -> Candidate | None:
        """The one of a commit."""
        with self._lock:
            return self._found.get(tip)


def push_handlers(sessions: Callable[[], Session]) -> dict[str, Handler]:
    """The handlers by name of the request. A controller that hosts no repository says so."""
    offered = OfferedCandidates()

    def handler(answer: Callable[[Session, PushNode, PeerRequest], PeerReply]) -> Handler:
        def serve(request: PeerRequest) -> PeerReply:
            with sessions() as session:
                if session.node.push is None:
                    raise PeerError(
                        PeerErrorCode.FAILED,
                        "the other controller hosts no repository",
                        remedy="give both node files the same table [push]",
                    )
                return answer(session, session.node.push, request)

        return serve

    return {
        STATE: handler(_state),
        OFFER: handler(partial(_offer, offered)),
        PLAN: handler(partial(_plan, offered)),
        MOVE: handler(_move),
        FETCH: handler(_fetch),
    }


def repositories_of(session: Session, push: PushNode) -> PairRepositories:
    """The repositories as a Session sees them."""
    repository = HostedRepository(push.repository, git_user(push.user))
    return PairRepositories(push, repository, lambda one: one.peer)


def _branch(session: Session) -> str:
    return trust_policy_in_force(session.node, session.store.accepted()).branch


def _state(session: Session, push: PushNode, request: PeerRequest) -> PeerReply:
    branch = _branch(session)
    tip = repositories_of(session, push).repository.tip(branch)
    return PeerReply({"branch": branch, "tip": tip, "accepted": session.store.accepted().head})


def _offer(offered: OfferedCandidates, session: Session, push: PushNode, request: PeerRequest) -> PeerReply:
    """Judge an offered commit, and keep its objects unless it is only planned."""
    tip, branch = commit_in(request.body, "tip"), _branch(session)
    if request.body.get("branch") != branch or not tip:
        return _reply(False, f"controller {session.node.controller} follows {branch}")
    found: Candidate | str = judged(lambda: judge_candidate(session, request.attachment, tip, "the peer"))
    if isinstance(found, str):
        return _reply(False, found)
    if request.body.get("plan") is not True:
        pair = repositories_of(session, push)
        pair.repository.require_room(len(request.attachment))
        with pair.lock():
            pair.repository.store(request.attachment, tip)
    offered.keep(found)
    return _reply(True, "")


def _plan(offered: OfferedCandidates, session: Session, push: PushNode, request: PeerRequest) -> PeerReply:
    """The part of this controller for a commit that was offered a moment ago. Raises HagitError."""
    tip = commit_in(request.body, "commit")
    found = offered.of(tip)
    if found is None:
        return PeerReply({"missing": "judged other commits since"})
    return side_reply(planned_side(session, found.content, candidate_plan(session, found)))


def _move(session: Session, push: PushNode, request: PeerRequest) -> PeerReply:
    """Move the branch by compare and swap. A repeated request finds it moved, which is the same answer."""
    old, new, branch = commit_in(request.body, "old"), commit_in(request.body, "new"), _branch(session)
    pair = repositories_of(session, push)
    with pair.lock():
        if request.body.get("branch") != branch or not pair.repository.is_staged(new):
            moved = bool(new) and pair.repository.tip(branch) == new
            return _reply(moved, "" if moved else "this commit was not judged here; push again")
        try:
            pair.repository.move(branch, old, new)
            pair.repository.sync_names(branch)
        except HagitError as error:
            return _reply(False, f"controller {session.node.controller}: {error}")
    return _reply(True, "")


def _fetch(session: Session, push: PushNode, request: PeerRequest) -> PeerReply:
    """The tip, with what the peer lacks of it."""
    repository = repositories_of(session, push).repository
    tip = repository.tip(_branch(session))
    have = [commit for commit in _commits(request.body) if repository.has(commit)]
    if not tip or tip in have:
        return PeerReply({"tip": tip})
    return PeerReply({"tip": tip}, repository.pack(tip, have))


def _commits(body: Mapping[str, Any]) -> list[str]:
    listed = body.get("have", [])
    found = [commit_in({"commit": value}, "commit") for value in listed[:HAVE_MAX]] if isinstance(listed, list) else []
    return [commit for commit in found if commit]


def _reply(accepted: bool, text: str) -> PeerReply:
    return PeerReply({"accepted": accepted, "text": text})
