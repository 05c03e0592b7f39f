"""The agent's end of pushes: answers git's hooks and the shell of the git user, and keeps the list of keys.

    serve      a client connects: does this controller take pushes?
    begin      git has the objects: may this reference be pushed, and what do both controllers have already?
    receive    the new objects: judged here and by the peer at the same time, and planned
    move       the branch is locked here: the peer moves first
    moved      the branch has moved: say so, and let the agent follow

Runs in threads of its own with Sessions of its own. It changes nothing but the hosted repository: the agent follows
that like any local source.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.agent.push.candidate import Candidate, judge_candidate, judged
from reconciler.agent.push.push_peer import MOVE_S, silence
from reconciler.agent.push.push_plan import push_plan_text
from reconciler.agent.push.push_state import record_alone
from reconciler.agent.push.synchronisation import PairRepositories
from reconciler.agent.session import Session
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.core.facts.settings import AlonePolicy, source_from_document
from reconciler.core.push.agreement import ALONE_OPTION, PeerAnswer, PeerVerdict, PushAgreement, agreement
from reconciler.core.push.histories import HistoryRelation
from reconciler.core.push.ref_updates import (
    ZERO,
    PushIntent,
    PushPurpose,
    PushRefusal,
    push_intent,
    updates_of,
)
from reconciler.core.push.roles import PushRole, role_refusal
from reconciler.core.push.ssh_command import GitService
from reconciler.errors import HagitError
from reconciler.system.node import Node
from reconciler.system.node_push import PushNode
from reconciler.system.push.agent_client import AgentReply

#: A push that is accepted does not wait longer than this for its plan; one that only plans waits for it.
PLAN_S: Final = 5.0
ONLY_PLAN_S: Final = 60.0
#: The part of that which the plan of the peer may take: then this controller's own is shown without it.
PEER_SHARE: Final = 0.8
#: A push waits this long for another one that is being judged.
TURN_S: Final = 30.0
PENDING_MAX: Final = 8
OPTIONS: Final = (ALONE_OPTION,)
LOST: Final = "\nhagit: the peer may have moved all the same; then this controller follows it: fetch, and push again"


@dataclass(frozen=True, slots=True)
class _PendingPush:
    """A push that was judged, until its branch moves. `peer_old`: where the peer's branch was; None: not asked."""

    old: str
    branch: str
    peer_old: str | None
    agreed: PushAgreement
    policy: AlonePolicy
    option: bool


class PushAnswers:
    """Answers the requests of one controller. `role`: whether this controller takes pushes now.

    `follow` is called when the branch has moved. `open_session` makes a Session for the calling thread.
    """

    def __init__(
        self,
        node: Node,
        push: PushNode,
        repositories: PairRepositories,
        *,
        role: Callable[[], PushRole],
        follow: Callable[[], None],
    ) -> None:
        self._node, self._push, self._pair = node, push, repositories
        self._role, self._follow = role, follow
        self._turn = threading.Lock()
        self._pending: dict[str, _PendingPush] = {}

    def answer(
        self, request: str, fields: Mapping[str, Any], attachment: bytes, show: Callable[[str], None]
    ) -> AgentReply:
        """The reply to one request. Raises HagitError, which refuses it."""
        match request:
            case "serve":
                return self._serve(fields)
            case "begin":
                return self._begin(fields)
            case "receive":
                return self._receive(fields, attachment, show)
            case "move":
                return self._move(fields)
            case "moved":
                return self._moved(fields)
        return AgentReply(
            False, "hagit: the agent and its hooks are of different releases: systemctl restart hagit-agent"
        )

    def _serve(self, fields: Mapping[str, Any]) -> AgentReply:
        service = GitService.PUSH if fields.get("service") == GitService.PUSH.value else GitService.FETCH
        why = role_refusal(service, self._role(), self._push.user, self._push.port)
        return AgentReply(not why, why)

    def _begin(self, fields: Mapping[str, Any]) -> AgentReply:
        """Check the reference, and name the commits that need not be sent."""
        with Session(self._node.path) as session:
            intent = self._intent(session, fields)
            if isinstance(intent, PushRefusal):
                return _refused(str(intent))
            unknown = [option for option in _options(fields) if option not in OPTIONS]
            if unknown:
                return _refused(f"there is no push option {unknown[0][:40]!r}; there is {', '.join(OPTIONS)}")
            repository = self._pair.repository
            repository.require_room()
            ours, followed = intent.update.old, session.store.accepted().head
            tips = [followed]
            peer = self._pair.peer(session)
            if peer is not None:
                try:
                    there = peer.branch()
                except HagitError:
                    # The offer meets the same silence, and the policy decides there.
                    pass
                else:
                    here = repository.tip(self._branch(session))
                    relation = self._pair.relation(here, there.tip)
                    if relation in (HistoryRelation.BEHIND, HistoryRelation.UNKNOWN):
                        return _refused(self._pair.catch_up_text(session))
                    if relation is HistoryRelation.DIFFERENT:
                        return _refused(self._pair.different_text(here, there.tip))
                    tips += [there.tip, there.accepted]
            base = repository.common_base([*tips, *([ours] if ours != ZERO else [])])
        return AgentReply(True, "", {"tip": intent.update.new, "have": [base] if base else []})

    def _receive(self, fields: Mapping[str, Any], pack: bytes, show: Callable[[str], None]) -> AgentReply:
        """Judge what is pushed, here and there, and remember the agreement for the move."""
        if not self._turn.acquire(timeout=TURN_S):
            return _refused("another push is being judged; push again in a moment")
        self._pair.hold(TURN_S)
        try:
            with Session(self._node.path) as session:
                intent = self._intent(session, fields)
                if isinstance(intent, PushRefusal):
                    return _refused(str(intent))
                return self._judge(session, intent, _options(fields), pack, show)
        finally:
            self._turn.release()

    def _judge(
        self,
        session: Session,
        intent: PushIntent,
        options: list[str],
        pack: bytes,
        show: Callable[[str], None],
    ) -> AgentReply:
        tip, branch = intent.update.new, self._branch(session)
        only_plan = intent.purpose is PushPurpose.PLAN
        pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="push")
        try:
            offered = pool.submit(self._offer, branch, tip, pack, only_plan)
            found = judged(lambda: judge_candidate(session, pack, tip, "this push"))
            answer, peer_old = offered.result()
            if isinstance(found, str):
                return _refused(found)
            if found.content.desired.alone and answer.verdict is PeerVerdict.NOT_ENROLLED:
                answer = PeerAnswer(PeerVerdict.NEEDLESS)
            for note in found.notes:
                show(note)
            source = source_from_document(session.store.accepted().policy)
            policy = source.push_alone if source is not None else AlonePolicy.REFUSE
            option = ALONE_OPTION in options
            agreed = agreement(answer, policy, option=option)
            if not agreed.accepted and not only_plan:
                return _refused(agreed.text)
            self._show_plan(pool, found, answer, show, ONLY_PLAN_S if only_plan else PLAN_S)
        finally:
            # A plan that takes longer ends by itself, unread.
            pool.shutdown(wait=False)
        name = f"{branch}@{tip[:7]}"
        if only_plan:
            why = answer.text or answer.verdict
            peer = "" if answer.verdict in (PeerVerdict.READY, PeerVerdict.NEEDLESS) else f"\nhagit: the peer: {why}"
            return AgentReply(True, f"hagit: planned only, nothing was changed: {name}{peer}")
        self._remember(tip, _PendingPush(intent.update.old, branch, peer_old, agreed, policy, option))
        where = "both controllers" if agreed.both else "this controller"
        more = f"\nhagit: {agreed.text}" if agreed.text else ""
        return AgentReply(True, f"hagit: {name} is good on {where}{more}")

    def _offer(self, branch: str, tip: str, pack: bytes, only_plan: bool) -> tuple[PeerAnswer, str | None]:
        """The peer's answer to an offer, and where its branch was then; in a thread with a Session of its own."""
        with Session(self._node.path) as session:
            try:
                peer = self._pair.peer(session)
                if peer is None:
                    return PeerAnswer(PeerVerdict.NOT_ENROLLED, "this pair is not enrolled"), None
                there = peer.branch()
            except HagitError as error:
                return silence(error), None
            if there.branch != branch:
                text = f"the peer follows {there.branch or 'no branch'}, and this controller {branch}"
                return PeerAnswer(PeerVerdict.DIFFERENT, text), None
            return peer.offer(branch, tip, pack, only_plan=only_plan), there.tip

    def _show_plan(
        self,
        pool: ThreadPoolExecutor,
        found: Candidate,
        answer: PeerAnswer,
        show: Callable[[str], None],
        limit_s: float,
    ) -> None:
        planned: Future[str] = pool.submit(self._planned, found, answer, PEER_SHARE * limit_s)
        try:
            show(planned.result(limit_s))
        except FutureTimeout:
            show("hagit: the plan takes longer; it follows in `hagit plan`")

    def _planned(self, candidate: Candidate, answer: PeerAnswer, peer_s: float) -> str:
        with Session(self._node.path) as session:
            return push_plan_text(session, candidate, answer, peer_s)

    def _move(self, fields: Mapping[str, Any]) -> AgentReply:
        """The branch is locked here and about to move: the peer moves first, so it is never behind an answer."""
        updates = updates_of(str(fields.get("updates", "")))
        if isinstance(updates, PushRefusal) or len(updates) != 1:
            return _refused("one push moves one branch")
        update = updates[0]
        pending = self._pending.get(update.new)
        if pending is None or pending.old != update.old or update.name != f"refs/heads/{pending.branch}":
            return _refused("this commit was not judged by this agent; push again")
        self._pair.hold(MOVE_S)
        agreed = pending.agreed
        if agreed.both and pending.peer_old is not None:
            with Session(self._node.path) as session:
                peer = self._pair.peer(session)
                moved = (
                    peer.move(pending.branch, pending.peer_old, update.new)
                    if peer is not None
                    else PeerAnswer(PeerVerdict.SILENT, "the channel is gone")
                )
            if moved.verdict is not PeerVerdict.READY:
                agreed = agreement(moved, pending.policy, option=pending.option)
                if not agreed.accepted:
                    lost = "" if moved.verdict is PeerVerdict.REFUSED else LOST
                    return _refused(f"{agreed.text}{lost}")
        if not agreed.both and agreed.text:
            # On disk before the branch moves: an agent that is killed in between still raises the alert.
            record_alone(self._push.directory, update.new, agreed.text)
        self._remember(update.new, replace(pending, agreed=agreed))
        return AgentReply(True)

    def _moved(self, fields: Mapping[str, Any]) -> AgentReply:
        """Say what was reached, and let the agent follow."""
        updates = updates_of(str(fields.get("updates", "")))
        if isinstance(updates, PushRefusal) or not updates or not updates[0].name.startswith("refs/heads/"):
            return AgentReply(True)
        update = updates[0]
        pending = self._pending.pop(update.new, None)
        self._pair.hold(0.0)
        self._pair.repository.sync_names(update.name.removeprefix("refs/heads/"))
        self._follow()
        self._pair.maintain()
        name = f"{update.name.removeprefix('refs/heads/')}@{update.new[:7]}"
        if pending is None:
            return AgentReply(True, f"hagit: this controller has {name}")
        if pending.agreed.both:
            return AgentReply(True, f"hagit: both controllers have {name} on disk")
        if pending.agreed.text:
            return AgentReply(True, f"hagit: this controller has {name} on disk; the peer does not have it yet")
        return AgentReply(True, f"hagit: this controller has {name} on disk")

    def _intent(self, session: Session, fields: Mapping[str, Any]) -> PushIntent | PushRefusal:
        updates = updates_of(str(fields.get("updates", "")))
        return updates if isinstance(updates, PushRefusal) else push_intent(updates, self._branch(session))

    def _branch(self, session: Session) -> str:
        return trust_policy_in_force(self._node, session.store.accepted()).branch

    def _remember(self, tip: str, pending: _PendingPush) -> None:
        self._pending.pop(tip, None)
        while len(self._pending) >= PENDING_MAX:
            self._pending.pop(next(iter(self._pending)))
        self._pending[tip] = pending


def _options(fields: Mapping[str, Any]) -> list[str]:
    options = fields.get("options", [])
    return [str(option) for option in options[:PENDING_MAX]] if isinstance(options, list) else []


def _refused(text: str) -> AgentReply:
    return AgentReply(False, f"hagit: refused: {text}")
