"""One plan for a pair: the steps in their order, the role of each controller at each, and what clients wait for.

The steps are those of `next_step`, played forward from the present states as if every step went well. So the plan
shows what the agents do. The longest wait of a switchover is that of the watchdog's orders, as `hagit status` shows it;
what the newest ones took is given beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from reconciler.core.planning.plan import Plan
from reconciler.core.rollout.next_step import AWAY_LOOKS, STEADY_LOOKS, LookCounts, RolloutStep, StepKind, next_step
from reconciler.core.rollout.rollout_state import RolloutState, ServingRole

#: More rounds than any pair needs.
ROUNDS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class SwitchoverForecast:
    """The longest wait of clients in a switchover, in parts that add up, and what the newest ones took, oldest first.

    Milliseconds. Without parts nothing is known.
    """

    parts: tuple[tuple[str, int], ...] = ()
    measured_ms: tuple[int, ...] = ()

    @property
    def most_ms(self) -> int:
        """The sum of the parts."""
        return sum(ms for _, ms in self.parts)


@dataclass(frozen=True, slots=True)
class PlannedSide:
    """One controller: its state, its plan, the actions that clients would notice there, and its switchover."""

    state: RolloutState
    plan: Plan
    noticed: int = 0
    forecast: SwitchoverForecast = SwitchoverForecast()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do here."""
        return not self.plan.actions and not self.plan.orders


class PairStepKind(StrEnum):
    """APPLY: one controller applies its part. SWITCHOVER: the active one hands the pools over."""

    APPLY = "apply"
    SWITCHOVER = "switchover"


@dataclass(frozen=True, slots=True)
class PairStep:
    """One step. `controller` acts, in `role`. `interruption_ms`: the longest wait of clients; None: not known.

    `parts` add up to it. `why`: the reason for the place and the way of the step.
    """

    kind: PairStepKind
    controller: str
    role: ServingRole
    why: str
    interruption_ms: int | None = 0
    parts: tuple[tuple[str, int], ...] = ()
    actions: int = 0
    orders: int = 0
    noticed: int = 0


@dataclass(frozen=True, slots=True)
class PairPlan:
    """What happens on which controller, in which order.

    `stops`: why the steps end before both have the revision, with the ways out. `unknown`: what cannot be known now.
    """

    revision: str
    sides: tuple[PlannedSide, ...]
    steps: tuple[PairStep, ...] = ()
    stops: tuple[RolloutStep, ...] = ()
    unknown: tuple[str, ...] = ()
    measured_ms: tuple[int, ...] = ()

    @property
    def switchovers(self) -> int:
        """How often the pools move."""
        return sum(step.kind is PairStepKind.SWITCHOVER for step in self.steps)

    @property
    def interruption_ms(self) -> int | None:
        """The longest wait of clients in all steps together; None when that of a step is not known."""
        waits = [step.interruption_ms for step in self.steps]
        known = [wait for wait in waits if wait is not None]
        return sum(known) if len(known) == len(waits) else None

    def side(self, controller: str) -> PlannedSide | None:
        """The part of one controller, None when it is not known."""
        return next((side for side in self.sides if side.state.controller == controller), None)


def pair_plan(
    own: PlannedSide, peer: PlannedSide | None, unknown: Sequence[str] = (), refusal: RolloutStep | None = None
) -> PairPlan:
    """The plan of the pair.

    `peer` is None when it has no plan: `refusal` then is why it cannot take this revision, or `unknown` says why it did
    not answer.
    """
    revision = own.plan.base.revision
    steps: list[PairStep] = []
    stops: list[RolloutStep] = []
    if peer is None:
        if refusal is not None:
            return PairPlan(revision, (own,), stops=(refusal,), unknown=tuple(unknown))
        _play(own, _ready(own), None, steps, stops)
        there = own.state.other
        lacks = f"what changes on {there}, its role, and whether it can take this revision are not known"
        return PairPlan(revision, (own,), tuple(steps), tuple(stops), (*unknown, lacks), own.forecast.measured_ms)
    sides = {side.state.controller: side for side in (own, peer)}
    states = {name: _ready(side) for name, side in sides.items()}
    for _ in range(ROUNDS_MAX):
        before, stops = dict(states), []
        for name in sorted(states):
            other = states[name].other
            states[name], states[other] = _play(sides[name], states[name], states[other], steps, stops)
        if states == before:
            break
    active = next((side for side in (own, peer) if side.state.role is ServingRole.ACTIVE), own)
    ordered = tuple(sides[name] for name in sorted(sides))
    return PairPlan(revision, ordered, tuple(steps), tuple(stops), tuple(unknown), active.forecast.measured_ms)


def _ready(side: PlannedSide) -> RolloutState:
    """The state from which a side is played: no apply is under way, and a side with nothing to do has the revision."""
    commit = side.plan.base.revision.rpartition("@")[2]
    applied = commit if side.idle else "" if side.state.applied == commit else side.state.applied
    state = replace(side.state, wanted=commit, applied=applied, begun="", interrupts=side.noticed > 0)
    return replace(state, was_able=state.able)


def _play(
    side: PlannedSide,
    own: RolloutState,
    peer: RolloutState | None,
    steps: list[PairStep],
    stops: list[RolloutStep],
) -> tuple[RolloutState, RolloutState]:
    """Play the next step of one side: both states after it. A step that holds is noted as a stop."""
    looks = LookCounts(away=AWAY_LOOKS) if peer is None else LookCounts(steady=STEADY_LOOKS)
    step = next_step(own, peer, looks)
    if step.kind is StepKind.CLAIM:
        own = replace(own, begun=own.wanted)
        step = next_step(own, peer, looks)
    there = peer if peer is not None else own
    if step.kind is StepKind.APPLY:
        steps.append(_apply_step(side, own, step))
        return replace(own, applied=own.wanted, begun="", failed="", was_able=own.able), there
    if step.kind is StepKind.SWITCHOVER:
        known = side.forecast.most_ms if side.forecast.parts else None
        steps.append(PairStep(PairStepKind.SWITCHOVER, own.controller, own.role, step.why, known, side.forecast.parts))
        handed = replace(own, role=ServingRole.STANDBY, switched=own.wanted, able=True)
        return handed, replace(there, role=ServingRole.ACTIVE, able=False)
    if step.kind is StepKind.HOLD:
        stops.append(step)
    return own, there


def _apply_step(side: PlannedSide, state: RolloutState, step: RolloutStep) -> PairStep:
    serves = state.role is not ServingRole.STANDBY
    noticed = side.noticed if serves else 0
    return PairStep(
        PairStepKind.APPLY,
        side.state.controller,
        state.role,
        step.why,
        None if noticed else 0,
        actions=len(side.plan.actions),
        orders=len(side.plan.orders),
        noticed=noticed,
    )
