"""Disks that answer late: they are waited for, asked once, and their answers are not told as if they were new."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Timers, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView
from reconciler.system.shelf.disk_thread import DiskThread, TaskKind
from reconciler.system.shelf.poller import GIVEN_UP_S, PAUSE_S, Poller
from tests.system.shelf.rig import DISKS, LONG_S, orders
from tests.system.shelf.rig_disks import DisksRig
from tests.system.shelf.test_conformance import EMPTY

SHORT_S = 0.05
#: On a busy machine, too, an answer comes while it counts.
PATIENT = replace(orders(Side.A), timers=Timers(proof_ms=60_000))


class Disk:
    """Answers with how often it was asked, as soon as it may."""

    def __init__(self) -> None:
        self.asked, self.go = 0, threading.Event()

    def __call__(self, end_s: float) -> int:
        self.asked += 1
        number = self.asked
        assert self.go.wait(LONG_S)
        return number


@pytest.fixture
def workers() -> list[DiskThread]:
    return [DiskThread("slow"), DiskThread("quick")]


def test_who_is_late_is_waited_for_and_not_asked_twice(workers: list[DiskThread]) -> None:
    slow, quick = Disk(), Disk()
    quick.go.set()
    series, questions = Poller(TaskKind.LOOK, workers), {0: slow, 1: quick}
    begun_s = time.monotonic()
    for number in (1, 2, 3):
        found = series.ask(questions, SHORT_S, LONG_S)
        assert (found.fresh, found.late) == ({1: number}, {})
    assert slow.asked == 1
    slow.go.set()
    found = series.ask(questions, LONG_S, LONG_S)
    assert (found.fresh, found.late[0][0]) == ({1: 4}, 1)
    assert 3 * SHORT_S <= found.late[0][1] <= time.monotonic() - begun_s
    found = series.ask(questions, LONG_S, LONG_S)
    assert (found.fresh, found.late) == ({0: 2, 1: 5}, {})


def test_what_came_between_two_questions_is_late_and_gives_way_to_what_is_new(workers: list[DiskThread]) -> None:
    disk = Disk()
    series = Poller(TaskKind.LOOK, workers)
    assert series.ask({0: disk}, SHORT_S, LONG_S).fresh == {}
    disk.go.set()
    done = threading.Event()
    # After what has begun.
    workers[0].close(done.set)
    assert done.wait(LONG_S)
    found = series.ask({}, 0, LONG_S)
    assert (found.fresh, found.late[0][0]) == ({}, 1)


def test_what_took_too_long_is_told_to_nobody(workers: list[DiskThread]) -> None:
    disk = Disk()
    series = Poller(TaskKind.LOOK, workers)
    assert series.ask({0: disk}, SHORT_S, SHORT_S).fresh == {}
    disk.go.set()
    found = series.ask({0: disk}, SHORT_S, 0)
    while not found.fresh:
        assert found.late == {}
        found = series.ask({0: disk}, SHORT_S, 0)
    assert found.fresh[0] > 1


def test_what_was_never_begun_is_asked_anew(workers: list[DiskThread]) -> None:
    """Something else kept the disk busy for longer than anybody waited."""
    other, disk = Disk(), Disk()
    between, series = Poller(TaskKind.READ, workers), Poller(TaskKind.LOOK, workers)
    assert between.ask({0: other}, SHORT_S, SHORT_S).fresh == {}
    assert series.ask({0: disk}, SHORT_S, SHORT_S).fresh == {}
    other.go.set()
    disk.go.set()
    assert series.ask({0: disk}, LONG_S, LONG_S).fresh == {0: 1}


def test_disks_that_always_answer_late_are_seen_all_the_same(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, PATIENT)
    shelf.watch(LONG_S)
    for at in range(len(DISKS)):
        disks.hang(at)
    assert shelf.watch(SHORT_S).views == (UNANSWERED,) * len(DISKS)
    assert shelf.read_records(SHORT_S) == (None,) * 3
    for at in range(len(DISKS)):
        disks.unhang(at)
    watched = shelf.watch(LONG_S)
    assert watched.views == (EMPTY,) * len(DISKS)
    assert watched.age_s >= SHORT_S
    assert shelf.read_records(LONG_S) == (bytes(512),) * 3
    watched = shelf.watch(LONG_S)
    assert (watched.views, watched.age_s) == ((EMPTY,) * len(DISKS), 0)


def test_one_that_is_late_makes_no_look_older(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, PATIENT)
    disks.hang(1)
    assert shelf.watch(2.0).views == (EMPTY, UNANSWERED, EMPTY, EMPTY)
    disks.unhang(1)
    watched = shelf.watch(LONG_S)
    assert watched.age_s == 0
    assert watched.views in ((EMPTY, UNANSWERED, EMPTY, EMPTY), (DiskView(True),) * 4)


def test_a_disk_that_the_kernel_gave_up_is_left_alone_for_a_while(workers: list[DiskThread]) -> None:
    """An error that comes at once, and every answer, leave it asked as ever."""
    asked: list[float] = []
    answers: list[tuple[float, int | None]] = [(0.0, None), (GIVEN_UP_S, None), (0.0, 7), (0.0, None), (0.0, 8)]

    def question(end_s: float) -> int | None:
        asked.append(time.monotonic())
        pause_s, answer = answers[len(asked) - 1]
        threading.Event().wait(pause_s)
        return answer

    series = Poller(TaskKind.LOOK, workers)
    while len(asked) < len(answers):
        series.ask({0: question}, LONG_S, LONG_S)
    assert asked[2] - asked[1] >= GIVEN_UP_S + PAUSE_S, "given up after a long time"
    assert not series.ask({}, 0.0, LONG_S).fresh


def test_a_disk_that_is_asked_while_places_change_answers_in_its_new_place(workers: list[DiskThread]) -> None:
    slow, quick, added = Disk(), Disk(), Disk()
    series = Poller(TaskKind.LOOK, workers)
    quick.go.set()
    added.go.set()
    assert series.ask({0: slow, 1: quick}, SHORT_S, LONG_S).fresh == {1: 1}
    third = DiskThread("added")
    series.follow((workers[1], third, workers[0]))
    found = series.ask({0: quick, 1: added, 2: slow}, SHORT_S, LONG_S)
    assert (found.fresh, found.late) == ({0: 2, 1: 1}, {})
    slow.go.set()
    found = series.ask({0: quick, 1: added, 2: slow}, LONG_S, LONG_S)
    assert (found.fresh, found.late[2][0], slow.asked) == ({0: 3, 1: 2}, 1, 1)


def test_a_disk_that_has_no_place_any_more_is_not_heard(workers: list[DiskThread]) -> None:
    gone, stays = Disk(), Disk()
    stays.go.set()
    series = Poller(TaskKind.LOOK, workers)
    assert series.ask({0: gone, 1: stays}, SHORT_S, LONG_S).fresh == {1: 1}
    series.follow((workers[1],))
    gone.go.set()
    done = threading.Event()
    workers[0].close(done.set)
    assert done.wait(LONG_S)
    found = series.ask({0: stays}, LONG_S, LONG_S)
    assert (found.fresh, found.late) == ({0: 2}, {})


def test_orders_that_move_disks_lose_no_late_answer(disks: DisksRig) -> None:
    shelf = disks.open_shelf(Side.A, PATIENT)
    shelf.watch(LONG_S)
    for at in range(len(DISKS)):
        disks.hang(at)
    assert shelf.watch(SHORT_S).views == (UNANSWERED,) * len(DISKS)
    # The first disk has no place any more; the others have moved up.
    vdevs = (Vdev("mirror", (0, 1), 1), Vdev("log", (2,), 1))
    shelf.obey(replace(PATIENT, disks=PATIENT.disks[1:], vdevs=vdevs, arbitration=(0, 1, 2)))
    for at in range(len(DISKS)):
        disks.unhang(at)
    watched = shelf.watch(LONG_S)
    assert watched.views == (EMPTY,) * (len(DISKS) - 1)
    assert watched.age_s >= SHORT_S
