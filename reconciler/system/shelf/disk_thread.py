"""A thread that sends commands to one disk, one after the other. The caller waits no longer than its deadline.

Decides nothing. What has begun ends before the next begins, so nothing late is ever overtaken; what has not begun when
no caller waits for it any more is never done.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias


class TaskKind(Enum):
    """What is asked. Of each kind one task at the most waits for its turn: the newest."""

    LOOK = "look"
    PERFORM = "perform"
    READ = "read"
    WRITE = "write"
    SURVEY = "survey"
    PREPARE = "prepare"
    KEEP = "keep"


#: The place of a disk, and what it answered, or what was raised.
Answers: TypeAlias = "SimpleQueue[tuple[int, Any]]"


@dataclass(slots=True, eq=False)
class Task:
    """One question to the disk at place `at`. `do` is given `end_s`. `begun` and `done` only ever become true."""

    kind: TaskKind
    at: int
    do: Callable[[float], Any]
    end_s: float
    answers: Answers
    begun: bool = False
    done: bool = False


class DiskThread:
    """The thread starts with the first task, with the priority of its caller, and stays until `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._waiting: list[Task] = []
        self._thread: threading.Thread | None = None
        self._last: Callable[[], None] | None = None

    def ask(self, task: Task) -> None:
        """Do it after what has begun; it takes the place of one of its kind that has not."""
        with self._changed:
            self._waiting = [one for one in self._waiting if one.kind is not task.kind]
            self._waiting.append(task)
            if self._thread is None:
                priority = os.sched_getscheduler(0), os.sched_getparam(0)
                self._thread = threading.Thread(target=self._serve, args=priority, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def withdraw(self, task: Task) -> bool:
        """Never begin this one; False when it has begun."""
        with self._changed:
            if task in self._waiting:
                self._waiting.remove(task)
            return not task.begun

    def close(self, last: Callable[[], None]) -> None:
        """Do `last` after what has begun, and end. Does not wait for it."""
        with self._changed:
            self._waiting, self._last = [], last
            if self._thread is None:
                last()
            self._changed.notify()

    def _serve(self, policy: int, parameters: os.sched_param) -> None:
        # Priority is a thread's own, and not passed on (sched(7), SCHED_RESET_ON_FORK).
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, parameters)
        while (task := self._next()) is not None:
            try:
                found = task.do(task.end_s)
            except BaseException as error:
                found = error
            task.done = True
            task.answers.put((task.at, found))

    def _next(self) -> Task | None:
        with self._changed:
            while True:
                while self._waiting:
                    task = self._waiting.pop(0)
                    if time.monotonic() < task.end_s:
                        task.begun = True
                        return task
                if self._last is not None:
                    self._last()
                    return None
                self._changed.wait()


def next_answer(answers: Answers, end_s: float) -> tuple[int, Any] | None:
    """The next answer, or None when the moment `end_s` has come. Raises what the question raised."""
    try:
        at, found = answers.get(timeout=max(0.0, end_s - time.monotonic()))
    except Empty:
        return None
    if isinstance(found, BaseException):
        raise found
    return at, found
