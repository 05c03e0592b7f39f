"""The plan that a push shows: that of the pair, or of this controller alone on a pair that is not enrolled.

The peer plans what it has just judged, at the same time and within a limit. What it does not answer, the plan says.
Does not decide whether the push is taken.
"""

from __future__ import annotations

from typing import Final

from reconciler.agent.pair_plans import PeerPlan, planned_side
from reconciler.agent.push.candidate import Candidate, candidate_plan, shortened
from reconciler.agent.push.push_peer import PLAN
from reconciler.agent.session import Session
from reconciler.core.planning.render import render_plan
from reconciler.core.push.agreement import PeerAnswer, PeerVerdict
from reconciler.core.rollout.next_step import refused_step
from reconciler.core.rollout.pair_plan import PairPlan, pair_plan
from reconciler.core.rollout.pair_plan_text import render_pair_steps
from reconciler.core.rollout.rollout_state import clean
from reconciler.errors import HagitError

WIDTH: Final = 100
#: On a pair with one controller, or without a channel, there is no plan of a pair.
ALONE: Final = (PeerVerdict.NEEDLESS, PeerVerdict.NOT_ENROLLED)


def push_plan_text(session: Session, candidate: Candidate, answer: PeerAnswer, peer_s: float) -> str:
    """The plan for a candidate as a person reads it; why there is none, when there is none.

    `answer`: what the peer said to the commit. `peer_s`: how long its plan may take.
    """
    try:
        if answer.verdict in ALONE:
            return shortened(render_plan(candidate_plan(session, candidate), color=False, width=WIDTH))
        return _text(_pair_plan(session, candidate, answer, peer_s))
    except HagitError as error:
        return shortened(f"no plan for controller {session.node.controller}: {error}")


def _pair_plan(session: Session, candidate: Candidate, answer: PeerAnswer, peer_s: float) -> PairPlan:
    client = session.peer if answer.verdict is PeerVerdict.READY else None
    asked = PeerPlan(client, candidate.tip, PLAN, timeout_s=peer_s) if client is not None else None
    own = planned_side(session, candidate.content, candidate_plan(session, candidate))
    if asked is not None:
        return asked.combined(own)
    there = own.state.other
    if answer.verdict is PeerVerdict.REFUSED:
        return pair_plan(own, None, (), refused_step(there, clean(answer.text)))
    why = "its release of hagit is older" if answer.verdict is PeerVerdict.OLDER else clean(answer.text)
    return pair_plan(own, None, (f"{there} gives no plan: {why or 'it does not answer'}",))


def _text(plan: PairPlan) -> str:
    """The steps, and the plan of each controller: each of them is shortened, so that none hides another."""
    sides = (render_plan(side.plan, color=False, width=WIDTH) for side in plan.sides)
    return "\n\n".join(map(shortened, (render_pair_steps(plan, color=False, width=WIDTH), *sides)))
