"""The next step of one controller on the way of a pair to a revision.

Both agents evaluate `next_step` from the same two states, each with its own first. *The standby applies a revision
first. The active controller follows when the standby has applied it and could still take over; where the change would
interrupt clients, it first hands the pools over, at most once for each revision.* The first failure stops both.

Two controllers never apply at the same time while they can ask each other: each says that it begins (`begun`), then
looks at the peer once more, and begins only if the peer has not said so (the mutual exclusion of Dekker). When both
have said so, `YIELDING` takes its word back. Does not know how the peer is asked or how a plan is performed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.core.rollout.rollout_state import RolloutState, ServingRole

#: The peer counts as away after this many looks in a row without an answer.
AWAY_LOOKS: Final = 5
#: The standby has proven a revision when it was seen in good order this many looks in a row.
STEADY_LOOKS: Final = 3
#: The side that takes its word back when both have said that they begin; it also goes second when neither serves.
YIELDING: Final = "a"


class StepKind(StrEnum):
    """What to do. CLAIM: say that this controller begins, and look again. YIELD: take that word back.

    WAIT: the peer is on its way. HOLD: nothing happens until a person or a new revision changes something.
    """

    DONE = "done"
    CLAIM = "claim"
    YIELD = "yield"
    APPLY = "apply"
    SWITCHOVER = "switchover"
    WAIT = "wait"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """One step: what, why (a clause without a full stop), and for HOLD the way out."""

    kind: StepKind
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class LookCounts:
    """Looks at the peer in a row: `away` without an answer, `steady` at a standby that is in good order."""

    away: int = 0
    steady: int = 0

    def after(self, own: RolloutState, peer: RolloutState | None) -> LookCounts:
        """The counts after one more look. Both are bounded."""
        if peer is None:
            return LookCounts(away=min(self.away + 1, AWAY_LOOKS))
        return LookCounts(steady=min(self.steady + 1, STEADY_LOOKS) if _in_order(own.wanted, peer) else 0)


def _in_order(commit: str, standby: RolloutState) -> bool:
    """Whether a controller has applied a commit and has not lost the ability to take over with it."""
    able = standby.able or not standby.was_able
    return standby.applied == commit and not standby.begun and able and standby.role is not ServingRole.MOVING


def next_step(own: RolloutState, peer: RolloutState | None, looks: LookCounts) -> RolloutStep:
    """The next step of `own`; `peer` is None when it has not answered this look. `looks` counts this look."""
    if not own.wanted or own.applied == own.wanted:
        return RolloutStep(StepKind.DONE)
    if peer is None:
        if looks.away < AWAY_LOOKS:
            return RolloutStep(StepKind.WAIT, f"the agent of {own.other} does not answer")
        return _begin(own, _alone(own))
    if peer.begun:
        why = f"{peer.controller} is applying a revision, or its change is not confirmed yet"
        return RolloutStep(StepKind.YIELD if own.begun and own.controller == YIELDING else StepKind.WAIT, why)
    return _begin(own, _together(own, peer, looks))


def _begin(own: RolloutState, step: RolloutStep) -> RolloutStep:
    """Say first that this controller begins; take the word back when it may not begin any more."""
    if step.kind is StepKind.APPLY and own.begun != own.wanted:
        return RolloutStep(StepKind.CLAIM, step.why)
    if step.kind is not StepKind.APPLY and own.begun:
        return RolloutStep(StepKind.YIELD, step.why, step.remedy)
    return step


def _alone(own: RolloutState) -> RolloutStep:
    """The step of a controller whose peer does not answer: as without a peer, but say so.

    The exception: clients would be interrupted although the peer's watchdog is heard, so that the peer could serve.
    """
    why = f"alone: the agent of {own.other} does not answer, so whether it can follow is not known"
    serves = own.role in (ServingRole.ACTIVE, ServingRole.UNKNOWN)
    if serves and own.interrupts and own.hears:
        return RolloutStep(
            StepKind.HOLD,
            f"it would interrupt clients, and {own.other} is alive although its agent does not answer",
            f"start hagit-agent on {own.other}, or apply here alone: hagit apply --here",
        )
    return RolloutStep(StepKind.APPLY, why)


def _together(own: RolloutState, peer: RolloutState, looks: LookCounts) -> RolloutStep:
    here, there = own.controller, peer.controller
    for state in (own, peer):
        if state.refused == own.wanted:
            return refused_step(state.controller, state.refused_why)
    if own.wanted not in (peer.wanted, peer.applied):
        return RolloutStep(StepKind.WAIT, f"{there} does not have this revision yet")
    if ServingRole.MOVING in (own.role, peer.role):
        return RolloutStep(StepKind.WAIT, "the pools are moving")
    if own.role is peer.role is ServingRole.ACTIVE:
        return RolloutStep(
            StepKind.HOLD, "both controllers say that they are active", "see `hagit status` on both controllers"
        )
    if peer.failed == own.wanted:
        return _stopped(there, peer.failed_why)
    if not goes_second(own, peer):
        return RolloutStep(StepKind.APPLY, _first_why(own, peer))
    if own.failed == own.wanted:
        return _stopped(here, own.failed_why)
    return _second(own, peer, looks)


def refused_step(controller: str, why: str) -> RolloutStep:
    """The step of a pair of which one controller cannot take the revision."""
    return RolloutStep(
        StepKind.HOLD,
        f"{controller} cannot take this revision: {why}",
        f"correct it with a new commit, or mend what {controller} names",
    )


def _stopped(controller: str, why: str) -> RolloutStep:
    return RolloutStep(
        StepKind.HOLD,
        f"it failed on {controller}: {why}",
        "correct it with a new commit, or mend the cause and try again: hagit apply",
    )


def goes_second(own: RolloutState, peer: RolloutState) -> bool:
    """Whether `own` serves clients, or may. Where neither does, one of the two goes second all the same."""
    for role in (ServingRole.ACTIVE, ServingRole.UNKNOWN):
        if role in (own.role, peer.role) and own.role is not peer.role:
            return own.role is role
    return own.controller == YIELDING


def _first_why(own: RolloutState, peer: RolloutState) -> str:
    if peer.applied == own.wanted:
        return f"{peer.controller} has it already"
    return "the standby goes first" if own.role is ServingRole.STANDBY else "this controller serves no client"


def _second(own: RolloutState, peer: RolloutState, looks: LookCounts) -> RolloutStep:
    """The step of the controller that serves: after the standby, and after a switchover where clients would notice."""
    there = peer.controller
    if peer.applied != own.wanted:
        return RolloutStep(StepKind.WAIT, f"{there} goes first")
    if not _in_order(own.wanted, peer):
        return RolloutStep(
            StepKind.HOLD,
            f"{there} has applied it and could not take over any more",
            f"`hagit status` on {there} says why; `hagit rollback` there goes back",
        )
    if looks.steady < STEADY_LOOKS:
        return RolloutStep(StepKind.WAIT, f"{there} has applied it and proves itself")
    if not own.interrupts:
        return RolloutStep(StepKind.APPLY, "in place, because clients do not notice it")
    if own.role is ServingRole.IDLE:
        return RolloutStep(StepKind.APPLY, "in place, because no active controller could hand clients over")
    if own.wanted in (own.switched, peer.switched):
        return RolloutStep(
            StepKind.HOLD,
            f"the switchover for it was asked for once, and {own.controller} is active",
            "hand over with `hagit switchover`, or apply in place: hagit apply --here",
        )
    if not own.ready or peer.role is not ServingRole.STANDBY or not peer.able:
        return RolloutStep(
            StepKind.HOLD,
            f"it would interrupt clients, and a switchover to {there} is not possible",
            "`hagit status` on both says why; to apply in place all the same: hagit apply --here",
        )
    return RolloutStep(StepKind.SWITCHOVER, f"it would interrupt clients, so {there} serves them first")
