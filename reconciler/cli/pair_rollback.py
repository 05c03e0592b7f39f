"""`hagit rollback` on an enrolled pair: both controllers go back by one plan, which their agents follow.

The peer judges the commit by itself and gives its part of the plan. After one question both agents are told what to go
back to, the peer first: so nothing has changed anywhere when it cannot be told. The rest is as in `hagit apply`.
"""

from __future__ import annotations

from typing import Final

from reconciler.agent.pair_plans import ROLLBACK, ROLLBACK_PLAN, PeerPlan
from reconciler.agent.rollback import rollback_side, start_rollback
from reconciler.agent.session import Content, Session
from reconciler.cli.pair_apply import STOPPED, RolloutProgress
from reconciler.cli.plan import make_plan, print_plans
from reconciler.cli.terminal import confirmed, print_not_done
from reconciler.core.rollout.pair_plan import PairPlan
from reconciler.core.status.revision import Revision
from reconciler.errors import HagitError, PeerError, SourceError, UsageError
from reconciler.system.peer.channel import PeerClient

#: The peer may have to load the commit first.
ASK_S: Final = 20.0


def rollback_pair(
    session: Session, client: PeerClient, target: Revision, content: Content, question: str, *, yes: bool
) -> int:
    """Show the plan of the pair, ask `question`, and follow both agents back to `target`. Returns the exit status.

    Raises HagitError when the two cannot go back together; then nothing has changed, or the error says what may have.
    """
    there = client.identity.peer_side
    alone = f"to go back on {session.node.controller} alone: hagit rollback --here {target.commit[:7]}"
    if not session.agent_runs:
        raise UsageError(
            "no agent runs here, so the pair cannot go back together", remedy=f"systemctl start hagit-agent; {alone}"
        )
    asked = PeerPlan(client, target.commit, ROLLBACK_PLAN)
    plan = make_plan(session, target, content)
    pair = asked.combined(rollback_side(session, target, content, plan))
    # Before the plan: the one of this controller alone is not what would be done.
    _require_peer(pair, there, alone)
    print_plans(plan, pair, as_json=False)
    if not pair.steps and pair.stops:
        raise SourceError("nothing was rolled back: see what stops it", remedy=alone)
    head = session.newest_state()
    print(f"\n{question}")
    if not yes and not confirmed("Go on, on both controllers?"):
        print_not_done("Nothing was rolled back")
        return STOPPED
    _tell_peer(client, target, head, alone)
    try:
        start_rollback(session, head, target)
    except HagitError as error:
        raise SourceError(
            f"{there} waits to go back to {target.name}, and this controller cannot: {error.what}",
            where=error.where,
            remedy=f"mend that, and run hagit rollback {target.commit[:7]} again; {error.remedy}".rstrip("; "),
        ) from error
    return RolloutProgress(session, target, pair, done="Rolled back to").follow()


def _require_peer(pair: PairPlan, there: str, alone: str) -> None:
    """Raise HagitError when the peer cannot take part."""
    if pair.side(there) is not None:
        return
    if pair.stops and not pair.unknown:
        raise SourceError(f"nothing was rolled back: {pair.stops[0].why}", remedy=alone)
    raise SourceError(
        f"nothing was rolled back: {pair.unknown[0]}",
        remedy=f"`hagit peer` shows the way to {there}; {alone} ({there} then keeps the revision that it has)",
    )


def _tell_peer(client: PeerClient, target: Revision, head: str, alone: str) -> None:
    """Tell the peer to go back. Raises PeerError."""
    there = client.identity.peer_side
    try:
        client.ask(ROLLBACK, {"commit": target.commit, "head": head}, timeout_s=ASK_S)
    except PeerError as error:
        again = f"run hagit rollback {target.commit[:7]} again"
        if error.sent:
            what = f"whether {there} goes back is not known, and this controller has not begun: {error.what}"
            raise PeerError(error.code, what, remedy=f"when {there} answers, {again}", sent=True) from error
        raise PeerError(
            error.code, f"nothing was rolled back: {there}: {error.what}", remedy=f"{error.remedy or again}; {alone}"
        ) from error
