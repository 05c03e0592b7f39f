"""A disk over several paths that hang, fail and come back, one beside the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.system.reservation import nexus as nexuses
from reconciler.system.reservation.multipath_disk import MultipathDisk
from reconciler.system.reservation.nexus import Ended, Nexus
from reconciler.system.reservation.registration_state import DiskPort, RegistrationState, Result
from reconciler.system.reservation.scsi_port import Learnt
from reconciler.system.shelf.codec import plain_view, read_view
from tests.system.reservation.standin import StandInCabinet, StandInDisk
from tests.wait import until

A, LATER, B = Key(Side.A, 3), Key(Side.A, 9), Key(Side.B, 4)
#: Nobody waits so long unless something is broken.
LONG_S = 30.0
#: What a path that hangs is given where the answer must be silence.
SHORT_S = 0.2


class Rig:
    """One disk, with so many paths from each controller."""

    def __init__(self, paths: int) -> None:
        self.standin = StandInDisk(Path("/dev/null"))
        self.paths = paths
        self.names = {side: [f"{side}{path}" for path in range(paths)] for side in Side}
        self.disks: list[MultipathDisk] = []

    def open(self, side: Side = Side.A, place: tuple[str, ...] = ()) -> MultipathDisk:
        cabinet, learnt = StandInCabinet({"disk": self.standin}, side, self.paths), Learnt()

        def find() -> tuple[DiskPort, ...]:
            ports = cabinet.ports("disk", learnt, lambda text: None)
            return tuple(port for port in ports if port.name in self.names[side])

        disk = MultipathDisk(find, lambda: cabinet.known("disk"), place)
        self.disks.append(disk)
        return disk

    def close(self) -> None:
        for nexus in tuple(self.standin.stopped):
            self.standin.go(nexus)
        for disk in self.disks:
            disk.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig(2)
    yield made
    made.close()


@pytest.fixture
def wide() -> Iterator[Rig]:
    made = Rig(3)
    yield made
    made.close()


def do(disk: MultipathDisk, verb: Verb, key: Key, victim: Key | None = None, within_s: float = LONG_S) -> Answer:
    return disk.perform(Command(verb, 0, key, victim), time.monotonic() + within_s).answer


def hold(disk: MultipathDisk, key: Key) -> None:
    assert do(disk, Verb.REGISTER, key) is Answer.GOOD
    assert do(disk, Verb.RESERVE, key) is Answer.GOOD


def view(disk: MultipathDisk, key: Key = A) -> DiskView:
    return disk.perform(Command(Verb.LOOK, 0, key), time.monotonic() + LONG_S).view


@pytest.mark.parametrize("hung", [("a0",), ("a1",), ("a0", "a2"), ("a0", "a1"), ("a1", "a2")])
def test_paths_that_hang_hide_no_healthy_one(wide: Rig, hung: tuple[str, ...]) -> None:
    disk = wide.open()
    hold(disk, A)
    for name in hung:
        wide.standin.stop(name)
    for _ in range(3):
        assert view(disk) == DiskView(True, A, frozenset({A}))


@pytest.mark.parametrize("hung", [("b0",), ("b1",), ("b0", "b2"), ("b1", "b2")])
def test_a_claim_fences_over_the_paths_that_answer(wide: Rig, hung: tuple[str, ...]) -> None:
    ours, theirs = wide.open(), wide.open(Side.B)
    hold(ours, A)
    for name in hung:
        wide.standin.stop(name)
    assert do(theirs, Verb.REGISTER, B) is Answer.GOOD
    assert do(theirs, Verb.PREEMPT, B, A) is Answer.GOOD
    assert view(theirs, B) == DiskView(True, B, frozenset({B}), unregistered=len(hung))
    assert not any(wide.standin.lets_write(name) for name in ("a0", "a1", "a2"))


@pytest.mark.parametrize("sense", [(0x4, 0x44, 0x00), (0x2, 0x04, 0x0C), (0x5, 0x25, 0x00), (0x5, 0x20, 0x00)])
def test_a_path_that_only_fails_hides_no_healthy_one(wide: Rig, sense: tuple[int, int, int]) -> None:
    disk = wide.open()
    hold(disk, A)
    wide.standin.failing["a0"] = sense
    for _ in range(3):
        assert view(disk) == DiskView(True, A, frozenset({A}))
    wide.standin.failing["a1"] = wide.standin.failing["a2"] = sense
    expected = Result.UNSUPPORTED if sense[1] == 0x20 else Result.SILENT
    assert disk.standing(time.monotonic() + LONG_S) is expected


def test_a_path_without_end_of_attentions_leaves_the_disk_to_the_other(rig: Rig) -> None:
    disk = rig.open()
    rig.standin.failing["a0"] = (0x6, 0x29, 0x00)
    hold(disk, A)
    assert view(disk) == DiskView(True, A, frozenset({A}), unregistered=1)


def test_paths_that_all_hang_are_silence_in_time_and_then_answer_again(rig: Rig) -> None:
    disk = rig.open()
    hold(disk, A)
    for name in ("a0", "a1"):
        rig.standin.stop(name)
    assert disk.standing(time.monotonic() + SHORT_S) is Result.SILENT
    assert do(disk, Verb.REGISTER, LATER, within_s=SHORT_S) is Answer.SILENT
    for name in ("a0", "a1"):
        rig.standin.go(name)
    assert view(disk).registered == {A}, "what had not begun is never done"


def late_registration(rig: Rig, disk: MultipathDisk, key: Key, name: str = "a1") -> None:
    """The registration on one path is under way and not executed; the other path has done it."""
    rig.standin.stop(name)
    assert do(disk, Verb.REGISTER, key) is Answer.GOOD
    until(lambda: rig.standin.held == 1)


def settled(_: Rig) -> None:
    until(lambda: not nexuses.LATE)


def test_a_registration_that_comes_late_stays_where_our_key_holds_the_disk(rig: Rig) -> None:
    disk = rig.open()
    late_registration(rig, disk, A)
    assert do(disk, Verb.RESERVE, A) is Answer.GOOD
    assert view(disk) == DiskView(True, A, frozenset({A}), unregistered=1)
    rig.standin.go("a1")
    settled(rig)
    assert view(disk) == DiskView(True, A, frozenset({A}))


@pytest.mark.parametrize("leaves", [True, False])
def test_a_registration_that_comes_after_we_left_or_lost_is_given_up(rig: Rig, leaves: bool) -> None:
    ours, theirs = rig.open(), rig.open(Side.B)
    late_registration(rig, ours, A)
    if leaves:
        assert do(ours, Verb.UNREGISTER, A) is Answer.SILENT, "one path may still register"
        hold(theirs, B)
    else:
        assert do(ours, Verb.RESERVE, A) is Answer.GOOD
        assert do(theirs, Verb.REGISTER, B) is Answer.GOOD
        assert do(theirs, Verb.PREEMPT, B, A) is Answer.GOOD
    rig.standin.go("a1")
    settled(rig)
    assert view(theirs, B) == DiskView(True, B, frozenset({B}))
    assert not rig.standin.lets_write("a1")


def test_a_late_registration_of_an_older_claim_is_given_up(rig: Rig) -> None:
    disk = rig.open()
    late_registration(rig, disk, A)
    hold(disk, LATER)
    assert ("a1", 0x5F, 6) not in rig.standin.log, "nothing overtakes what is late on its path"
    rig.standin.go("a1")
    settled(rig)
    assert view(disk, LATER).registered == {LATER}


def test_no_other_object_overtakes_what_is_late_on_a_path(rig: Rig) -> None:
    place = ("shelf", "a", "disk")
    first = rig.open(place=place)
    late_registration(rig, first, A)
    first.close()
    second = rig.open(place=place)
    hold(second, LATER)
    assert {name for name, code, _ in rig.standin.log if code == 0x5F} == {"a0"}
    rig.standin.go("a1")
    settled(rig)
    assert do(second, Verb.REGISTER, LATER) is Answer.GOOD
    assert rig.standin.keys == {"a0": encode_key(LATER), "a1": encode_key(LATER)}


def test_a_preemption_that_hangs_is_done_by_the_next_path_and_is_harmless_when_it_comes(wide: Rig) -> None:
    ours, theirs = wide.open(), wide.open(Side.B)
    hold(ours, A)
    assert do(theirs, Verb.REGISTER, B) is Answer.GOOD
    wide.standin.stop("b0")
    assert do(theirs, Verb.PREEMPT, B, A, within_s=4 * SHORT_S) is Answer.GOOD, "the next path does it"
    wide.standin.go("b0")
    settled(wide)
    assert view(theirs, B) == DiskView(True, B, frozenset({B}))


def test_a_path_that_came_back_is_counted(rig: Rig) -> None:
    rig.names[Side.A] = ["a0"]
    disk = rig.open()
    hold(disk, A)
    assert view(disk) == DiskView(True, A, frozenset({A}))
    rig.names[Side.A] = ["a0", "a1"]
    until(lambda: view(disk).unregistered == 1)
    assert not rig.standin.lets_write("a1")
    assert do(disk, Verb.REGISTER, A) is Answer.GOOD
    assert view(disk) == DiskView(True, A, frozenset({A}))


def test_registrations_that_no_path_of_ours_explains_are_counted(rig: Rig) -> None:
    disk = rig.open()
    hold(disk, A)
    rig.names[Side.A] = ["a0"]
    until(lambda: disk.paths == ("a0",) or view(disk) is None)
    assert view(disk).surplus == 0, "the path that went may still be registered"
    rig.standin.keys["x0"] = encode_key(A)
    assert view(disk).surplus == 1
    rig.standin.keys["x1"] = encode_key(A)
    found = view(disk)
    assert (found.surplus, found.unregistered) == (2, 0)
    assert read_view(plain_view(found)) == found
    fresh = rig.open(Side.B)
    assert view(fresh, B) == DiskView(True, A, frozenset({A})), "a key of the other side says nothing of our paths"


@pytest.mark.parametrize(
    ("keys", "running", "known", "expected"),
    [
        ((), 2, 2, (0, 0)),
        ((A, A), 2, 2, (0, 0)),
        ((A,), 2, 3, (0, 1)),
        ((A, A, A), 2, 2, (1, 0)),
        ((A, LATER), 2, 2, (0, 1)),
        ((B, B, A, A, A), 1, 2, (1, 0)),
    ],
)
def test_what_counts_say(keys: tuple[Key, ...], running: int, known: int, expected: tuple[int, int]) -> None:
    standing = RegistrationState(1, tuple(encode_key(key) for key in keys))
    found = standing.view(Side.A, running, known)
    assert (found.surplus, found.unregistered) == expected


def test_a_single_path_has_no_thread(rig: Rig) -> None:
    rig.names[Side.A] = ["a0"]
    before = threading.active_count()
    disk = rig.open()
    hold(disk, A)
    view(disk)
    assert threading.active_count() == before


class Counting:
    """A port whose commands wait for their turn to be let through, and tell their order."""

    name = "sda"

    def __init__(self) -> None:
        self.turn = threading.Semaphore(0)
        self.done: list[int] = []

    def does(self, number: int) -> Callable[[DiskPort], int]:
        def one(_: DiskPort) -> int:
            assert self.turn.acquire(timeout=LONG_S)
            self.done.append(number)
            return number

        return one

    def close(self) -> None:
        self.done.append(-1)


def test_one_path_does_one_thing_after_the_other_and_nothing_that_was_withdrawn() -> None:
    port = Counting()
    path = Nexus(port, ("there",))  # type: ignore[arg-type]
    ended: Ended = SimpleQueue()
    late: list[object] = []
    jobs = [path.ask(port.does(number), ended, lambda _, result: late.append(result)) for number in range(3)]
    until(lambda: jobs[0].begun)
    assert path.leave(jobs[0], remember=True) is Result.SILENT
    assert path.leave(jobs[1], remember=True) is Result.UNREACHED
    assert path.late
    path.close()
    port.turn.release(3)
    until(lambda: not path.late and -1 in port.done)
    assert (port.done, late) == ([0, -1], [0]), "what had begun ends, and is looked after; nothing else begins"
