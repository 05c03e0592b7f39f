"""Every way in which an enrolment can go: both people, both disks, and a cut after every message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from reconciler.core.peer.enrolment import (
    ConnectionLost,
    EnrolmentEffect,
    EnrolmentEvent,
    EnrolmentMessage,
    EnrolmentOutcome,
    EnrolmentPhase,
    EnrolmentRole,
    EnrolmentState,
    FilesWritten,
    MessageArrived,
    PersonAnswered,
    advance,
)

HOST, JOINER = 0, 1
OTHER = {HOST: JOINER, JOINER: HOST}


@dataclass(frozen=True)
class Side:
    """One controller: its state, the disk, and what is on the way to it. `kept`: nothing, stored, committed."""

    state: EnrolmentState
    inbox: tuple[EnrolmentMessage, ...] = ()
    kept: str = ""
    answer: bool | None = None
    writing: EnrolmentEffect | None = None


@dataclass(frozen=True)
class World:
    """Both controllers. `cut`: nothing that is sent from now on arrives."""

    sides: tuple[Side, Side]
    cut: bool = False

    def with_side(self, at: int, side: Side) -> World:
        return replace(self, sides=(side, self.sides[1]) if at == HOST else (self.sides[0], side))


START = World((Side(EnrolmentState(EnrolmentRole.HOST)), Side(EnrolmentState(EnrolmentRole.JOINER))))


def after(world: World, at: int, event: EnrolmentEvent) -> World:
    """The world after an event of one side, with what it sends and the write that it begins."""
    side = world.sides[at]
    state, effects = advance(side.state, event)
    if isinstance(event, PersonAnswered):
        side = replace(side, answer=event.yes)
    world = world.with_side(
        at, replace(side, state=state, writing=None if isinstance(event, FilesWritten) else side.writing)
    )
    for effect in effects:
        side, other = world.sides[at], world.sides[OTHER[at]]
        if effect.startswith("send-") and not world.cut:
            message = EnrolmentMessage(effect.removeprefix("send-"))
            world = world.with_side(OTHER[at], replace(other, inbox=(*other.inbox, message)))
        elif effect is EnrolmentEffect.DISCARD:
            assert side.kept != "committed", "what is in force is not discarded"
            world = world.with_side(at, replace(side, kept=""))
        elif effect in (EnrolmentEffect.STORE, EnrolmentEffect.COMMIT):
            assert side.writing is None
            world = world.with_side(at, replace(side, writing=effect))
    return world


def successors(world: World) -> Iterator[World]:
    """Everything that can happen next."""
    if not world.cut:
        yield replace(world, cut=True)
    for at in (HOST, JOINER):
        side = world.sides[at]
        if side.state.phase is EnrolmentPhase.ENDED:
            continue
        if side.writing is not None:
            kept = "stored" if side.writing is EnrolmentEffect.STORE else "committed"
            yield after(world.with_side(at, replace(side, kept=kept)), at, FilesWritten(True))
            yield after(world, at, FilesWritten(False))
            continue
        if side.answer is None and side.state.phase is EnrolmentPhase.CONFIRMING:
            yield after(world, at, PersonAnswered(True))
            yield after(world, at, PersonAnswered(False))
        if side.inbox:
            yield after(world.with_side(at, replace(side, inbox=side.inbox[1:])), at, MessageArrived(side.inbox[0]))
        if world.cut:
            # What was on the way may be lost as well.
            yield after(world.with_side(at, replace(side, inbox=())), at, ConnectionLost())


def check(world: World) -> None:
    host, joiner = world.sides
    for side in world.sides:
        if side.kept:
            assert host.answer and joiner.answer, "kept only what both people have confirmed"
    if joiner.kept == "committed":
        assert host.kept == "committed", "the joiner commits only what the host has committed"
    if host.kept == "committed":
        assert joiner.kept in ("stored", "committed"), "the joiner has all that it needs"
    for side in world.sides:
        match side.state.outcome:
            case EnrolmentOutcome.ENROLLED:
                assert side.kept == "committed"
            case EnrolmentOutcome.PEER_UNKNOWN:
                assert side.kept == "committed" and side.state.role is EnrolmentRole.HOST
            case EnrolmentOutcome.IN_DOUBT:
                assert side.kept == "stored" and side.state.role is EnrolmentRole.JOINER
            case None:
                pass
            case _:
                assert not side.kept, "a failed enrolment leaves nothing"


def explored() -> dict[World, int]:
    seen, todo = {START: 0}, [START]
    while todo:
        world = todo.pop()
        check(world)
        for found in successors(world):
            if found not in seen:
                seen[found] = seen[world] + 1
                todo.append(found)
    return seen


def test_no_cut_no_answer_and_no_full_disk_leaves_anything_half() -> None:
    worlds = explored()
    ended = [world for world in worlds if all(side.state.phase is EnrolmentPhase.ENDED for side in world.sides)]
    pairs = Counter((host.state.outcome, joiner.state.outcome) for host, joiner in (world.sides for world in ended))
    assert len(worlds) > 150
    assert pairs[EnrolmentOutcome.ENROLLED, EnrolmentOutcome.ENROLLED]
    # The only cut that leaves a question: the host has committed, and the joiner was not told.
    assert pairs[EnrolmentOutcome.PEER_UNKNOWN, EnrolmentOutcome.IN_DOUBT]
    assert EnrolmentOutcome.CONFUSED not in {one for pair in pairs for one in pair}
    for outcomes in pairs:
        assert (outcomes[HOST] is EnrolmentOutcome.ENROLLED) <= (outcomes[JOINER] is EnrolmentOutcome.ENROLLED)


def test_every_world_comes_to_an_end() -> None:
    for world in explored():
        if not any(True for _ in successors(world)):
            assert all(side.state.phase is EnrolmentPhase.ENDED for side in world.sides)


@pytest.mark.parametrize("message", EnrolmentMessage)
@pytest.mark.parametrize("role", EnrolmentRole)
def test_a_message_that_does_not_belong_there_commits_nothing(role: EnrolmentRole, message: EnrolmentMessage) -> None:
    """A peer that skips a step, before the person here has answered."""
    state, effects = advance(EnrolmentState(role), MessageArrived(message))
    assert not {EnrolmentEffect.STORE, EnrolmentEffect.COMMIT} & {*effects}
    assert state.phase is EnrolmentPhase.ENDED or message is EnrolmentMessage.CONFIRMED
