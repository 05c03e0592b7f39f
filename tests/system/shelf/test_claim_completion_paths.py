"""A path that came back to a disk of ours is registered before anything here writes over it."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.failover.ports import answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.fence_completion import completable, unregistered
from reconciler.core.failover.reservations.key import Key, Side, encode_key
from reconciler.system.reservation import nexus
from reconciler.system.shelf.claim_completion import complete, complete_each
from reconciler.system.shelf.disks import DiskShelf
from tests.system.shelf.paused_shelf import PausedShelf
from tests.system.shelf.rig import DISKS, LONG_S, orders
from tests.system.shelf.rig_disks import DisksRig
from tests.wait import until

MINE, NEWER = Key(Side.A, 7), Key(Side.B, 8)
DISK = 3


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[DisksRig]:
    made = DisksRig(tmp_path)
    yield made
    for disk in made.disks.values():
        for name in tuple(disk.stopped):
            disk.go(name)
    made.close()


def held(shelf: DiskShelf, key: Key) -> None:
    for verb in (Verb.REGISTER, Verb.RESERVE):
        assert answered(shelf, Command(verb, DISK, key), LONG_S).answer is Answer.GOOD


def taken(shelf: DiskShelf, key: Key, victim: Key) -> None:
    assert answered(shelf, Command(Verb.REGISTER, DISK, key), LONG_S).answer is Answer.GOOD
    assert answered(shelf, Command(Verb.PREEMPT, DISK, key, victim), LONG_S).answer is Answer.GOOD


def came_back(rig: DisksRig, name: str = "a1") -> DiskShelf:
    """The active controller's shelf: the claim was made while one path was down; it is up again, pools are in use."""
    shelf, disk = rig.open_shelf(Side.A, orders(Side.A)), rig.disks[DISKS[DISK]]
    disk.lost.add(name)
    held(shelf, MINE)
    disk.lost.clear()
    disk.used = True
    views = shelf.look(LONG_S)
    assert not disk.lets_write(name)
    assert views[DISK].unregistered == 1
    assert unregistered(views, MINE) == (DISK,)
    assert DISK in completable(views, MINE)
    return shelf


@pytest.mark.parametrize("name", ["a0", "a1"])
def test_it_is_registered_and_the_disk_stays_ours(rig: DisksRig, name: str) -> None:
    shelf, disk = came_back(rig, name), rig.disks[DISKS[DISK]]
    holder = disk.holder
    assert list(complete_each(shelf, (DISK,), MINE, LONG_S, LONG_S, 2 * LONG_S)) == [(DISK, True)]
    assert disk.keys == {"a0": encode_key(MINE), "a1": encode_key(MINE)}
    assert disk.holder == holder
    assert unregistered(shelf.look(LONG_S), MINE) == ()


def test_a_path_that_something_uses_is_left_alone_and_the_disk_is_still_ours(rig: DisksRig) -> None:
    shelf, disk = came_back(rig), rig.disks[DISKS[DISK]]
    disk.in_use.add("a1")
    assert list(complete_each(shelf, (DISK,), MINE, LONG_S, LONG_S, 2 * LONG_S)) == [(DISK, False)], "tried again later"
    assert complete(shelf, DISK, MINE, LONG_S, LONG_S), "it is ours all the same"
    assert "a1" not in disk.keys


def free(rig: DisksRig, name: str = "a1") -> bool:
    """Whether something here could open this path."""
    descriptor = os.open(f"{rig.disks[DISKS[DISK]].file}-{name}", os.O_RDONLY | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_who_slept_and_was_replaced_gives_it_up_before_it_can_be_used(rig: DisksRig) -> None:
    ours, theirs = came_back(rig), rig.open_shelf(Side.B, orders(Side.B))
    seen: list[bool] = []

    def replaced() -> None:
        taken(theirs, NEWER, MINE)
        seen.append(free(rig))

    late = PausedShelf(ours, Verb.EXTEND, replaced)
    assert not complete(late, DISK, MINE, LONG_S, LONG_S)
    assert late.asked == [Verb.LOOK, Verb.EXTEND, Verb.LOOK, Verb.UNREGISTER, Verb.LOOK]
    assert (seen, free(rig)) == ([False], True), "nothing could open it while it was registered"
    assert set(rig.disks[DISKS[DISK]].keys) == {"b0", "b1"}


def test_who_was_replaced_before_it_asked_registers_nothing(rig: DisksRig) -> None:
    ours, theirs = came_back(rig), rig.open_shelf(Side.B, orders(Side.B))
    taken(theirs, NEWER, MINE)
    generation = rig.disks[DISKS[DISK]].generation
    assert not complete(ours, DISK, MINE, LONG_S, LONG_S)
    assert rig.disks[DISKS[DISK]].generation == generation


def test_a_path_whose_registration_hangs_is_kept_until_it_has_ended_and_was_given_up(rig: DisksRig) -> None:
    ours, theirs, disk = came_back(rig), rig.open_shelf(Side.B, orders(Side.B)), rig.disks[DISKS[DISK]]

    def hangs() -> None:
        disk.stop("a1")

    assert complete(PausedShelf(ours, Verb.EXTEND, hangs), DISK, MINE, 0.5, LONG_S), (
        "the disk is ours by the other path"
    )
    assert disk.held == 1
    assert not free(rig)
    taken(theirs, NEWER, MINE)
    disk.go("a1")
    until(lambda: not nexus.LATE and free(rig))
    assert set(disk.keys) == {"b0", "b1"}, "the registration came after another had taken the disk"


def test_a_path_comes_back_while_a_claim_runs(rig: DisksRig) -> None:
    shelf, disk = rig.open_shelf(Side.A, orders(Side.A)), rig.disks[DISKS[DISK]]
    disk.lost.add("a0")
    assert answered(shelf, Command(Verb.REGISTER, DISK, MINE), LONG_S).answer is Answer.GOOD
    disk.lost.clear()
    assert answered(shelf, Command(Verb.RESERVE, DISK, MINE), LONG_S).answer is Answer.GOOD, "by the path that can"
    assert shelf.look(LONG_S)[DISK].holder == MINE
    assert complete(shelf, DISK, MINE, LONG_S, LONG_S)
    assert set(disk.keys) == {"a0", "a1"}


def test_asking_whether_a_path_is_registered_registers_none(rig: DisksRig) -> None:
    shelf, disk = came_back(rig), rig.disks[DISKS[DISK]]
    before = dict(disk.keys), disk.holder, disk.persist
    disk.in_use.add("a1")
    assert not shelf.keep(DISK, LONG_S, MINE)
    shelf.release(DISK)
    assert (dict(disk.keys), disk.holder, disk.persist) == before
