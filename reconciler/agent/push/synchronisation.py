"""The hosted repositories of both controllers: compared, and brought to the later commit.

Each controller asks its peer, and only ever moves its own branch forward, to a commit that it has judged itself. So a
commit that one controller has alone reaches the other as soon as they talk, whichever was away, and no clock or vote is
needed. Histories of which neither descends from the other stay as they are, and a person decides (`hagit sync`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from reconciler.agent.push.candidate import judge_candidate
from reconciler.agent.push.push_peer import PeerChannel, PushPeer
from reconciler.agent.push.push_state import alone_commit, forget_alone
from reconciler.agent.session import Session
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.core.alerts.alert import AlertKind
from reconciler.core.push.histories import HistoryRelation, relation
from reconciler.errors import HagitError, HistoryRefused, StateError
from reconciler.system.clock import monotonic_s
from reconciler.system.files import Lock
from reconciler.system.node_push import PushNode
from reconciler.system.push.hosted_repository import HostedRepository

SHORT: Final = 12
LOCK_S: Final = 10.0
DECIDE: Final = "look at both with `hagit sync`; then on the controller whose commits go: hagit sync --from-peer"


#: What keeps the two repositories apart: a kind of alert, its subject, and why.
SyncCondition: TypeAlias = tuple[AlertKind, str, HagitError]


@dataclass(frozen=True, slots=True)
class HistoryComparison:
    """Both tips (full ids, empty for none), and the commits that only one of the histories has, newest first."""

    here: str
    there: str
    only_here: tuple[str, ...] = ()
    only_there: tuple[str, ...] = ()

    @property
    def forward(self) -> bool:
        """Whether one of the histories continues the other."""
        return not self.only_here or not self.only_there


class PairRepositories:
    """This controller's hosted repository, and its peer's as the channel shows it. May be used from several threads.

    `channel`: the channel to the peer of a Session; None on a pair that is not enrolled.
    """

    def __init__(
        self,
        push: PushNode,
        repository: HostedRepository,
        channel: Callable[[Session], PeerChannel | None],
    ) -> None:
        self._push, self.repository, self._channel = push, repository, channel
        self._held_until_s = 0.0
        self._conditions: tuple[SyncCondition, ...] = ()

    @property
    def conditions(self) -> tuple[SyncCondition, ...]:
        """What the last comparison found, and the commit that the peer lacks."""
        alone = alone_commit(self._push.directory)
        if alone is None:
            return self._conditions
        error = StateError(
            f"{alone.commit[:SHORT]} was accepted on this controller only, and the peer does not have it yet",
            where=str(self.repository.path),
            remedy="bring the peer back: its agent fetches what it lacks by itself",
        )
        return (*self._conditions, (AlertKind.PEER_LACKS_COMMITS, "commits that the peer lacks", error))

    def lock(self) -> Lock:
        """Held while objects are stored and the branch moves, by one process or thread at a time."""
        return Lock(self._push.directory / "pair.lock", "hagit, changing the repository of the pair", wait_s=LOCK_S)

    @property
    def held(self) -> bool:
        """Whether a push is under way, in which the two repositories differ for a moment."""
        return monotonic_s() < self._held_until_s

    def hold(self, seconds: float) -> None:
        """A push is under way, for at most this long."""
        self._held_until_s = monotonic_s() + seconds

    def peer(self, session: Session) -> PushPeer | None:
        """The peer, None on a pair that is not enrolled. Raises StateError."""
        channel = self._channel(session)
        return None if channel is None else PushPeer(channel)

    def relation(self, here: str, there: str) -> HistoryRelation:
        """How our tip relates to the peer's, as far as the objects here tell; DIFFERENT also when they do not tell."""
        known = bool(there) and self.repository.has(there)
        compared = known and bool(here) and here != there
        return relation(
            here,
            there,
            known=known,
            descends=compared and self.repository.leads_to(here, there),
            leads=compared and self.repository.leads_to(there, here),
        )

    def catch_up(self, session: Session) -> str:
        """Compare with the peer, and move forward where it is ahead. Returns the commit that was reached, or nothing.

        Raises HagitError when the peer does not answer. What keeps the two apart becomes a condition.
        """
        peer = self.peer(session)
        if peer is None:
            return ""
        branch = trust_policy_in_force(session.node, session.store.accepted()).branch
        there = peer.branch()
        if there.branch != branch:
            self._conditions = ()
            return ""
        with self.lock():
            here = self.repository.tip(branch)
            found = self.relation(here, there.tip)
            if found is HistoryRelation.EQUAL or (found is HistoryRelation.AHEAD and there.tip):
                self._settle(found)
                return ""
            if not there.tip:
                return ""
            return self._follow_peer(session, peer, branch, here, there.tip)

    def _settle(self, found: HistoryRelation) -> None:
        self._conditions = ()
        if found is HistoryRelation.EQUAL:
            forget_alone(self._push.directory)

    def _follow_peer(self, session: Session, peer: PushPeer, branch: str, here: str, there: str) -> str:
        """Fetch what the peer has, judge it by our own policy, and move forward."""
        followed = session.store.accepted().head
        base = self.repository.common_base([commit for commit in (here, followed) if commit])
        tip, pack = peer.fetch([base] if base else [])
        if not tip:
            return ""
        try:
            judge_candidate(session, pack, tip, "the peer")
            self.repository.require_room(len(pack))
            if pack:
                self.repository.store(pack, tip)
            if here and not self.repository.leads_to(here, tip):
                raise HistoryRefused(self.different_text(here, tip))
            self.repository.move(branch, here, tip)
            self.repository.sync_names(branch)
        except HagitError as error:
            kind = AlertKind.REVISION_REFUSED
            if isinstance(error, HistoryRefused):
                kind = AlertKind.HISTORIES_DIFFER
                error = HistoryRefused(self.different_text(here, there), remedy=DECIDE)
            self._conditions = ((kind, "commits of the peer", error),)
            return ""
        self._settle(HistoryRelation.EQUAL)
        return tip

    def catch_up_text(self, session: Session) -> str:
        """Follow the peer, which is ahead, and say so to the person whose push came too late."""
        tip = self.catch_up(session)
        if tip:
            return f"the peer had {tip[:SHORT]} already, and this controller has it now, too; fetch, and push again"
        why = [str(error) for _, _, error in self._conditions]
        return why[0] if why else "the peer is ahead, and gives nothing; push again in a moment"

    def different_text(self, here: str, there: str) -> str:
        """Both tips, for a person."""
        return (
            f"the controllers have different histories: this one is at {here or 'nothing'}, the peer at "
            f"{there or 'nothing'}, and neither descends from the other"
        )

    def compare(self, session: Session) -> HistoryComparison:
        """Compare with the peer, whose commits are fetched and kept apart. Raises HagitError."""
        peer = self.peer(session)
        if peer is None:
            raise StateError("this pair is not enrolled, so the peer cannot be asked", remedy="see docs/pair.md")
        branch = trust_policy_in_force(session.node, session.store.accepted()).branch
        here, there = self.repository.tip(branch), peer.branch().tip
        if there and not self.repository.has(there):
            there, pack = peer.fetch([here] if here else [])
            if pack:
                with self.lock():
                    self.repository.store(pack, there)
        if not here or not there or here == there:
            return HistoryComparison(here, there)
        repository = self.repository
        return HistoryComparison(here, there, repository.only_in(here, there), repository.only_in(there, here))

    def take_from_peer(self, session: Session, found: HistoryComparison) -> None:
        """Replace our history by the peer's, as a person has decided. What is replaced stays. Raises StateError."""
        branch = trust_policy_in_force(session.node, session.store.accepted()).branch
        with self.lock():
            self.repository.replace(branch, found.here, found.there, found.here)
        forget_alone(self._push.directory)

    def maintain(self) -> None:
        """Merge packs when there are many."""
        with self.lock():
            self.repository.maintain()
