"""The same question to many disks, again and again: who answers late is waited for, and not asked twice meanwhile.

A disk whose question the kernel gave up after a long time is asked again after a pause that grows: its error handling
has enough to do, and resets of disks and hosts disturb both controllers. One that answers is asked as ever.

A disk that takes longer to answer than it is waited for each time would otherwise never be heard, though nothing is
wrong with it but what others have queued before. Decides nothing about what was answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from queue import SimpleQueue
from typing import Any, Final

from reconciler.system.shelf.disk_thread import Answers, DiskThread, Task, TaskKind, next_answer

#: A question that took this long without an answer was aborted by the kernel; an error comes sooner.
GIVEN_UP_S: Final = 1.0
#: The first pause, and the longest.
PAUSE_S, PAUSE_S_MAX = 0.5, 4.0


@dataclass(frozen=True, slots=True)
class PollAnswers:
    """What was answered, by the places of the disks: `fresh` to this question, `late` to one before.

    A late answer comes with the seconds by which its question was asked before this one.
    """

    fresh: dict[int, Any] = field(default_factory=dict)
    late: dict[int, tuple[Any, float]] = field(default_factory=dict)


class Poller:
    """Belongs to one thread. The workers are those of the disks, in their order.

    Each worker has a number of its own, so that an answer finds the place that its disk has by newer orders.
    """

    def __init__(self, kind: TaskKind, workers: Sequence[DiskThread], nothing: Any = None) -> None:
        """`nothing`: what stands for a disk that did not answer."""
        self._nothing = nothing
        #: Until when a disk is left alone, and for how long then; by number.
        self._rests: dict[int, tuple[float, float]] = {}
        self._kind = kind
        self._answers: Answers = SimpleQueue()
        #: What each disk was asked and has not answered, and when; by number.
        self._asked: dict[int, tuple[Task, float]] = {}
        self._workers: Sequence[DiskThread] = ()
        self._numbers: dict[DiskThread, int] = {}
        self._places: dict[int, int] = {}
        self._next = count()
        self.follow(workers)

    def follow(self, workers: Sequence[DiskThread]) -> None:
        """Ask these from now on. What a disk that stays has been asked is still waited for."""
        self._workers = workers
        known = self._numbers
        self._numbers = {worker: known[worker] if worker in known else next(self._next) for worker in workers}
        self._places = {self._numbers[worker]: at for at, worker in enumerate(workers)}
        self._asked = {number: asked for number, asked in self._asked.items() if number in self._places}
        self._rests = {number: rest for number, rest in self._rests.items() if number in self._places}

    def ask(self, questions: Mapping[int, Callable[[float], Any]], deadline_s: float, patience_s: float) -> PollAnswers:
        """Ask every disk that is not being asked, and wait for all of them until the deadline.

        Drops an answer that takes longer than `patience_s`. Raises what a question raised.
        """
        begun_s = time.monotonic()
        found = PollAnswers()
        # What has come since the last time.
        while self._take(found, begun_s, begun_s, patience_s):
            pass
        for at, do in questions.items():
            worker = self._workers[at]
            number = self._numbers[worker]
            if number not in self._asked and begun_s < self._rests.get(number, (0.0, 0.0))[0]:
                continue
            task = self._asked[number][0] if number in self._asked else None
            if task is None or worker.withdraw(task):
                task = Task(self._kind, number, do, begun_s + max(deadline_s, patience_s), self._answers)
                self._asked[number] = task, begun_s
                worker.ask(task)
        while self._asked and self._take(found, begun_s, begun_s + deadline_s, patience_s):
            pass
        return found

    def _take(self, found: PollAnswers, begun_s: float, end_s: float, patience_s: float) -> bool:
        """One more answer, or False when none came."""
        answer = next_answer(self._answers, end_s)
        if answer is None:
            return False
        number, said = answer
        if number not in self._asked:
            # Of a disk that newer orders do not name.
            return True
        _, asked_s = self._asked.pop(number)
        at, now_s = self._places[number], time.monotonic()
        if said != self._nothing:
            self._rests.pop(number, None)
        elif now_s - asked_s >= GIVEN_UP_S:
            pause_s = min(PAUSE_S_MAX, 2 * self._rests.get(number, (0.0, PAUSE_S / 2))[1])
            self._rests[number] = now_s + pause_s, pause_s
        if asked_s >= begun_s:
            found.fresh[at] = said
        elif now_s - asked_s <= patience_s:
            found.late[at] = said, begun_s - asked_s
        return True
