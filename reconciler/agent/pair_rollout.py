"""Takes a revision together with the peer: asks it, decides the next step, and does what is not an apply.

`core/rollout/next_step` decides. This asks the peer's agent for its state, writes down what this controller begins
before it begins, and asks the watchdog for the one switchover. Reconciliation applies. Nothing is applied for the peer:
each agent applies its own side, so a lost message delays and never doubles a step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciler.agent.rollout_record import ROLLOUT, RolloutRecord, own_state, read_record, write_record
from reconciler.agent.session import Session
from reconciler.agent.source.content import Content
from reconciler.core.planning.plan import Plan
from reconciler.core.rollout.interruption import critical_resources, noticed_actions
from reconciler.core.rollout.next_step import LookCounts, RolloutStep, StepKind, next_step
from reconciler.core.rollout.rollout_state import RolloutState, clean, rollout_from_document
from reconciler.core.status.revision import Revision
from reconciler.errors import ConfigurationError, ControlError, HagitError, PeerError, PeerErrorCode, UsageError
from reconciler.system.control_protocol import ControlRequest, RequestKind
from reconciler.system.peer.channel import PeerClient
from reconciler.system.watchdog_client import send_request

#: Time limit of a question to the peer; the agent's loop waits for it.
ASK_S: Final = 2.0
#: Time between two looks: while the peer is on its way, and while it does not answer or nothing moves.
LOOK_S: Final = 0.2
SLOW_LOOK_S: Final = 1.0


class PairRollout:
    """Belongs to the agent's loop. What an earlier agent had begun is taken back: it does not apply any more."""

    def __init__(self, session: Session) -> None:
        self._session, self._store = session, session.store
        self._record = read_record(session.store)
        self._looks = LookCounts()
        self._commit = ""
        self._ended = False
        #: Seconds until the next look is due after a step that was not APPLY.
        self.again_s = LOOK_S
        self._remember(replace(self._record, begun=""))

    def decide(self, revision: Revision, content: Content, in_force: Content | None, plan: Plan) -> RolloutStep:
        """The next step on the way to `revision`: APPLY, or WAIT or HOLD with the reason.

        `in_force`: the content of the revision in force; `plan`: what would be done here. APPLY without a reason means
        that the pair is not enrolled, or that the peer's release does not know of this. Raises StateError when a step
        cannot be written down.
        """
        if revision.commit != self._commit:
            self._commit, self._looks = revision.commit, LookCounts()
        client = self._client()
        if client is None:
            return RolloutStep(StepKind.APPLY)
        self._check(revision, content, in_force)
        noticed = bool(noticed_actions(plan, serving_resources(content, in_force)))
        for _ in range(2):
            try:
                peer = self._ask(client)
            except PeerError:
                return RolloutStep(StepKind.APPLY)
            state = own_state(self._session.node, self._store)
            own = replace(state, wanted=revision.commit, interrupts=noticed)
            if self._record.unfit == revision.commit:
                own = replace(own, refused=revision.commit, refused_why=self._record.unfit_why)
            self._looks = self._looks.after(own, peer)
            step = next_step(own, peer, self._looks)
            if step.kind is not StepKind.CLAIM:
                break
            self._remember(replace(self._record, begun=revision.commit, able_for=revision.commit, was_able=own.able))
        self.again_s = SLOW_LOOK_S if peer is None or step.kind is StepKind.HOLD else LOOK_S
        if step.kind is StepKind.YIELD:
            self._remember(replace(self._record, begun=""))
        if step.kind is StepKind.SWITCHOVER:
            step = self._switch_over(revision, step)
        if step.kind in (StepKind.CLAIM, StepKind.YIELD):
            return replace(step, kind=StepKind.WAIT)
        return step

    def ended(self) -> None:
        """The apply after APPLY has ended. The next `note` tells the peer so, together with how it ended."""
        self._ended = True

    def note(self, failed: tuple[str, HagitError] | None, refused: tuple[str, HagitError] | None) -> None:
        """Note for the peer which commit failed here, and which newest commit cannot be used here, each with its error.

        Called after each reconciliation; writes only what has changed. Raises StateError.
        """
        begun, self._ended = "" if self._ended else self._record.begun, False
        self._remember(
            replace(
                self._record,
                begun=begun,
                failed=failed[0] if failed is not None else "",
                failed_why=_words(failed[1]) if failed is not None else "",
                refused=refused[0] if refused is not None else "",
                refused_why=_words(refused[1]) if refused is not None else "",
            )
        )

    def _check(self, revision: Revision, content: Content, in_force: Content | None) -> None:
        """Note whether the orders of a revision can be published here, where those of the one before can."""
        why = self._unpublishable(content)
        unfit = why and (in_force is None or not self._unpublishable(in_force))
        self._remember(replace(self._record, unfit=revision.commit if unfit else "", unfit_why=why if unfit else ""))

    def _unpublishable(self, content: Content) -> str:
        orders = self._session.orders
        try:
            if orders is not None:
                orders.changes(content)
        except HagitError as error:
            return _words(error)
        return ""

    def _client(self) -> PeerClient | None:
        try:
            return self._session.peer
        except HagitError:
            return None

    def _ask(self, client: PeerClient) -> RolloutState | None:
        """The state of the peer; None when it does not answer. Raises PeerError when its release knows no states."""
        try:
            reply = client.ask(ROLLOUT, {}, timeout_s=ASK_S)
            peer = rollout_from_document(reply.body)
        except PeerError as error:
            if error.code in (PeerErrorCode.UNKNOWN_REQUEST, PeerErrorCode.VERSION):
                raise
            return None
        except UsageError:
            return None
        return peer if peer.controller != self._session.node.controller else None

    def _switch_over(self, revision: Revision, step: RolloutStep) -> RolloutStep:
        """Ask the watchdog for the switchover of this revision. It is written down first, so that it is asked once."""
        before = self._record
        self._remember(replace(before, switched=revision.commit))
        self._store.log_decision("switchover", revision=revision.full_name, why=step.why)
        try:
            answer = send_request(self._session.node, ControlRequest(RequestKind.SWITCHOVER))
        except ControlError as error:
            # The watchdog may have got it.
            return RolloutStep(StepKind.WAIT, f"whether the watchdog hands over is not known: {error.what}")
        if answer.accepted:
            return RolloutStep(StepKind.WAIT, "the pools move to the standby")
        self._remember(before)
        self.again_s = SLOW_LOOK_S
        return RolloutStep(
            StepKind.HOLD,
            f"it would interrupt clients, and the watchdog does not hand over: {answer.text}",
            "`hagit switchover --plan` says why; to apply in place all the same: hagit apply --here",
        )

    def _remember(self, record: RolloutRecord) -> None:
        if record != self._record:
            write_record(self._store, record)
            self._record = record


def serving_resources(*contents: Content | None) -> frozenset[str]:
    """The names of the Interfaces that serve clients in any of these revisions: critical, or with virtual addresses."""
    found: set[str] = set()
    for content in contents:
        if content is not None:
            found |= critical_resources(content.desired)
            found |= (
                {address.interface for address in content.orders.addresses} if content.orders is not None else set()
            )
    return frozenset(found)


def _words(error: HagitError) -> str:
    """An error in one line."""
    if isinstance(error, ConfigurationError) and error.complaints:
        first = error.complaints[0]
        return clean(f"{first.file}:{first.line}:{first.column}: {first.what}")
    return clean(f"{error.where}: {error.what}" if error.where else error.what)
