"""The disks of a real shelf: all asked at once, each by a thread of its own.

Decides when silence has lasted long enough, and what the answers of several disks come to. Does not know how a disk is
spoken to; `shared_disk` does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final
from urllib.parse import parse_qsl

from reconciler.core.failover.heartbeats.disk_record import RECORD_BYTES
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import Watched, Written
from reconciler.core.failover.reservations.claim import Answer, Command, Reply
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, sees
from reconciler.system.reservation.multipath_disk import SILENT
from reconciler.system.shelf.direct_io import BLOCK_BYTES
from reconciler.system.shelf.disk_thread import Answers, DiskThread, Task, TaskKind, next_answer
from reconciler.system.shelf.exclusive_open import ExclusiveOpen
from reconciler.system.shelf.poller import Poller
from reconciler.system.shelf.record_area import Choice
from reconciler.system.shelf.shared_disk import DiskLocator, DiskSurvey, ShelfDisk

PARTITIONS_MAX: Final = 128
#: What has not begun to be checked by then is checked when the first record is written.
PREPARE_S: Final = 10.0
#: The command of each disk that was not answered in time, by its place, side and name: it may outlive the shelf that it
#: came from, and what the next shelf asks must not overtake it either.
LATE: Final[dict[tuple[str, Side, str], Task]] = {}
#: Records lie in the partition that ZFS reserves.
BY_ZFS: Final = Choice()


def parse_address(rest: str) -> tuple[Path, Choice] | None:
    """`/dev/disk/by-id`, `/dev/disk/by-id?partition=9` or `?area=OFFSET`; None for anything else.

    The part after `?` says where the arbitration disks have room for records, when ZFS did not make it.
    """
    place, _, query = rest.partition("?")
    if not place.startswith("/"):
        return None
    options = dict(parse_qsl(query, keep_blank_values=True))
    match list(options.items()):
        case []:
            return (Path(place), Choice()) if not query else None
        case [("partition", number)] if number.isdecimal() and 0 < int(number) <= PARTITIONS_MAX:
            return Path(place), Choice(partition=int(number))
        case [("area", offset)] if offset.isdecimal() and int(offset) % BLOCK_BYTES == 0:
            return Path(place), Choice(offset=int(offset))
    return None


def say(name: str, what: str) -> None:
    """To the journal, by way of standard error."""
    print(f"hagit: disk {name}: {what}", file=sys.stderr, flush=True)


class DiskShelf:
    """See `Shelf`. Belongs to one thread."""

    def __init__(
        self,
        orders: Orders,
        side: Side,
        cabinet: DiskLocator,
        choice: Choice = BY_ZFS,
        notify: Callable[[str, str], None] = say,
    ) -> None:
        """`notify` is called, by any thread, with the name of a disk and what a person should know of it."""
        self._side = side
        self._cabinet = cabinet
        self._choice = choice
        self._notify = notify
        self._bays: tuple[ShelfDisk, ...] = ()
        self._workers: tuple[DiskThread, ...] = ()
        self._kept: dict[int, ExclusiveOpen] = {}
        self._looks = Poller(TaskKind.LOOK, (), UNANSWERED)
        self._reads = Poller(TaskKind.READ, ())
        self.obey(orders)

    def obey(self, orders: Orders) -> None:
        """See `Shelf.obey`."""
        assert not self._kept, "a completion by older orders goes on"
        there = {bay.name: (bay, worker) for bay, worker in zip(self._bays, self._workers, strict=True)}
        found = [there.pop(name) if name in there else self._opened(name) for name in orders.disks]
        for bay, worker in there.values():
            worker.close(bay.close)
        self._orders = orders
        self._bays = tuple(bay for bay, _ in found)
        self._workers = tuple(worker for _, worker in found)
        self._names = tuple((self._cabinet.place, self._side, name) for name in orders.disks)
        # A disk that stays and answers late is still heard: its owner has little time to prove that it has it.
        self._looks.follow(self._workers)
        self._reads.follow(self._workers)

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        """See `Shelf.look`."""
        views = [UNANSWERED] * len(self._bays)
        for at, view in self._each(TaskKind.LOOK, {at: bay.look for at, bay in enumerate(self._bays)}, deadline_s):
            views[at] = view
        return tuple(views)

    def watch(self, deadline_s: float) -> Watched:
        """See `Shelf.watch`."""
        questions = {at: bay.look for at, bay in enumerate(self._bays)}
        found = self._looks.ask(questions, deadline_s, self._patience_s)
        views, age_s = [found.fresh.get(at, UNANSWERED) for at in questions], 0.0
        if not sees(self._orders, tuple(views)):
            for at, (view, earlier_s) in found.late.items():
                if at not in found.fresh:
                    views[at], age_s = view, max(age_s, earlier_s)
        return Watched(tuple(views), age_s)

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        """See `Shelf.perform`."""
        end_s = time.monotonic() + deadline_s
        answers: Answers = SimpleQueue()
        tasks: dict[int, Task] = {}
        for command in commands:
            at = command.disk
            late = LATE.pop(self._names[at], None)
            if late is not None and not late.done:
                LATE[self._names[at]] = late
                continue
            assert at not in tasks, "one command to a disk at a time"
            tasks[at] = Task(TaskKind.PERFORM, at, partial(self._bays[at].perform, command), end_s, answers)
            self._workers[at].ask(tasks[at])
        replies: dict[int, Reply] = {}
        while len(replies) < len(tasks) and (answer := next_answer(answers, end_s)) is not None:
            at, reply = answer
            assert isinstance(reply, Reply)
            replies[at] = reply
        for at, task in tasks.items():
            if at not in replies and not self._workers[at].withdraw(task):
                LATE[self._names[at]] = task
        return tuple(replies.get(command.disk, SILENT) for command in commands)

    def read_records(self, deadline_s: float) -> tuple[bytes | None, ...]:
        """See `Shelf.read_records`."""
        questions = {at: self._bays[at].read for at in self._orders.arbitration}
        found = self._reads.ask(questions, deadline_s, self._patience_s)
        said = {at: data for at, (data, _) in found.late.items()} | found.fresh
        return tuple(said.get(at) for at in self._orders.arbitration)

    def write_record(self, data: tuple[bytes, ...], deadline_s: float) -> Written:
        """See `Shelf.write_record`."""
        arbitration = self._orders.arbitration
        assert len(data) == len(arbitration) and all(len(sector) == RECORD_BYTES for sector in data)
        questions = {at: partial(self._bays[at].write, sector) for at, sector in zip(arbitration, data, strict=True)}
        majority, good, refused = self._orders.majority, 0, 0
        for _, answer in self._each(TaskKind.WRITE, questions, deadline_s):
            good += answer is Answer.GOOD
            refused += answer is Answer.CONFLICT
            if good >= majority:
                return Written.GOOD
            if len(data) - refused < majority:
                return Written.CONFLICT
        return Written.SILENT

    def prepare(self) -> None:
        """Begin to check the places for our own records: the first one need not wait for that. Waits for nothing."""
        end_s = time.monotonic() + PREPARE_S
        answers: Answers = SimpleQueue()
        for at in self._orders.arbitration:
            self._workers[at].ask(Task(TaskKind.PREPARE, at, self._bays[at].prepare, end_s, answers))

    def survey(self, deadline_s: float) -> tuple[DiskSurvey, ...]:
        """Everything that can be told of each disk, for people."""
        arbitration = self._orders.arbitration
        questions = {at: partial(bay.survey, records=at in arbitration) for at, bay in enumerate(self._bays)}
        found = {at: DiskSurvey(bay.name, trouble="it does not answer") for at, bay in enumerate(self._bays)}
        found |= dict(self._each(TaskKind.SURVEY, questions, deadline_s))
        return tuple(found[at] for at in range(len(self._bays)))

    def keep(self, disk: int, deadline_s: float, paths: Key | None = None) -> bool:
        """Have it for ourselves alone until `release`: no pool of ours writes to it, and none can begin to.

        `paths`: only the paths that are not registered with this key.
        """
        kept, bay = ExclusiveOpen(), self._bays[disk]
        self._kept[disk] = kept
        do = partial(bay.keep, kept) if paths is None else partial(bay.keep_paths, kept, paths)
        return bool(dict(self._each(TaskKind.KEEP, {disk: do}, deadline_s)).get(disk))

    def release(self, disk: int) -> None:
        """Keep it no longer; what was asked and is not answered yet will keep nothing.

        While a registration is under way on a path after its time, it is kept on.
        """
        kept = self._kept.pop(disk, None)
        if kept is not None:
            self._bays[disk].when_settled(kept.release)

    @property
    def _patience_s(self) -> float:
        """What took longer to be answered proves too little."""
        return self._orders.timers.proof_ms / 2_000

    def _opened(self, name: str) -> tuple[ShelfDisk, DiskThread]:
        return ShelfDisk(name, self._side, self._cabinet, self._choice, partial(self._notify, name)), DiskThread(
            f"disk {name}"
        )

    def close(self) -> None:
        """See `Shelf.close`."""
        for disk in tuple(self._kept):
            self.release(disk)
        for bay, worker in zip(self._bays, self._workers, strict=True):
            worker.close(bay.close)

    def _each(
        self, kind: TaskKind, questions: Mapping[int, Callable[[float], Any]], deadline_s: float
    ) -> Iterator[tuple[int, Any]]:
        """What each disk answers, as it comes; nothing more after the deadline."""
        end_s = time.monotonic() + deadline_s
        answers: Answers = SimpleQueue()
        for at, do in questions.items():
            self._workers[at].ask(Task(kind, at, do, end_s, answers))
        for _ in questions:
            answer = next_answer(answers, end_s)
            if answer is None:
                return
            yield answer
