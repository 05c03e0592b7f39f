"""What must hold when disks fail, hang, come back, are replaced, or forget their reservations.

The pool is a mirror and a raidz1 of three. One more disk is in no pool at first. Each test ends with `verify`, as in
`test_scenarios`; the tests run one after the other on one pair, and the last one changes the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from reconciler.core.failover.orders.orders import Vdev
from reconciler.core.failover.reservations.key import encode_key
from tests.lab.image import Image
from tests.lab.pair.emulated_pair import ORDERS
from tests.lab.pair.faulty import FaultyPair, FaultyShelf
from tests.lab.pair.head import WAIT_S, Head
from tests.lab.pair.sg_persist import asking, complaints, parse

pytestmark = pytest.mark.timeout(1_800)
DISKS: Final = ("disk0", "disk1", "disk2", "disk3", "disk4")
#: Not named in the orders at first.
NEW: Final = "disk5"
RAIDZ: Final = Vdev("tank/raidz1-1", (2, 3, 4), 2)
LAYOUT: Final = replace(ORDERS, disks=DISKS, vdevs=(Vdev("tank/mirror-0", (0, 1), 1), RAIDZ))
FOREIGN: Final = 0xABC
#: Shorter than an import may take: the tests see a failure while it lasts.
TAKEOVER_S: Final = 110.0
#: How long an export may take in the test where it never ends.
RELEASE_MS: Final = 3_000


@pytest.fixture(scope="module")
def whole(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyPair]:
    place = tmp_path_factory.mktemp("disks")
    with FaultyPair(storage_image, place, progress, LAYOUT, shelf=lambda count: FaultyShelf(count + 1)) as made:
        yield made


@pytest.fixture
def pair(whole: FaultyPair, request: pytest.FixtureRequest) -> FaultyPair:
    whole.say(f"--- {request.node.name}")
    whole.make_well()
    active = whole.well()
    status = active.status()
    if status is not None and status.pools.out:
        # Disks that the previous test left out because it failed.
        made_whole(whole, active, *status.pools.out)
    whole.write(active)
    return whole


def both(pair: FaultyPair) -> tuple[Head, Head, int]:
    """Return the active one, the standby, and a mark in the timeline of the latter."""
    old = pair.active()
    new = pair.other(old)
    return old, new, new.mark()


def taken_over(pair: FaultyPair, new: Head, since: int) -> None:
    """Wait until this one has become active since a mark and answers clients; print its timeline."""
    pair.until(lambda: new.phase == "active", "the other takes over", TAKEOVER_S)
    pair.until(lambda: any(event.mark == "addresses-up" for event in new.events(since)), "addresses")
    pair.tell(new, since)


def dropped(pair: FaultyPair, head: Head, *disks: str) -> None:
    """Wait until its pools have dropped exactly these disks."""

    def so() -> bool:
        status = head.status()
        return status is not None and sorted(status.pools.out) == sorted(disks)

    pair.until(so, f"given up: {', '.join(disks) or 'none'}")


def fenced(pair: FaultyPair, head: Head, *disks: str) -> None:
    """Wait until these disks are under its reservation alone."""
    found: list[str] = []

    def so() -> bool:
        found[:] = complaints(parse(head.machine.check(asking(disks))), disks, head.side)
        return not found

    pair.until(so, f"{', '.join(disks)} reserved by {head.side} alone")


def made_whole(pair: FaultyPair, head: Head, *disks: str) -> None:
    """Bring disks online as an administrator does where no zed runs, and wait until the pool writes to them again."""
    head.machine.check(f"zpool online tank {' '.join(f'{disk}-part1' for disk in disks)}", WAIT_S)
    head.machine.check("zpool wait -t resilver tank", WAIT_S)
    dropped(pair, head)


def test_half_of_the_disks_lost_and_back(pair: FaultyPair) -> None:
    """The active controller loses one disk of each vdev: it serves on without them, and says so."""
    active, standby, mark = both(pair)
    marks = active.mark()
    with pair.client() as client:
        client.until_answered()
        for disk in ("disk1", "disk4"):
            active.unplug(disk)
        dropped(pair, active, "disk1", "disk4")
        status, text = active.run_hagit("status")
        pair.say(f"`hagit status` says {status}: {[line for line in text.splitlines() if 'disk' in line]}")
        assert "DISKS_OUT" in text and "disk1, disk4" in text, text
        pair.write(active)
        for disk in ("disk1", "disk4"):
            active.plug_in(disk)
        made_whole(pair, active, "disk1", "disk4")
        client.until_answered()
    moves = [event for head, since in ((active, marks), (standby, mark)) for event in head.events(since)]
    assert [event for event in moves if event.mark == "phase"] == [], pair.describe()
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    assert pair.verify() is active


def test_a_disk_that_hangs_does_not_keep_the_other_from_taking_over(pair: FaultyPair) -> None:
    """One of three disks of a raidz1 stops answering, and the active controller dies; then the disk answers again."""
    old, new, mark = both(pair)
    with pair.client() as client:
        client.until_answered()
        pair.shelf.hang("disk4")
        old.pull_the_plug()
        taken_over(pair, new, mark)
        client.until_answered(60)
    pair.say(f"silence of the client {client.silence_ms:.0f} ms")
    status, text = new.run_hagit("reservations", "show", "--detailed-exitcode")
    assert status == 2 and "4 of 5 disks" in text, text
    pair.write(new)
    pair.shelf.unhang("disk4")
    fenced(pair, new, "disk4")
    made_whole(pair, new, "disk4")
    assert pair.verify() is new


def test_the_half_of_a_mirror_that_was_given_up_hangs_and_the_other_takes_over(pair: FaultyPair) -> None:
    """The import may not need it: the last owner had dropped it, said so, and is dead at the time of the import."""
    old, new, mark = both(pair)
    old.unplug("disk1")
    dropped(pair, old, "disk1")
    pair.write(old)
    pair.shelf.hang("disk1")
    old.pull_the_plug()
    taken_over(pair, new, mark)
    assert "CLAIM_WAITED" in new.codes(mark, "importing")
    pair.write(new)
    pair.shelf.unhang("disk1")
    fenced(pair, new, "disk1")
    made_whole(pair, new, "disk1")
    assert pair.verify() is new


def test_a_switchover_that_somebody_keeps_from_going_on_is_given_up(pair: FaultyPair) -> None:
    """A process keeps a file of the pool open while the active controller exports, and closes it later."""
    old, new, mark = both(pair)
    olds = old.mark()
    pair.publish(timers=replace(pair.orders.timers, release_ms=RELEASE_MS))
    pair.until_followed()
    old.machine.check("cd /tank/home; (exec sleep 100000 </dev/null >/dev/null 2>&1 & echo $! >/run/user.pid)")
    old.machine.send(old.python("reconciler.cli.entry", "switchover", "--node", "/root/node.toml"), 240)
    pair.until(lambda: old.codes(olds, "importing") and old.phase == "active", "the switchover is given up")
    pair.tell(old, olds)
    assert (old.codes(olds, "releasing"), old.codes(olds, "importing")) == (["ASKED"], ["RELEASE_GIVEN_UP"])
    assert not old.codes(olds, "halted")
    assert pair.verify() is old
    old.machine.check("kill $(cat /run/user.pid)")
    old.machine.send(old.python("reconciler.cli.entry", "switchover", "--node", "/root/node.toml"), 240)
    taken_over(pair, new, mark)
    assert pair.verify() is new


def test_a_disk_that_hangs_for_the_active_controller_moves_the_pools_by_a_reset(pair: FaultyPair) -> None:
    """Writes stop, and no export can end: the other takes over from a controller that halts."""
    old, new, mark = both(pair)
    olds = old.mark()
    pair.publish(timers=replace(pair.orders.timers, release_ms=RELEASE_MS))
    pair.until_followed()
    pair.shelf.hang_for(old.side.value, "disk1")
    taken_over(pair, new, mark)
    # A machine that resets itself goes off only when its disks answer.
    pair.shelf.unhang()
    old.until_off()
    pair.tell(old, olds)
    assert (old.codes(olds, "releasing"), old.codes(olds, "halted")) == (["POOLS_HUNG"], ["RELEASE_HUNG"])
    assert pair.verify() is new


def test_the_shelf_loses_its_power_and_every_reservation(pair: FaultyPair) -> None:
    """The active controller ends before another machine may write; then one controller claims the disks anew."""
    old, _, _ = both(pair)
    olds = old.mark()
    pair.shelf.power_off()
    pair.shelf.power_on()
    old.until_off()
    pair.tell(old, olds)
    assert old.codes(olds, "halted")[0] in ("FENCED", "UNPROVEN")
    pair.until(lambda: pair.other(old).phase == "active", "the other takes over")
    assert pair.verify() is pair.other(old)


def test_a_shelf_without_any_reservation_is_claimed_by_who_boots(pair: FaultyPair) -> None:
    for head in pair.heads:
        head.pull_the_plug()
    pair.shelf.power_off()
    pair.shelf.power_on()
    pair.boot()
    pair.well()
    pair.verify()


def test_reservations_that_are_not_as_they_should_be_are_shown_and_mended(pair: FaultyPair) -> None:
    active, standby, _ = both(pair)
    status, text = active.run_hagit("reservations", "show", "--detailed-exitcode")
    assert status == 0 and f"{active.machine.name}'s claim" in text and "holds all of 5 disks, alone." in text, text
    assert "knows no PREEMPT AND ABORT" in text and "forgets its reservation when it loses power" in text
    (first, *_) = parse(active.machine.check(asking(DISKS[4:])))
    assert first.holder is not None
    persist = "sg_persist -n --out"
    # A command fails if another initiator's action is reported to it; the next try succeeds.
    again = "for n in 1 2 3; do %s && break; done"
    standby.machine.check(again % f"{persist} --register-ignore --param-sark={FOREIGN:#x} /dev/disk/by-id/disk3")
    mine = f"{encode_key(first.holder):#x}"
    active.machine.check(again % f"{persist} --register --param-rk={mine} --param-sark=0 /dev/disk/by-id/disk4")
    status, text = active.run_hagit("reservations", "show", "--detailed-exitcode")
    for line in text.splitlines():
        pair.say(f"| {line}")
    assert status == 2
    assert "a foreign key 0xabc is registered as well and may write to it" in text
    assert "no controller holds it: the other one could write to it" in text
    status, text = standby.run_hagit("reservations", "repair", "--yes")
    assert status == 0 and "only the active controller can remove it" in text, text
    status, text = active.run_hagit("reservations", "repair", "--yes")
    assert status == 0 and "disk4: take it: no controller holds it" in text and "disk4: done" in text, text
    assert "--foreign 0xabc removes it" in text, text
    fenced(pair, active, "disk4")
    status, text = active.run_hagit("reservations", "repair", "--yes", "--foreign", f"{FOREIGN:#x}")
    for line in text.splitlines():
        pair.say(f"| {line}")
    assert status == 0 and "disk3: done" in text, text
    assert pair.verify() is active


def test_a_spare_is_reserved_before_it_joins_and_takes_the_place_of_a_dead_disk(pair: FaultyPair) -> None:
    old, new, mark = both(pair)
    pair.publish(disks=(*DISKS, NEW))
    pair.until_followed()
    fenced(pair, old, NEW)
    # A disk without any data refuses the other controller already.
    write = f"dd if=/dev/zero of=/dev/disk/by-id/{NEW} bs=4k count=1 seek=2000 oflag=direct conv=notrunc"
    refused = new.machine.run(write)
    assert refused.status != 0 and "Invalid exchange" in refused.err, refused.err
    old.machine.check(f"zpool add -f tank spare {NEW}-part1", WAIT_S)
    for head in pair.heads:
        head.unplug("disk1")
    dropped(pair, old, "disk1")
    old.machine.check(f"zpool replace tank disk1-part1 {NEW}-part1 && zpool wait -t resilver tank", WAIT_S)
    pair.write(old)
    old.pull_the_plug()
    taken_over(pair, new, mark)
    assert f"{NEW}-part1" in new.machine.check("zpool status tank")
    fenced(pair, new, NEW)
    # The dead disk leaves the pool and the orders, and the spare becomes a member.
    new.machine.check("zpool detach tank disk1-part1")
    disks = ("disk0", *DISKS[2:], NEW)
    vdevs = (Vdev("tank/mirror-0", (0, 4), 1), replace(RAIDZ, disks=(1, 2, 3)))
    pair.publish(disks=disks, vdevs=vdevs)
    pair.until_followed(new)
    pair.boot(old)
    assert pair.well() is new
    mark = old.mark()
    pair.write(new)
    new.pull_the_plug()
    taken_over(pair, old, mark)
    assert pair.verify() is old
