"""Keeps a change that could cut this controller off, or goes back: the engine of the agent and of the commands.

Each step is decided under the lock of the state directory, from the record on disk. So a person's word, a probe and the
timer never contradict each other, and after the death of a process the next one goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from reconciler.agent.apply import LOCK_WAIT_S, apply_plan, propose, resume_interrupted
from reconciler.agent.source.content import Content
from reconciler.agent.store import BlockedCommit
from reconciler.core.confirmation.pending_change import (
    ChangeStage,
    ChangeVerdict,
    PendingChange,
    judge_change,
)
from reconciler.core.facts.codec import fact_from_document
from reconciler.core.facts.settings import PairNames, Settings
from reconciler.core.facts.state import Desired
from reconciler.core.planning.nic_match import bind, rename
from reconciler.core.status.revision import Revision
from reconciler.errors import ChangePendingError, HagitError, StateError
from reconciler.system.clock import monotonic_s, wall_s
from reconciler.system.files import holder_of
from reconciler.system.machine import boot_identity

if TYPE_CHECKING:
    from reconciler.agent.session import Session

#: Branch and commit of a revision that is no commit (`session.UNCOMMITTED`).
UNCOMMITTED: Final = "uncommitted"
SOURCE_LOCK_S: Final = 10.0
#: Between two looks at a change that another process minds.
LOOK_S: Final = 0.1


class ChangeConfirmation:
    """The newest guarded change of one controller. Belongs to one thread."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self) -> PendingChange | None:
        """The newest guarded change, open or not."""
        return self._session.store.change()

    def open_change(self) -> PendingChange | None:
        """The change that is neither kept nor taken back; None without one."""
        change = self.read()
        return change if change is not None and change.open else None

    def judge(self, silent: frozenset[str] | None, answered_for_s: float) -> ChangeVerdict:
        """Keep the open change, go back, or leave it pending. Returns what was done.

        `silent`, `answered_for_s`: see `judge_change`. While another process makes the change, waits for it.
        """
        change = self.open_change()
        if change is None:
            return ChangeVerdict.WAIT
        if change.stage is ChangeStage.APPLYING and holder_of(self._session.store.root / "lock") is not None:
            return ChangeVerdict.WAIT
        verdict, why = judge_change(
            change, boot=boot_identity(), now_s=monotonic_s(), silent=silent, answered_for_s=answered_for_s
        )
        if verdict is ChangeVerdict.KEEP:
            self.keep(why)
        elif verdict is ChangeVerdict.REVERT:
            self.revert(why)
        return verdict

    def attend(self, show: Callable[[PendingChange, frozenset[str] | None], None]) -> PendingChange | None:
        """Wait until the open change is kept or taken back; returns it, None without one.

        Where no agent runs, this process asks the paths and minds the timer itself. `show` is called with the change
        and the silent paths several times a second. Raises HagitError when the way back failed.
        """
        from reconciler.agent.path_probe import PathWatch

        change, watch, pause = self.open_change(), None, threading.Event()
        try:
            while change is not None and change.open:
                silent: frozenset[str] | None = None
                if not self._session.agent_runs:
                    if watch is None and change.paths and change.stage is ChangeStage.PENDING:
                        watch = PathWatch(self._session.node, change.paths, change.done_s, lambda: None)
                    silent, answered_for_s = watch.read() if watch is not None else (None, 0.0)
                    self.judge(silent, answered_for_s)
                show(change, silent)
                pause.wait(LOOK_S)
                change = self.read()
        finally:
            if watch is not None:
                watch.close()
        return change

    def keep(self, why: str) -> PendingChange:
        """Keep the pending change. Raises ChangePendingError when there is none, StateError."""
        store = self._session.store
        with store.lock("confirm", wait_s=LOCK_WAIT_S):
            change = self._require(ChangeStage.PENDING)
            kept = replace(change, stage=ChangeStage.KEPT, why=why)
            store.record_change(kept)
        if change.revision.commit != UNCOMMITTED:
            store.record_history("confirmed", change.revision, why=why)
        store.log_decision("confirmed", revision=change.revision.full_name, why=why)
        return kept

    def revert(self, why: str) -> PendingChange:
        """Go back to what was before the open change. Run again after a failure, it goes on.

        Raises ChangePendingError when no change is open, HagitError when the way back failed.
        """
        store, host = self._session.store, self._session.host
        with store.lock("revert", wait_s=LOCK_WAIT_S):
            change = self._require(ChangeStage.APPLYING, ChangeStage.PENDING, ChangeStage.REVERTING)
            if change.stage is not ChangeStage.REVERTING:
                change = replace(change, stage=ChangeStage.REVERTING, why=why)
                store.record_change(change)
                store.log_decision("reverting", revision=change.revision.full_name, why=why)
        self._block(change)
        resume_interrupted(store, host)
        content = self._way_back(change)
        to = change.back or change.revision
        host.select_storage(content.keys())
        plan = propose(content, to.full_name, host.observe())
        is_recorded = change.back is not None and change.revision.commit != UNCOMMITTED
        details = MappingProxyType({"why": change.why, "undone": change.revision.commit})
        outcome = apply_plan(
            store, host, plan, to, purpose="revert", record_as="reverted" if is_recorded else "", details=details
        )
        if outcome.failure is not None:
            raise outcome.failure
        if not is_recorded:
            store.record_history("reverted", to, **details)
        if change.back is None:
            store.forget_applied()
        reverted = replace(change, stage=ChangeStage.REVERTED)
        with store.lock("revert", wait_s=LOCK_WAIT_S):
            store.record_change(reverted)
        store.log_decision("reverted", revision=change.revision.full_name, why=change.why, held=len(outcome.held))
        self._publish_orders(content, change.back)
        return reverted

    def _require(self, *stages: ChangeStage) -> PendingChange:
        change = self.open_change()
        if change is None or change.stage not in stages:
            if change is not None:
                raise ChangePendingError(f"the change to {change.revision.name} is {change.stage.value} now")
            raise ChangePendingError(
                "no change waits for a confirmation", remedy="`hagit history` shows what became of the newest one"
            )
        return change

    def _block(self, change: PendingChange) -> None:
        """Keep the revision away until another commit comes."""
        store, back = self._session.store, change.back
        if change.revision.commit == UNCOMMITTED or (back is not None and back.commit == change.revision.commit):
            return
        with store.source_lock(wait_s=SOURCE_LOCK_S):
            accepted = store.accepted()
            if accepted.pinned is not None and accepted.pinned.commit == change.revision.commit:
                # A rollback is taken back: the newest revision is in force again.
                store.accept(replace(accepted, blocked=None, pinned=None))
                return
            if change.revision.commit not in (accepted.head, accepted.good.commit if accepted.good else ""):
                return
            position = self._session.content_for(change.revision).position
            blocked = BlockedCommit(change.revision.commit, f"taken back: {change.why}", wall_s(), position)
            source = self._session.content_for(back).settings.source if back is not None else None
            policy = asdict(source) if source else None
            store.accept(replace(accepted, blocked=blocked, pinned=back, policy=policy))

    def _way_back(self, change: PendingChange) -> Content:
        """What this controller was before the change: the revision before, and the facts that no revision holds."""
        if change.back is not None:
            base = self._session.content_for(change.back)
        else:
            # Nothing was in force: what hagit made goes, and what it changed comes back.
            desired = Desired(self._session.node.controller, virtual=frozenset(change.virtual))
            base = Content(desired, Settings(PairNames("", {})))
        same = change.back is not None and change.back.commit == change.revision.commit
        names = {kernel: name for name, kernel in bind(base.desired, self._session.host.observe()).names.items()}
        facts = dict(base.desired.facts)
        for document in change.was:
            try:
                fact = rename(fact_from_document(dict(document)), names)
            except (KeyError, TypeError, ValueError):
                continue  # a fact of a newer hagit
            if same or fact.key not in facts:
                facts[fact.key] = fact
        virtual = base.desired.virtual | frozenset(change.virtual)
        return replace(base, desired=replace(base.desired, facts=MappingProxyType(facts), virtual=virtual))

    def _publish_orders(self, content: Content, back: Revision | None) -> None:
        """Publish the orders of the revision before. The agent does it again if that fails."""
        if self._session.orders is None:
            return
        try:
            self._session.orders.publish(content, back.commit if back is not None else "")
        except (HagitError, StateError) as error:
            self._session.store.log_decision("orders-refused", why=str(error))
