"""What must hold when a person or the agents make the first pool of a pair, on bare whole disks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.image import Image
from tests.lab.pair.first_boot import FirstPair, FollowingHead, UdevHead
from tests.lab.pair.head import Head

pytestmark = pytest.mark.timeout(1_800)
#: The kernel counts its events for udev.
EVENTS = "cat /sys/kernel/uevent_seqnum"


def codes(head: Head) -> set[str]:
    """Return every present reason."""
    status = head.status()
    return {reason.code for reason in status.reasons} if status is not None else {"SILENT"}


def well_with_records(pair: FirstPair) -> Head:
    """Return the active one, once an audit of both finds nothing wrong, not even missing room for disk records."""
    # The shelf of tgt supports neither.
    pair.until(lambda: all(codes(head) <= {"NO_ABORT", "NO_APTPL"} for head in pair.heads), "nothing is wrong")
    return pair.well()


def taken_over(pair: FirstPair, old: Head) -> None:
    """Cut the power of the active one. The other takes over the new pool, and the pair becomes well again."""
    new = pair.other(old)
    pair.write(old)
    mark = new.mark()
    old.pull_the_plug()
    pair.taken_over(new, mark)
    assert pair.verify() is new
    pair.boot(old)
    assert well_with_records(pair) is new


def test_the_first_pool_of_a_pair_is_made_and_taken_over(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with FirstPair(storage_image, tmp_path, progress) as pair:
        old = pair.active()
        assert isinstance(old, UdevHead)
        assert old.pools() == []
        pair.until(lambda: "NO_RECORDS" in codes(old), "it is told that the disks have no room for records yet")
        with pair.no_failover():
            before = [head.machine.check(EVENTS) for head in pair.heads]
            pair.pass_time(5)
            assert [head.machine.check(EVENTS) for head in pair.heads] == before, "udev is kept busy with bare disks"
            began_s = time.monotonic()
            done = old.hagit("apply --yes")
            assert done.status == 0, f"{done.out}{done.err}\n{pair.describe()}"
            pair.say(f"hagit apply took {time.monotonic() - began_s:.1f} s")
            assert old.pools() == ["tank"]
            assert pair.well() is old
        known = pair.other(old).machine.run("ls /dev/disk/by-id/disk0-part1").status == 0
        pair.say(f"the other's kernel has {'' if known else 'not '}been told of the partitions")
        taken_over(pair, old)


def test_the_agents_make_the_first_pool_by_themselves(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with FirstPair(storage_image, tmp_path, progress, kind=FollowingHead) as pair:
        old = pair.active()
        pair.until(lambda: old.machine.run("zfs list tank/records").status == 0, "the agent makes the pool")
        pair.say("the agent has made the pool")
        assert well_with_records(pair) is old
        phases = [event.new for event in old.events() if event.mark == "phase"]
        assert phases == ["standby", "claiming", "importing", "active"], pair.describe()
        taken_over(pair, old)


def test_a_pool_whose_making_was_cut_off_is_made_by_the_other(
    storage_image: Image, progress: Callable[[str], None], tmp_path: Path
) -> None:
    with FirstPair(storage_image, tmp_path, progress) as pair:
        old, new, mark = pair.roles()
        assert isinstance(old, UdevHead) and isinstance(new, UdevHead)
        old.systemctl("stop systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service")
        with pair.no_failover():
            began_s = time.monotonic()
            done = old.hagit("apply --yes")
            pair.say(f"hagit apply gave up after {time.monotonic() - began_s:.1f} s")
            assert done.status == 1 and "failed to detect device partitions" in done.err, done.out + done.err
        old.pull_the_plug()
        pair.taken_over(new, mark)
        assert new.pools() == []
        done = new.hagit("apply --yes")
        assert done.status == 0, f"{done.out}{done.err}\n{pair.describe()}"
        pair.write(new)
        pair.boot(old)
        assert pair.well() is new
        assert pair.verify() is new
