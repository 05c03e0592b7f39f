"""Completion: when an active controller may begin one, and the commands that it never sends."""

from dataclasses import replace

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State, initial
from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.fence_completion import (
    Completion,
    CompletionStage,
    Keep,
    after_keep,
    after_reply,
    completing,
    next_request,
)
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView, Hold
from reconciler.simulation.timed.stories import PAIR

MINE, OLD, THEIRS, NEWER = Key(Side.A, 7), Key(Side.A, 3), Key(Side.B, 5), Key(Side.B, 8)
GOOD = Reply(Answer.GOOD)


def owner(phase: Phase, **looks: object) -> State:
    state = replace(initial(PAIR, 1, 0), phase=phase, epoch=7)
    return replace(state, looks=replace(state.looks, hold=Hold.OURS, pools=Presence.ALL, **looks))  # type: ignore[arg-type]


def saw(holder: Key | None, *registered: Key) -> Reply:
    return Reply(Answer.GOOD, DiskView(True, holder, frozenset(registered)))


def played(*replies: Reply, alone: bool = True) -> Completion:
    completion = Completion(1, MINE)
    for reply in replies:
        if completion.stage is CompletionStage.KEEP:
            completion = after_keep(completion, alone=alone)
        completion = after_reply(completion, reply)
    return completion


@pytest.mark.parametrize("phase", Phase)
def test_only_who_is_active_completes_its_claim(phase: Phase) -> None:
    assert completing(owner(phase)) == (MINE if phase is Phase.ACTIVE else None)


def test_only_while_the_last_look_proves_it() -> None:
    assert completing(owner(Phase.ACTIVE, woke=True)) is None
    for hold in (Hold.LOST, Hold.UNKNOWN):
        state = owner(Phase.ACTIVE)
        assert completing(replace(state, looks=replace(state.looks, hold=hold))) is None


def test_before_an_import_only_when_it_cannot_begin() -> None:
    state = owner(Phase.IMPORTING)
    waits = replace(state, looks=replace(state.looks, pools=Presence.NONE))
    assert completing(waits) == MINE
    assert completing(replace(waits, looks=replace(waits.looks, covered=True))) is None


@pytest.mark.parametrize("holder", [None, OLD, THEIRS])
def test_nothing_is_registered_before_the_disk_is_kept(holder: Key | None) -> None:
    found = [saw(holder, *[holder] if holder else [])]
    assert next_request(played(*found)) == Keep(1)
    assert after_keep(played(*found), alone=False).stage is CompletionStage.DONE
    assert next_request(after_keep(played(*found), alone=True)) == Command(Verb.REGISTER, 1, MINE)
    with pytest.raises(AssertionError, match="a pool of ours could open"):
        next_request(Completion(1, MINE, CompletionStage.REGISTER))


def test_an_older_holder_is_preempted_by_its_exact_key() -> None:
    after = played(saw(THEIRS, THEIRS), GOOD, saw(THEIRS, THEIRS, MINE))
    assert next_request(after) == Command(Verb.PREEMPT, 1, MINE, THEIRS)


@pytest.mark.parametrize("answer", [Answer.GOOD, Answer.SILENT, Answer.CONFLICT])
def test_who_was_overtaken_leaves_whatever_it_was_told(answer: Answer) -> None:
    after = played(saw(None), Reply(answer), saw(NEWER, NEWER, MINE))
    assert next_request(after) == Command(Verb.UNREGISTER, 1, MINE)
    assert after_reply(after_reply(after, Reply(answer)), saw(NEWER, NEWER)).stage is CompletionStage.DONE


def test_a_rival_that_is_registered_and_holds_nothing_yet_must_not_find_us() -> None:
    assert next_request(played(saw(None), GOOD, saw(None, NEWER, MINE))) == Command(Verb.UNREGISTER, 1, MINE)


def test_silence_ends_a_completion_only_before_it_is_registered() -> None:
    silent = Reply(Answer.SILENT)
    assert played(silent).stage is CompletionStage.DONE
    for so_far in (
        [saw(None), GOOD],
        [saw(None), GOOD, saw(None, MINE), GOOD],
        [saw(None), GOOD, saw(NEWER, MINE), GOOD],
    ):
        assert next_request(played(*so_far, silent)) == Command(Verb.LOOK, 1, MINE)


def test_no_disk_is_left_to_nobody() -> None:
    view = DiskView(True, MINE, frozenset({MINE}))
    with pytest.raises(AssertionError, match="left without a holder"):
        next_request(Completion(1, MINE, CompletionStage.LEAVE, view))


def extending(view: DiskView) -> Completion:
    """A path is registered, and the look after it has this result."""
    halfway = DiskView(True, MINE, frozenset({MINE}), unregistered=1)
    completion = after_reply(Completion(1, MINE), Reply(Answer.GOOD, halfway))
    assert next_request(completion) == Keep(1, MINE)
    completion = after_keep(completion, alone=True)
    assert next_request(completion) == Command(Verb.EXTEND, 1, MINE)
    return after_reply(after_reply(completion, Reply(Answer.SILENT)), Reply(Answer.GOOD, view))


def test_a_path_is_registered_only_while_it_is_kept_and_the_disk_is_looked_at_after() -> None:
    done = extending(DiskView(True, MINE, frozenset({MINE})))
    assert (done.stage, done.ours, done.whole) == (CompletionStage.DONE, True, True)
    vain = extending(DiskView(True, MINE, frozenset({MINE}), unregistered=1))
    assert (vain.stage, vain.ours, vain.whole) == (CompletionStage.DONE, True, False)
    with pytest.raises(AssertionError, match="a pool of ours could use"):
        next_request(Completion(1, MINE, CompletionStage.EXTEND))


def test_a_path_that_cannot_be_kept_is_not_registered() -> None:
    halfway = after_reply(
        Completion(1, MINE), Reply(Answer.GOOD, DiskView(True, MINE, frozenset({MINE}), unregistered=1))
    )
    left = after_keep(halfway, alone=False)
    assert (left.stage, left.ours, left.whole) == (CompletionStage.DONE, True, False)


def test_a_path_is_given_up_where_another_was_faster_however_long_that_takes_to_see() -> None:
    taken = DiskView(True, NEWER, frozenset({NEWER, MINE}))
    assert next_request(extending(taken)) == Command(Verb.UNREGISTER, 1, MINE)
    unseen = extending(DiskView(False))
    assert next_request(unseen) == Command(Verb.LOOK, 1, MINE)
    assert next_request(after_reply(unseen, Reply(Answer.GOOD, taken))) == Command(Verb.UNREGISTER, 1, MINE)


def test_registrations_of_others_are_removed_before_a_path_is_registered() -> None:
    view = DiskView(True, MINE, frozenset({MINE, THEIRS}), unregistered=1)
    evicting = after_reply(Completion(1, MINE), Reply(Answer.GOOD, view))
    assert next_request(evicting) == Command(Verb.PREEMPT, 1, MINE, THEIRS)
    after = after_reply(after_reply(evicting, GOOD), Reply(Answer.GOOD, replace(view, registered=frozenset({MINE}))))
    assert next_request(after) == Keep(1, MINE)
