"""Guards a change that could cut this controller off: notes what answers, and the way back, before the first action.

The policy of the revision in force decides, so that a commit cannot switch off its own guard. A plan that endangers no
path that answers is not guarded: it has nothing to lose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.agent.edit_lock import edit_lock
from reconciler.agent.path_probe import answered, paths_of
from reconciler.agent.source.content import Content
from reconciler.agent.source.trust_policy import trust_policy_in_force
from reconciler.agent.store import AppliedRevision
from reconciler.core.confirmation.danger import endangered_paths, risky_actions
from reconciler.core.confirmation.pending_change import ChangeStage, PendingChange
from reconciler.core.facts.change import ActionVerb
from reconciler.core.facts.codec import fact_document
from reconciler.core.facts.fact import Address, Fact, Link, Mark, Mtu, Port, Power, Route
from reconciler.core.facts.host_setting import HostSetting
from reconciler.core.facts.settings import ChangePolicy, Confirmation
from reconciler.core.planning.nic_match import links_of
from reconciler.core.planning.plan import Action, Plan
from reconciler.core.status.revision import Revision
from reconciler.errors import ChangePendingError, EditsLockedError, HagitError
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.git.remote import places_of
from reconciler.system.machine import boot_identity

if TYPE_CHECKING:
    from reconciler.agent.executor import ApplyOutcome
    from reconciler.agent.session import Session


class ConfirmedChange:
    """Implements `ChangeGuard` for one apply of `content`. `within_s`: an operator confirms within this time."""

    def __init__(
        self, session: Session, revision: Revision, content: Content | None, within_s: float | None = None
    ) -> None:
        self._session, self._revision, self._content = session, revision, content
        self._within_s = within_s
        self.change: PendingChange | None = None

    def begin(self, plan: Plan) -> None:
        """Record the way back if the plan endangers a path that answers. Raises ChangePendingError, StateError."""
        store = self._session.store
        before = store.change()
        if before is not None and before.open:
            raise ChangePendingError(
                f"the change to {before.revision.name} is not confirmed yet",
                remedy="keep it with `hagit confirm`, or undo it with `hagit revert`; then try again",
            )
        applied = store.applied()
        in_force = self._session.content_for(applied.revision) if applied is not None else None
        lock = edit_lock(self._session.node, in_force, self._content) if self._content is not None else None
        if lock is not None and plan.actions:
            raise EditsLockedError(f"{self._revision.name} is held: {lock.why}", remedy=lock.remedy)
        policy = self._policy(applied.revision if applied is not None else None)
        if self._within_s is None and (policy.confirm is Confirmation.NEVER or not risky_actions(plan)):
            return
        observed = self._session.host.observe().facts
        after = {key: fact for key, fact in observed.items() if key not in plan.before} | dict(plan.after)
        content = self._content
        desired = content.desired if content is not None else None
        manual = self._within_s is not None or policy.confirm is Confirmation.MANUAL
        node, peer = self._session.node, self._session.peer
        new = desired.virtual if desired is not None else frozenset()
        found = paths_of(node, observed, after, new, self._remotes(), self._peer_addresses(applied), peer)
        paths = endangered_paths(plan, found)
        names = answered(node, paths)
        paths = tuple(path for path in paths if path.name in names)
        if not paths and not manual:
            return
        base = self._session.content_for(applied.revision).desired.virtual if applied is not None else frozenset()
        virtual = new | base
        self.change = PendingChange(
            revision=self._revision,
            back=applied.revision if applied is not None else None,
            stage=ChangeStage.APPLYING,
            boot=boot_identity(),
            began_s=wall_s(),
            timeout_s=self._within_s if self._within_s is not None else policy.timeout_s,
            manual=manual,
            paths=paths,
            was=tuple(fact_document(fact) for fact in _lost(plan, virtual)),
            virtual=tuple(sorted(virtual)),
        )
        store.record_change(self.change)
        store.log_decision("guarded", revision=self._revision.full_name, paths=[path.name for path in paths])

    def end(self, outcome: ApplyOutcome) -> None:
        """Start the time within which the change has to be confirmed."""
        if self.change is None:
            return
        done_s = monotonic_s()
        self.change = replace(
            self.change, stage=ChangeStage.PENDING, done_s=done_s, deadline_s=done_s + self.change.timeout_s
        )
        self._session.store.record_change(self.change)

    def _policy(self, in_force: Revision | None) -> ChangePolicy:
        if in_force is not None:
            return self._session.content_for(in_force).settings.changes
        return self._content.settings.changes if self._content is not None else ChangePolicy()

    def _peer_addresses(self, applied: AppliedRevision | None) -> tuple[str, ...]:
        """The addresses that the other controller has before and after the change."""
        if applied is None or self._content is None:
            return ()
        other = {"a": "b", "b": "a"}[self._session.node.controller]
        before = self._session.content_for(applied.revision).settings.addresses.get(other, ())
        after = {address for _, address in self._content.settings.addresses.get(other, ())}
        return tuple(address for _, address in before if address in after)

    def _remotes(self) -> tuple[str, ...]:
        try:
            policy = trust_policy_in_force(self._session.node, self._session.store.accepted())
        except HagitError:
            return ()
        return tuple(sorted(places_of(remote.url for remote in policy.remotes)))


def _lost(plan: Plan, virtual: frozenset[str]) -> Iterator[Fact]:
    """What a plan changes in place, removes and drags along, as it was. Not what the watchdog places, nor leases.

    A dataset that was destroyed cannot be made again.
    """
    found: dict[tuple[str, ...], Fact] = {}
    for action in plan.actions:
        for fact in (*_of_action(action), *(fact for fact in action.consequences if fact.key not in plan.after)):
            found.setdefault(fact.key, fact)
    hosts = {address.partition("/")[0] for address in virtual}
    made = {action.after.name for action in plan.actions if isinstance(action.after, Link)}
    made -= {key[1] for key in plan.before if key[0] == "link"}
    for fact in found.values():
        if made & set(links_of(fact)):
            continue  # what the plan changes on a link that it makes goes with the link
        if isinstance(fact, Address) and (fact.traits or fact.address.partition("/")[0] in hosts):
            continue
        if isinstance(fact, Route) and fact.traits:
            continue
        yield fact


def _of_action(action: Action) -> Iterator[Fact]:
    before = action.before
    if before is None:
        return
    is_network = isinstance(before, Link | Port | Power | Mtu | Mark | Address | Route | HostSetting)
    if is_network or action.verb is ActionVerb.CHANGE:
        yield before
