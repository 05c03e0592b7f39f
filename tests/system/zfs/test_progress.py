"""What the kernel did while pools were imported or exported."""

from pathlib import Path

from reconciler.system.zfs.pool_lock import PoolLock
from reconciler.system.zfs.progress import (
    COMPUTING_MS_MAX,
    STEP_MS,
    MoveProgress,
    ProgressCounter,
    parse_requests,
    progress_of,
    requests,
    telling,
)

#: Of Linux 6.1: reads, merged, sectors, ms; writes, …; in flight, …; discards, …; flushes, ms.
STAT = "   47291   15 3842 9000  1206 77 4211 880 2 1400 9900 3 0 24 1 55 12\n"


def test_requests_that_have_ended_are_counted() -> None:
    assert parse_requests(STAT) == 47_291 + 1_206 + 3 + 55
    assert parse_requests("1 2 3") == 1, "an older kernel says less"
    assert parse_requests("") == 0


def test_a_device_that_the_kernel_does_not_know_has_done_nothing(tmp_path: Path) -> None:
    assert requests(tmp_path / "none") == 0
    (tmp_path / "disk").touch()
    assert requests(tmp_path / "disk", tmp_path) == 0
    (tmp_path / "block" / "disk").mkdir(parents=True)
    (tmp_path / "block" / "disk" / "stat").write_text(STAT)
    assert requests(tmp_path / "disk", tmp_path / "block") == parse_requests(STAT)


def test_each_count_changes_the_number(tmp_path: Path) -> None:
    kstat = tmp_path / "kstat"
    (kstat / "tank").mkdir(parents=True)
    (kstat / "tank" / "state").write_text("ONLINE\n")
    mounts = tmp_path / "mountinfo"
    mounts.write_text("30 1 0:25 / /tank rw - zfs tank rw,xattr\n31 1 0:26 / /other rw - zfs other rw,xattr\n")
    found = progress_of(("tank", "gone"), (), mounts, kstat)
    assert found == MoveProgress(pools=1, mounts=1, requests=0)
    others = (MoveProgress(2, 1, 0), MoveProgress(1, 2, 0), MoveProgress(1, 1, 1), MoveProgress(1, 1, 0, STEP_MS))
    assert len({found.number, *(one.number for one in others)}) == 5
    assert found.number > 0
    assert found.number == MoveProgress(1, 1, 0).number
    assert found.number == MoveProgress(1, 1, 0, STEP_MS - 1).number, "a program that wakes up for a moment"
    assert str(found) == "pools here: 1, filesystems mounted: 1, disk requests: 0, processor time: 0.0 s"


def test_while_an_export_is_refused_neither_disks_nor_programs_count() -> None:
    counter = ProgressCounter()
    before = counter.look(MoveProgress(1, 3, 5), refused=False)
    assert counter.look(MoveProgress(1, 3, 9, 7 * STEP_MS), refused=True) == before
    assert counter.look(MoveProgress(1, 2, 9, 7 * STEP_MS), refused=True) == MoveProgress(1, 2, 5), "unmounted is gone"
    assert counter.look(MoveProgress(1, 2, 9, 7 * STEP_MS), refused=False) == MoveProgress(1, 2, 9, 7 * STEP_MS)


def test_a_program_that_computes_for_an_hour_and_changes_nothing_stands_still() -> None:
    counter = ProgressCounter()
    counter.look(MoveProgress(1, 0, 5, 2 * STEP_MS), refused=False)
    numbers = [
        counter.look(MoveProgress(1, 0, 5, 2 * STEP_MS + ms), refused=False).number
        for ms in (0, STEP_MS, COMPUTING_MS_MAX - STEP_MS, COMPUTING_MS_MAX, COMPUTING_MS_MAX + STEP_MS, 1 << 40)
    ]
    assert len(set(numbers[:4])) == 4, "all that counts"
    assert len(set(numbers[3:])) == 1, "runs in a circle"
    again = [
        counter.look(MoveProgress(1, 1, 5, (1 << 40) + ms), refused=False).number for ms in (0, STEP_MS, 2 * STEP_MS)
    ]
    assert len({numbers[-1], *again}) == 4, "a mount shows that it does not"


def test_a_disk_that_is_no_partition_and_carries_heartbeats_tells_nothing(tmp_path: Path) -> None:
    whole, other = tmp_path / "beats", tmp_path / "data"
    assert telling([(whole, True), (other, False)]) == [other]


def test_an_export_that_was_refused_is_in_use_until_one_is_in_the_kernel(tmp_path: Path) -> None:
    moving = PoolLock(tmp_path / "zfs")
    assert not moving.in_use()
    moving.refused_export(0.0)
    assert moving.in_use()
    assert PoolLock(tmp_path / "zfs").in_use(), "whoever looks is another process"
    moving.allowed_export()
    assert not moving.in_use()
    (tmp_path / "zfs" / "export.used").write_text("nonsense")
    assert not moving.in_use()
