"""One thread for each disk: order, deadlines, and what is never begun."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue

import pytest

from reconciler.system.shelf.disk_thread import Answers, DiskThread, Task, TaskKind, next_answer

LONG_S = 30.0


def soon() -> float:
    return time.monotonic() + LONG_S


class Slow:
    """A question that is not answered before it may be."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, end_s: float) -> str:
        self.begun.set()
        assert self.go.wait(LONG_S)
        return "slow"


def test_what_is_asked_is_answered_in_order() -> None:
    worker, answers = DiskThread("disk"), SimpleQueue()  # type: ignore[var-annotated]
    slow = Slow()
    worker.ask(Task(TaskKind.PERFORM, 1, slow, soon(), answers))
    assert slow.begun.wait(LONG_S)
    worker.ask(Task(TaskKind.LOOK, 2, lambda end_s: "look", soon(), answers))
    assert answers.empty()
    slow.go.set()
    assert [next_answer(answers, soon()), next_answer(answers, soon())] == [(1, "slow"), (2, "look")]
    ended = threading.Event()
    worker.close(ended.set)
    assert ended.wait(LONG_S)


def test_the_newest_of_a_kind_waits_and_others_keep_their_turn() -> None:
    worker, answers = DiskThread("disk"), SimpleQueue()  # type: ignore[var-annotated]
    slow = Slow()
    worker.ask(Task(TaskKind.PERFORM, 0, slow, soon(), answers))
    assert slow.begun.wait(LONG_S)
    for at in (1, 2):
        worker.ask(Task(TaskKind.WRITE, at, lambda end_s: "written", soon(), answers))
    worker.ask(Task(TaskKind.LOOK, 3, lambda end_s: "look", soon(), answers))
    slow.go.set()
    found = [next_answer(answers, soon()) for _ in range(3)]
    assert found == [(0, "slow"), (2, "written"), (3, "look")]
    worker.close(lambda: None)


def test_what_nobody_waits_for_any_more_is_never_begun() -> None:
    worker, answers = DiskThread("disk"), SimpleQueue()  # type: ignore[var-annotated]
    slow, done = Slow(), []  # type: ignore[var-annotated]
    first = Task(TaskKind.PERFORM, 0, slow, soon(), answers)
    worker.ask(first)
    assert slow.begun.wait(LONG_S)
    withdrawn = Task(TaskKind.PERFORM, 1, done.append, soon(), answers)
    worker.ask(withdrawn)
    assert worker.withdraw(withdrawn)
    assert not worker.withdraw(first), "it has begun"
    worker.ask(Task(TaskKind.LOOK, 2, done.append, time.monotonic(), answers))
    worker.ask(Task(TaskKind.READ, 3, lambda end_s: "read", soon(), answers))
    slow.go.set()
    assert [next_answer(answers, soon()), next_answer(answers, soon())] == [(0, "slow"), (3, "read")]
    assert first.done
    assert not withdrawn.begun
    assert done == []
    worker.close(lambda: None)


def test_nothing_comes_after_the_deadline_and_errors_come_back() -> None:
    worker = DiskThread("disk")
    answers: Answers = SimpleQueue()
    assert next_answer(answers, time.monotonic() + 0.01) is None

    def fails(end_s: float) -> None:
        raise ValueError("a defect")

    worker.ask(Task(TaskKind.LOOK, 0, fails, soon(), answers))
    with pytest.raises(ValueError, match="a defect"):
        next_answer(answers, soon())
    worker.close(lambda: None)


def test_closing_waits_for_nobody_and_closes_last() -> None:
    worker, answers = DiskThread("disk"), SimpleQueue()  # type: ignore[var-annotated]
    slow, ended = Slow(), threading.Event()
    worker.ask(Task(TaskKind.PERFORM, 0, slow, soon(), answers))
    assert slow.begun.wait(LONG_S)
    worker.close(ended.set)
    assert not ended.is_set()
    slow.go.set()
    assert ended.wait(LONG_S)
    never = threading.Event()
    DiskThread("disk").close(never.set)
    assert never.is_set(), "without a thread there is nothing to wait for"


def test_the_thread_has_the_priority_of_whoever_asks() -> None:
    answers: Answers = SimpleQueue()
    worker = DiskThread("disk")
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(7))
    try:
        worker.ask(Task(TaskKind.LOOK, 0, lambda end_s: os.sched_getparam(0).sched_priority, soon(), answers))
        assert next_answer(answers, soon()) == (0, 7)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    worker.close(lambda: None)
