"""`hagit apply` on an enrolled pair: releases a revision for both agents, and shows how they get on.

The agents decide the order and do the actions (`core/rollout/next_step`); this only asks both what they have done. It
may be ended at any time: the agents go on.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from typing import Any, Final

from reconciler.agent.pair_plans import RELEASE, PeerPlan, planned_side
from reconciler.agent.rollout_record import ROLLOUT, own_state, release
from reconciler.agent.session import Session
from reconciler.cli.terminal import ProgressLine, confirmed, marked_escapes, print_not_done, styled, wants_color, width
from reconciler.core.facts.state import Observed
from reconciler.core.planning.plan import Plan
from reconciler.core.planning.planner import stale
from reconciler.core.rollout.next_step import STEADY_LOOKS, LookCounts, RolloutStep, StepKind, next_step
from reconciler.core.rollout.pair_document import SavedPair
from reconciler.core.rollout.pair_plan import PairPlan
from reconciler.core.rollout.pair_plan_text import render_pair_plan
from reconciler.core.rollout.rollout_state import RolloutState, rollout_from_document
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError, PeerError, StalePlanError
from reconciler.system.clock import monotonic_s

LOOK_S: Final = 0.2
ASK_S: Final = 2.0
#: A stop is told when it has lasted this long; without any change the command ends after QUIET_S.
STOP_S: Final = 3.0
QUIET_S: Final = 120.0
#: Exit status: both have it; it stopped, or a part is held; it was not done in time.
DONE, STOPPED, TIMED_OUT = 0, 1, 3


def concerns_both(session: Session, revision: Revision, pair: PairPlan) -> bool:
    """Whether the agents have to take this revision: it is to be in force, and is not in force on both.

    Says on standard error why not when an operator may expect it.
    """
    own, wanted = own_state(session.node, session.store), session.store.accepted().wanted
    here = session.node.controller
    if wanted is None or wanted.commit != revision.commit:
        print(f"note: {revision.name} is not the newest revision: this is for controller {here} alone", file=sys.stderr)
        return False
    there = pair.side(own.other)
    behind = own.applied != revision.commit or (there is not None and there.state.applied != revision.commit)
    if behind and not session.agent_runs:
        print(f"note: no agent runs here, so this is for controller {here} alone", file=sys.stderr)
        return False
    if not behind and any(not side.idle for side in pair.sides):
        print(f"note: {revision.name} is in force on both; this corrects controller {here} alone", file=sys.stderr)
    return behind


def require_unmoved(session: Session, plan: Plan, saved: SavedPair) -> PairPlan:
    """The plan of the pair for a saved one. Raises StalePlanError when either side, or a role, has moved since."""
    commit = plan.base.revision.rpartition("@")[2]
    remedy = "make a new plan with `hagit plan --out FILE`"
    client = session.peer
    other = "b" if plan.base.controller == "a" else "a"
    if client is None:
        raise StalePlanError("the plan is for a pair, and this controller is not enrolled", remedy="hagit enroll")
    asked = PeerPlan(client, commit)
    moved = [f"{plan.base.controller}: {what}" for what in stale(plan, session.host.observe())]
    asked.wait()
    then = saved.plans.get(other)
    if asked.side is None:
        why = (*asked.unknown, asked.refusal.why if asked.refusal is not None else "")[0]
        raise StalePlanError(f"whether the plan still holds on {other} is not known: {why}", remedy=remedy)
    if then is None:
        raise StalePlanError(f"{other} did not answer when this plan was made, and answers now", remedy=remedy)
    now = asked.side.plan
    moved += [f"{other}: {what}" for what in stale(then, Observed(facts=now.before))]
    if not moved and (then.base, then.actions, then.orders) != (now.base, now.actions, now.orders):
        moved.append(f"{other}: its plan has changed")
    content = session.content_for(session.find_revision(commit))
    pair = asked.combined(planned_side(session, content, plan))
    for side in pair.sides:
        name, role = side.state.controller, side.state.role.value
        if saved.roles.get(name, role) != role:
            moved.append(f"{name}: it was {saved.roles[name]}, and is {role}")
    if moved:
        raise StalePlanError("the plan is stale; since it was made:\n  " + "\n  ".join(moved[:8]), remedy=remedy)
    return pair


def apply_pair(session: Session, revision: Revision, pair: PairPlan, *, yes: bool, as_json: bool) -> int:
    """Show the plan of the pair, ask, release it for both agents and follow them. Returns the exit status."""
    if not as_json:
        print(marked_escapes(render_pair_plan(pair, color=wants_color(), width=width())))
    steps = f"{len(pair.steps)} step{'' if len(pair.steps) == 1 else 's'}"
    if not pair.steps and pair.stops:
        print("Nothing was applied: see what stops it.", file=sys.stderr)
        return STOPPED
    if pair.steps and not yes and not confirmed(f"\nApply {steps} on the pair?"):
        print_not_done("Nothing was applied")
        return STOPPED
    release(session.store, revision.commit)
    client = session.peer
    if client is not None:
        try:
            client.ask(RELEASE, {"commit": revision.commit}, timeout_s=ASK_S)
        except PeerError as error:
            print(f"note: {client.identity.peer_side} was not asked to begin: {error}", file=sys.stderr)
    session.notify_agent()
    return RolloutProgress(session, revision, pair, as_json=as_json).follow()


class RolloutProgress:
    """Follows both controllers until they have the revision, or stop. `done`: the word for that."""

    def __init__(
        self, session: Session, revision: Revision, pair: PairPlan, *, as_json: bool = False, done: str = "Applied"
    ) -> None:
        self._session, self._revision, self._as_json, self._done = session, revision, as_json, done
        self._noticed = {side.state.controller: side.noticed > 0 for side in pair.sides}
        self._lines: dict[str, str] = {}
        self._changed_s = monotonic_s()

    def follow(self) -> int:
        """Wait for the end, and print it. Returns the exit status."""
        pause, stopped_s = threading.Event(), None
        with ProgressLine() as progress:
            while True:
                own, peer = self._states()
                for state in (own, peer):
                    if state is not None:
                        self._tell(state)
                now_s = monotonic_s()
                if all(self._is_done(state) for state in (own, peer) if state is not None):
                    break
                stop = self._stop(own, peer)
                stopped_s = (stopped_s or now_s) if stop is not None else None
                if stop is not None and stopped_s is not None and now_s - stopped_s >= STOP_S:
                    return self._end(own, peer, stop, STOPPED)
                if now_s - self._changed_s >= QUIET_S:
                    return self._end(own, peer, None, TIMED_OUT)
                progress.show(self._waiting(own, peer))
                pause.wait(LOOK_S)
        held = own.held or (peer is not None and peer.held)
        return self._end(own, peer, None, STOPPED if held or peer is None else DONE)

    def _states(self) -> tuple[RolloutState, RolloutState | None]:
        client = self._session.peer
        own = own_state(self._session.node, self._session.store)
        peer = None
        if client is not None:
            try:
                peer = rollout_from_document(client.ask(ROLLOUT, {}, timeout_s=ASK_S).body)
            except HagitError:
                peer = None
        own = replace(own, interrupts=self._noticed.get(own.controller, False))
        if peer is not None:
            peer = replace(peer, interrupts=self._noticed.get(peer.controller, False))
        return own, peer

    def _is_done(self, state: RolloutState) -> bool:
        return state.applied == self._revision.commit and not state.begun

    def _stop(self, own: RolloutState, peer: RolloutState | None) -> RolloutStep | None:
        """Why it does not go on by itself; None while it does."""
        if peer is None:
            return None
        looks = LookCounts(steady=STEADY_LOOKS)
        holds = []
        for state, other in ((own, peer), (peer, own)):
            step = next_step(state, other, looks)
            if step.kind is StepKind.HOLD:
                holds.append(step)
            elif step.kind not in (StepKind.WAIT, StepKind.DONE) and state.failed != self._revision.commit:
                # This side acts next. One that failed tries again and again, so it does not count.
                return None
        return holds[0] if holds else None

    def _tell(self, state: RolloutState) -> None:
        """Print one line when something has changed."""
        commit, name = self._revision.commit, state.controller
        if state.failed == commit:
            line = f"failed: {state.failed_why}"
        elif state.applied == commit and state.begun == commit:
            line = "has applied it, and waits for its confirmation"
        elif state.applied == commit:
            line = f"has applied it{f', {state.held} held' if state.held else ''}"
        elif state.begun == commit:
            line = "applies it"
        elif state.switched == commit:
            line = "hands the pools over" if state.role != "standby" else "has handed the pools over"
        else:
            return
        if self._lines.get(name) != line:
            self._lines[name], self._changed_s = line, monotonic_s()
            if not self._as_json:
                print(f"  {name} {state.role.value:<8} {line}", flush=True)

    def _waiting(self, own: RolloutState, peer: RolloutState | None) -> str:
        step = next_step(own, peer, LookCounts(steady=STEADY_LOOKS))
        return f"{own.controller}: {step.why}" if step.why else f"{own.other}: on its way"

    def _end(self, own: RolloutState, peer: RolloutState | None, stop: RolloutStep | None, status: int) -> int:
        both = [state for state in (own, peer) if state is not None]
        done = all(state.applied == self._revision.commit for state in both) and len(both) > 1
        if self._as_json:
            print(json.dumps(_outcome(self._revision, both, done, stop)))
        elif stop is not None:
            print(f"hagit: stopped: {stop.why}", file=sys.stderr)
            print(f"  {stop.remedy}", file=sys.stderr)
            for state in both:
                has = "has" if state.applied == self._revision.commit else "does not have"
                print(f"  {state.controller} {has} {self._revision.name}", file=sys.stderr)
        elif status == TIMED_OUT:
            print("hagit: not done yet; the agents go on, and `hagit status` shows it", file=sys.stderr)
        elif peer is None:
            print(f"{styled(self._done, 32, 1)} {self._revision.name} here; {own.other} does not answer.")
        else:
            print(f"{styled(self._done, 32, 1)} {self._revision.name} on both.")
        return status


def _outcome(revision: Revision, both: list[RolloutState], done: bool, stop: RolloutStep | None) -> dict[str, Any]:
    """JSON form of the end, as `hagit.outcome/1` with the key `controllers`."""
    commit = revision.commit
    return {
        "format": "hagit.outcome/1",
        "revision": revision.full_name,
        "complete": done and not any(state.held for state in both),
        "failure": {"what": stop.why, "where": "", "remedy": stop.remedy} if stop is not None else None,
        "controllers": {
            state.controller: {
                "role": state.role.value,
                "applied": state.applied == commit,
                "held": state.held,
                "failure": state.failed_why if state.failed == commit else "",
            }
            for state in both
        },
    }
