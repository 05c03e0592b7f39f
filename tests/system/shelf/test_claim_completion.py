"""An active controller completes its claim, on disks that stand in for real ones."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.failover.ports import answered
from reconciler.core.failover.reservations.claim import Answer, Command, Reply, Verb
from reconciler.core.failover.reservations.fence_completion import completable, unfenced
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.system.shelf.claim_completion import complete, complete_each
from reconciler.system.shelf.disks import DiskShelf
from reconciler.system.shelf.exclusive_open import ExclusiveOpen, close, open_exclusively
from reconciler.watchdog.worker_messages import plain_reply, plain_request, read_reply, read_request
from reconciler.watchdog.worker_protocol import (
    CompleteClaim,
    CompletionReply,
)
from tests.system.shelf.paused_shelf import PausedShelf
from tests.system.shelf.rig import DISKS, LONG_S, orders
from tests.system.shelf.rig_disks import DisksRig

OLD, MINE, THEIRS, NEWER = Key(Side.A, 3), Key(Side.A, 7), Key(Side.B, 5), Key(Side.B, 8)
FOREIGN = Key(None, 0xABC)
DISK = 3


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[DisksRig]:
    made = DisksRig(tmp_path)
    yield made
    made.close()


def ask(shelf: DiskShelf, *commands: tuple[Verb, Key, Key | None]) -> None:
    for verb, key, victim in commands:
        assert answered(shelf, Command(verb, DISK, key, victim), LONG_S).answer is Answer.GOOD


def held(shelf: DiskShelf, key: Key) -> None:
    """The disk is this key's, as after a claim."""
    ask(shelf, (Verb.REGISTER, key, None), (Verb.RESERVE, key, None))


def there(shelf: DiskShelf) -> tuple[Key | None, set[Key]]:
    view = shelf.look(LONG_S)[DISK]
    assert view.answered
    return view.holder, set(view.registered)


@pytest.mark.parametrize("before", [None, OLD, THEIRS])
def test_a_disk_without_a_holder_or_with_an_older_one_is_taken(rig: DisksRig, before: Key | None) -> None:
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)
    if before is not None:
        held(ours if before.side is Side.A else theirs, before)
    assert complete(ours, DISK, MINE, LONG_S, LONG_S)
    assert there(theirs) == (MINE, {MINE})


def test_what_our_pools_have_is_left_alone(rig: DisksRig) -> None:
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)
    held(theirs, THEIRS)
    rig.disks[DISKS[DISK]].used = True
    assert not complete(ours, DISK, MINE, LONG_S, LONG_S)
    assert there(theirs) == (THEIRS, {THEIRS}), "not even registered"


@pytest.mark.parametrize("verb", [Verb.REGISTER, Verb.RESERVE])
def test_no_pool_can_open_it_until_it_is_ours_or_given_up(rig: DisksRig, verb: Verb) -> None:
    ours, seen = rig.open_shelf(Side.A, orders(Side.A)), []
    late = PausedShelf(ours, verb, lambda: seen.append(free(rig)))
    assert complete(late, DISK, MINE, LONG_S, LONG_S)
    assert (seen, free(rig)) == ([False], True)


def free(rig: DisksRig) -> bool:
    """Whether the disk could be opened for somebody alone."""
    with rig.disks[DISKS[DISK]].file.open("rb") as image:
        try:
            fcntl.flock(image, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_what_is_opened_when_nobody_waits_for_it_any_more_is_closed(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.touch()
    kept, descriptors = ExclusiveOpen(), open_exclusively(image, tmp_path)
    assert descriptors is not None
    kept.release()
    assert not kept.take(descriptors)
    with pytest.raises(OSError):
        os.fstat(descriptors[0])


def test_a_reservation_that_vanished_is_put_back_where_we_are_registered(rig: DisksRig) -> None:
    """That takes no registration, and so it is done whatever our pools write."""
    ours = rig.open_shelf(Side.A, orders(Side.A))
    ask(ours, (Verb.REGISTER, MINE, None))
    rig.disks[DISKS[DISK]].used = True
    assert complete(ours, DISK, MINE, LONG_S, LONG_S)
    assert there(ours) == (MINE, {MINE})


def test_older_registrations_on_our_disk_are_removed_and_no_others(rig: DisksRig) -> None:
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)
    rig.disks[DISKS[DISK]].used = True
    held(ours, MINE)
    ask(theirs, (Verb.REGISTER, THEIRS, None))
    assert complete(ours, DISK, MINE, LONG_S, LONG_S)
    for stays in (NEWER, FOREIGN):
        ask(theirs, (Verb.REGISTER, stays, None))
        assert not complete(ours, DISK, MINE, LONG_S, LONG_S)
        assert there(theirs) == (MINE, {MINE, stays})


@pytest.mark.parametrize("holder", [NEWER, FOREIGN])
def test_a_newer_claim_and_a_foreign_key_are_left_alone(rig: DisksRig, holder: Key) -> None:
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)
    held(theirs, holder)
    assert not complete(ours, DISK, MINE, LONG_S, LONG_S)
    assert there(theirs) == (holder, {holder})


@pytest.mark.parametrize("verb", [Verb.REGISTER, Verb.RESERVE])
def test_who_is_overtaken_in_between_leaves_no_registration_behind(rig: DisksRig, verb: Verb) -> None:
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)
    late = PausedShelf(ours, verb, lambda: held(theirs, NEWER))
    assert not complete(late, DISK, MINE, LONG_S, LONG_S)
    assert late.asked[-2:] == [Verb.UNREGISTER, Verb.LOOK]
    assert there(theirs) == (NEWER, {NEWER})


def test_who_may_be_registered_keeps_the_disk_until_it_answers(rig: DisksRig) -> None:
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)

    def lost() -> None:
        rig.lose(Side.A, DISK)
        held(theirs, NEWER)

    class Patient(PausedShelf):
        """The disk is back after a few vain looks."""

        def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
            replies = super().perform(commands, deadline_s)
            if self.asked[-3:] == [Verb.LOOK] * 3:
                seen.append(free(rig))
                rig.restore(Side.A, DISK)
            return replies

    seen: list[bool] = []
    late = Patient(ours, Verb.RESERVE, lost)
    assert not complete(late, DISK, MINE, LONG_S, LONG_S)
    assert seen[0] is False
    assert (there(theirs), free(rig)) == ((NEWER, {NEWER}), True)


@pytest.mark.parametrize(("within_s", "begun"), [(0.4, [DISK]), (LONG_S, [DISK, 1])])
def test_none_is_begun_that_would_be_cut_off_before_it_may_be_given_up(
    rig: DisksRig, within_s: float, begun: list[int]
) -> None:
    """The first is registered when it falls silent, and takes all its patience."""
    ours, theirs = (rig.open_shelf(side, orders(side)) for side in Side)
    late = PausedShelf(ours, Verb.RESERVE, lambda: rig.lose(Side.A, DISK))
    found = list(complete_each(late, (DISK, 1), MINE, LONG_S, 0.3, within_s))
    assert found == [(disk, disk != DISK) for disk in begun]
    assert theirs.look(LONG_S)[1].holder == (MINE if len(begun) > 1 else None)


def test_a_disk_that_does_not_answer_is_no_disk_of_ours(rig: DisksRig) -> None:
    ours = rig.open_shelf(Side.A, orders(Side.A))
    for side in Side:
        rig.lose(side, DISK)
    assert not complete(ours, DISK, MINE, LONG_S, LONG_S)


def test_which_disks_come_into_question() -> None:
    views = (
        DiskView(True, MINE, frozenset({MINE})),
        DiskView(False),
        DiskView(True),
        DiskView(True, MINE, frozenset({MINE, THEIRS})),
        DiskView(True, MINE, frozenset({MINE, FOREIGN})),
        DiskView(True, THEIRS, frozenset({THEIRS})),
        DiskView(True, THEIRS, frozenset({THEIRS, NEWER})),
        DiskView(True, FOREIGN, frozenset({FOREIGN})),
    )
    assert unfenced(views, MINE) == (2, 3, 4, 5, 6, 7)
    assert completable(views, MINE) == (2, 3, 5)


def test_requests_and_replies_survive_the_way_to_the_arm() -> None:
    request = CompleteClaim(MINE, (1, 3), 700)
    assert read_request(plain_request(request)) == request
    assert read_reply(plain_reply(CompletionReply((3,)))) == CompletionReply((3,))


def test_a_disk_with_several_paths_is_kept_by_its_partitions(tmp_path: Path) -> None:
    sysfs, dev = tmp_path / "sys", tmp_path / "dev"
    dev.mkdir()
    for name, uuid, holders in (("sda", "", ["dm-0"]), ("dm-0", "mpath-1", ["dm-1"]), ("dm-1", "part1-mpath-1", [])):
        (dev / name).touch()
        for holder in holders:
            (sysfs / "class/block" / name / "holders" / holder).mkdir(parents=True)
        if uuid:
            (sysfs / "class/block" / name / "dm").mkdir(parents=True, exist_ok=True)
            (sysfs / "class/block" / name / "dm/uuid").write_text(uuid)
    descriptors = open_exclusively(dev / "sda", sysfs)
    assert descriptors is not None
    assert [Path(f"/proc/self/fd/{one}").readlink() for one in descriptors] == [dev / "dm-1"]
    close(descriptors)
    (sysfs / "class/block/dm-1/holders/dm-2").mkdir(parents=True)
    assert open_exclusively(dev / "sda", sysfs) is None, "something else is mapped onto the partition"
    assert open_exclusively(dev / "sdb", sysfs) is None, "nobody knows of a disk that is not there"
