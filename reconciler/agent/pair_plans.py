"""The plan of the pair on this controller: the own part, and the peer's, which the peer makes at the same time.

Decides what one controller tells the other about its part. `core/rollout/pair_plan` puts both together.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Final

from reconciler.agent.pair_rollout import serving_resources
from reconciler.agent.rollout_record import own_state, watchdog_status
from reconciler.agent.session import Content, Session
from reconciler.core.planning.plan import Plan
from reconciler.core.planning.plan_document import plan_document, plan_from_document
from reconciler.core.rollout.interruption import critical_marks, noticed_actions
from reconciler.core.rollout.next_step import RolloutStep, refused_step
from reconciler.core.rollout.pair_plan import PairPlan, PlannedSide, SwitchoverForecast, pair_plan
from reconciler.core.rollout.rollout_state import clean, rollout_document, rollout_from_document
from reconciler.errors import HagitError, PeerError
from reconciler.system.peer.channel import PeerClient, PeerReply

PLAN: Final = "plan"
RELEASE: Final = "release"
ROLLBACK_PLAN: Final = "rollback-plan"
ROLLBACK: Final = "rollback"
#: Time limit of a plan of the peer, which may have to ask its source first.
PLAN_S: Final = 20.0
#: More parts or measured times than this are not read.
PARTS_MAX: Final = 32
MS_MAX: Final = 10**9


def planned_side(session: Session, content: Content, plan: Plan) -> PlannedSide:
    """The part of this controller: its plan, its state, and what clients would notice of it. Raises StateError."""
    status = watchdog_status(session.node)
    forecast = SwitchoverForecast()
    # The marks on the links and the watchdog tell which interfaces serve clients now: no need to load the old revision.
    serving = {*serving_resources(content), *critical_marks(plan.before.values())}
    if status is not None:
        parts = tuple((part.what, part.most_ms) for part in status.readiness.parts)
        forecast = SwitchoverForecast(parts, status.readiness.measured_ms)
        serving |= {address.interface for address in status.addresses}
    noticed = noticed_actions(plan, serving)
    return PlannedSide(own_state(session.node, session.store), plan, len(noticed), forecast)


def side_document(side: PlannedSide) -> dict[str, Any]:
    """The part of a controller without its plan, as JSON-able data."""
    return {
        "state": rollout_document(side.state),
        "noticed": side.noticed,
        "parts": [[what, ms] for what, ms in side.forecast.parts],
        "measured_ms": list(side.forecast.measured_ms),
    }


def side_reply(side: PlannedSide) -> PeerReply:
    """The part of this controller as the answer to the peer: the plan is an attachment of JSON."""
    return PeerReply(side_document(side), json.dumps(plan_document(side.plan), separators=(",", ":")).encode())


class PeerPlan:
    """The peer's part for a commit, asked for in a thread of its own while this controller makes its own.

    `request`: the one that the peer answers with `side_reply`, of the body {"commit"}.
    """

    def __init__(self, client: PeerClient, commit: str, request: str = PLAN, *, timeout_s: float = PLAN_S) -> None:
        self._client, self._commit = client, commit
        self._request, self._timeout_s = request, timeout_s
        self.side: PlannedSide | None = None
        self.unknown: tuple[str, ...] = ()
        self.refusal: RolloutStep | None = None
        self._thread = threading.Thread(target=self._run, name="plan of the peer", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the peer has answered, or has not in time."""
        self._thread.join()

    def combined(self, own: PlannedSide) -> PairPlan:
        """The plan of the pair; waits for the peer."""
        self.wait()
        return pair_plan(own, self.side, self.unknown, self.refusal)

    def _run(self) -> None:
        there = self._client.identity.peer_side
        try:
            reply = self._client.ask(self._request, {"commit": self._commit}, timeout_s=self._timeout_s)
            self._read(reply, there)
        except PeerError as error:
            self.unknown = (f"{there} gives no plan: {error.what}",)
        except (HagitError, KeyError, TypeError, ValueError, RecursionError) as error:
            self.unknown = (f"{there} gave a plan that cannot be read: {clean(error)}",)

    def _read(self, reply: PeerReply, there: str) -> None:
        body = reply.body
        if "refused" in body:
            self.refusal = refused_step(there, clean(body["refused"]))
        elif "missing" in body:
            self.unknown = (f"{there} has {clean(body['missing'])}, and not this revision yet",)
        else:
            plan = plan_from_document(json.loads(reply.attachment))
            state = rollout_from_document(body["state"])
            if plan.base.controller != there or state.controller != there:
                raise ValueError("it is the plan of another controller")
            parts = tuple((clean(what), _milliseconds(ms)) for what, ms in body["parts"][:PARTS_MAX])
            measured = tuple(map(_milliseconds, body["measured_ms"][:PARTS_MAX]))
            self.side = PlannedSide(state, plan, _milliseconds(body["noticed"]), SwitchoverForecast(parts, measured))


def _milliseconds(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MS_MAX:
        raise ValueError(f"not a number of milliseconds: {clean(value)}")
    return value
