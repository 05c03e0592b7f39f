"""Single decisions on the way of a pair to a revision, with their reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.rollout.next_step import (
    AWAY_LOOKS,
    STEADY_LOOKS,
    LookCounts,
    RolloutStep,
    StepKind,
    goes_second,
    next_step,
)
from reconciler.core.rollout.rollout_state import (
    TEXT_LENGTH_MAX,
    RolloutState,
    ServingRole,
    rollout_document,
    rollout_from_document,
)
from reconciler.errors import UsageError

ACTIVE = RolloutState(controller="a", wanted="new", applied="old", role=ServingRole.ACTIVE, hears=True, ready=True)
STANDBY = RolloutState(
    controller="b", wanted="new", applied="old", role=ServingRole.STANDBY, hears=True, able=True, was_able=True
)
READY = replace(STANDBY, applied="new")
STEADY = LookCounts(steady=STEADY_LOOKS)
AWAY = LookCounts(away=AWAY_LOOKS)


def step_of(own: RolloutState, peer: RolloutState | None, looks: LookCounts = STEADY) -> RolloutStep:
    """The step, once the controller has said that it begins."""
    step = next_step(own, peer, looks)
    return next_step(replace(own, begun=own.wanted), peer, looks) if step.kind is StepKind.CLAIM else step


def test_standby_first_then_in_place() -> None:
    assert step_of(ACTIVE, STANDBY) == RolloutStep(StepKind.WAIT, "b goes first")
    assert step_of(STANDBY, ACTIVE).kind is StepKind.APPLY
    assert next_step(ACTIVE, READY, LookCounts(steady=STEADY_LOOKS - 1)).kind is StepKind.WAIT
    assert step_of(ACTIVE, READY) == RolloutStep(StepKind.APPLY, "in place, because clients do not notice it")
    assert step_of(replace(ACTIVE, applied="new"), READY).kind is StepKind.DONE


def test_after_a_switchover_where_clients_would_notice() -> None:
    loud = replace(ACTIVE, interrupts=True)
    assert step_of(loud, READY).kind is StepKind.SWITCHOVER
    once = step_of(replace(loud, switched="new"), READY)
    assert (once.kind, "hagit apply --here" in once.remedy) == (StepKind.HOLD, True)
    assert step_of(replace(loud, switched="older"), READY).kind is StepKind.SWITCHOVER
    assert step_of(loud, replace(READY, able=False, was_able=False)).kind is StepKind.HOLD
    assert step_of(replace(loud, role=ServingRole.UNKNOWN, ready=False), READY).kind is StepKind.HOLD
    assert step_of(replace(loud, ready=False), READY).kind is StepKind.HOLD
    handed = replace(loud, role=ServingRole.STANDBY, switched="new")
    assert step_of(handed, replace(READY, role=ServingRole.ACTIVE)).kind is StepKind.APPLY


@pytest.mark.parametrize("failed", ["new", "older"])
def test_a_failure_stops_the_other(failed: str) -> None:
    """Also a part of the standby that was refused, although the revision is in force there."""
    for peer in (STANDBY, READY):
        step = step_of(ACTIVE, replace(peer, failed=failed, failed_why="the disk is full"))
        told = "it failed on b: the disk is full" in step.why
        assert told == (failed == "new")
        assert step.kind is not StepKind.APPLY or failed == "older"


def test_the_controller_that_failed_tries_again_only_where_it_serves_no_client() -> None:
    assert step_of(replace(STANDBY, failed="new"), ACTIVE).kind is StepKind.APPLY
    assert step_of(replace(ACTIVE, failed="new"), READY).kind is StepKind.HOLD


def test_a_standby_that_lost_its_ability_holds_the_active_one() -> None:
    lost = replace(READY, able=False)
    assert step_of(ACTIVE, lost).kind is StepKind.HOLD
    assert step_of(ACTIVE, replace(lost, was_able=False)).kind is StepKind.APPLY
    looks = LookCounts()
    for _ in range(2 * STEADY_LOOKS):
        looks = looks.after(ACTIVE, lost)
    assert looks.steady == 0
    assert looks.after(ACTIVE, READY).after(ACTIVE, lost).steady == 0


def test_a_peer_that_does_not_answer_is_waited_for_and_then_gone_without() -> None:
    looks = LookCounts()
    for number in range(AWAY_LOOKS):
        assert next_step(STANDBY, None, looks.after(STANDBY, None)).kind is (
            StepKind.WAIT if number + 1 < AWAY_LOOKS else StepKind.CLAIM
        )
        looks = looks.after(STANDBY, None)
    assert step_of(STANDBY, None, AWAY).why.startswith("alone: the agent of a does not answer")
    loud = replace(ACTIVE, interrupts=True)
    assert step_of(loud, None, AWAY).kind is StepKind.HOLD
    assert step_of(replace(loud, hears=False), None, AWAY).kind is StepKind.APPLY


def test_what_the_peer_cannot_take_is_not_applied() -> None:
    peer = replace(ACTIVE, wanted="old", refused="new", refused_why="pair.yaml:3:1: no such key")
    step = step_of(STANDBY, peer)
    assert (step.kind, step.why) == (StepKind.HOLD, "a cannot take this revision: pair.yaml:3:1: no such key")
    assert step_of(STANDBY, replace(ACTIVE, wanted="old")).kind is StepKind.WAIT
    own = step_of(replace(STANDBY, refused="new", refused_why="another machine"), ACTIVE)
    assert (own.kind, own.why) == (StepKind.HOLD, "b cannot take this revision: another machine")


def test_two_that_begin_together_do_not_block_each_other() -> None:
    both = replace(ACTIVE, begun="new"), replace(STANDBY, begun="new")
    assert next_step(*both, STEADY).kind is StepKind.YIELD
    assert next_step(*reversed(both), STEADY).kind is StepKind.WAIT
    assert next_step(replace(STANDBY, begun="new"), ACTIVE, STEADY).kind is StepKind.APPLY
    assert next_step(replace(ACTIVE, begun="new"), STANDBY, STEADY).kind is StepKind.YIELD


def test_strange_roles() -> None:
    two = replace(STANDBY, role=ServingRole.ACTIVE)
    assert step_of(ACTIVE, two).kind is StepKind.HOLD
    assert step_of(ACTIVE, replace(READY, role=ServingRole.MOVING)).kind is StepKind.WAIT
    roles = list(ServingRole)
    for one in roles:
        for other in roles:
            a, b = replace(ACTIVE, role=one), replace(STANDBY, role=other)
            assert goes_second(a, b) != goes_second(b, a), (one, other)
    idle, free = replace(ACTIVE, role=ServingRole.IDLE, interrupts=True), replace(READY, role=ServingRole.IDLE)
    assert step_of(idle, free).kind is StepKind.APPLY


def test_the_state_on_the_wire() -> None:
    state = replace(STANDBY, failed="new", failed_why="x" * 9_000, held=3)
    document = rollout_document(state)
    read = rollout_from_document({**document, "of a newer release": [1]})
    assert read == replace(state, failed_why="x" * (TEXT_LENGTH_MAX - 1) + "…")
    assert rollout_from_document({"format": document["format"], "controller": "a"}) == RolloutState(controller="a")
    assert rollout_from_document({**document, "role": "of a newer release"}).role is ServingRole.UNKNOWN
    assert "\x1b" not in rollout_from_document({**document, "failed_why": "\x1b[2J"}).failed_why
    for wrong in ({"format": "hagit.rollout/9"}, {"controller": "c"}, {"able": 1}, {"held": True}, {"wanted": []}):
        with pytest.raises(UsageError):
            rollout_from_document({**document, **wrong})
