"""When an active controller may complete its claim, and what the completion of one disk never asks."""

from dataclasses import replace

import pytest

from reconciler.core.failover.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.completion import Completion, Keep, Stage, asks, completing, heard, kept
from reconciler.core.failover.events import Pools
from reconciler.core.failover.hold import DiskView, Hold
from reconciler.core.failover.key import Key, Side
from reconciler.core.failover.phase import Phase
from reconciler.core.failover.state import State, initial
from reconciler.simulation.script import PAIR

MINE, OLD, THEIRS, NEWER = Key(Side.A, 7), Key(Side.A, 3), Key(Side.B, 5), Key(Side.B, 8)
GOOD = Reply(Answer.GOOD)


def owner(phase: Phase, **looks: object) -> State:
    state = replace(initial(PAIR, 1, 0), phase=phase, epoch=7)
    return replace(state, looks=replace(state.looks, hold=Hold.OURS, pools=Pools.ALL, **looks))  # type: ignore[arg-type]


def saw(holder: Key | None, *registered: Key) -> Reply:
    return Reply(Answer.GOOD, DiskView(True, holder, frozenset(registered)))


def played(*replies: Reply, alone: bool = True) -> Completion:
    completion = Completion(1, MINE)
    for reply in replies:
        if completion.stage is Stage.KEEP:
            completion = kept(completion, alone=alone)
        completion = heard(completion, reply)
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
    waits = replace(state, looks=replace(state.looks, pools=Pools.NONE))
    assert completing(waits) == MINE
    assert completing(replace(waits, looks=replace(waits.looks, covered=True))) is None


@pytest.mark.parametrize("holder", [None, OLD, THEIRS])
def test_nothing_is_registered_before_the_disk_is_kept(holder: Key | None) -> None:
    found = [saw(holder, *[holder] if holder else [])]
    assert asks(played(*found)) == Keep(1)
    assert kept(played(*found), alone=False).stage is Stage.DONE
    assert asks(kept(played(*found), alone=True)) == Command(Verb.REGISTER, 1, MINE)
    with pytest.raises(AssertionError, match="a pool of ours could open"):
        asks(Completion(1, MINE, Stage.REGISTER))


def test_an_older_holder_is_preempted_by_its_exact_key() -> None:
    after = played(saw(THEIRS, THEIRS), GOOD, saw(THEIRS, THEIRS, MINE))
    assert asks(after) == Command(Verb.PREEMPT, 1, MINE, THEIRS)


@pytest.mark.parametrize("answer", [Answer.GOOD, Answer.SILENT, Answer.CONFLICT])
def test_who_was_overtaken_leaves_whatever_it_was_told(answer: Answer) -> None:
    after = played(saw(None), Reply(answer), saw(NEWER, NEWER, MINE))
    assert asks(after) == Command(Verb.UNREGISTER, 1, MINE)
    assert heard(heard(after, Reply(answer)), saw(NEWER, NEWER)).stage is Stage.DONE


def test_a_rival_that_is_registered_and_holds_nothing_yet_must_not_find_us() -> None:
    assert asks(played(saw(None), GOOD, saw(None, NEWER, MINE))) == Command(Verb.UNREGISTER, 1, MINE)


def test_silence_ends_a_completion_only_before_it_is_registered() -> None:
    silent = Reply(Answer.SILENT)
    assert played(silent).stage is Stage.DONE
    for so_far in (
        [saw(None), GOOD],
        [saw(None), GOOD, saw(None, MINE), GOOD],
        [saw(None), GOOD, saw(NEWER, MINE), GOOD],
    ):
        assert asks(played(*so_far, silent)) == Command(Verb.LOOK, 1, MINE)


def test_no_disk_is_left_to_nobody() -> None:
    view = DiskView(True, MINE, frozenset({MINE}))
    with pytest.raises(AssertionError, match="left to nobody"):
        asks(Completion(1, MINE, Stage.LEAVE, view))
