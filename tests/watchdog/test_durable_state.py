"""The state that outlives the daemon: memory, incarnation, moves and resets; and the thread that writes it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from select import select

import pytest

from reconciler.core.failover.machine.agreed_limits import Agreement
from reconciler.core.failover.machine.elapsed_time import Clocks
from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import Memory
from reconciler.core.failover.orders.orders import Layout, Limits, layout
from reconciler.simulation.timed.stories import PAIR
from reconciler.system.file_thread import FileThread
from reconciler.watchdog.durable_state import DurableState
from tests.wait import until

MEMORY = Memory(Phase.ACTIVE, 7, quiet=True)


@pytest.fixture
def file_thread(tmp_path: Path) -> Iterator[FileThread]:
    made = FileThread(tmp_path / "orders.json", 1_000)
    yield made
    made.close(10)


def durable(path: Path, file_thread: FileThread) -> DurableState:
    assert file_thread.flush(10)
    return DurableState(path / "state", path / "run", file_thread)


def test_the_number_rises_with_every_start_even_when_its_file_was_lost(tmp_path: Path, file_thread: FileThread) -> None:
    numbers = [durable(tmp_path, file_thread).incarnation for _ in range(3)]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    path = tmp_path / "state" / "watchdog" / "incarnation"
    path.write_text('{"incarnation": 99999999999}')
    assert durable(tmp_path, file_thread).incarnation == 100_000_000_000
    path.write_text("damaged")
    damaged = durable(tmp_path, file_thread)
    assert damaged.incarnation >= numbers[0] and damaged.problems


def test_memory_outlives_the_daemon_but_no_boot(tmp_path: Path, file_thread: FileThread) -> None:
    first = durable(tmp_path, file_thread)
    assert first.memory is None
    first.set_memory(MEMORY)
    assert durable(tmp_path, file_thread).memory == MEMORY
    path = tmp_path / "run" / "memory"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"boot": "another"}))
    assert durable(tmp_path, file_thread).memory is None
    for damage in ({"phase": "nowhere"}, {"epoch": -1}, {"epoch": 1 << 50}, {"quiet": 1}, {"epoch": "7"}):
        path.write_text(json.dumps(document | damage))
        damaged = durable(tmp_path, file_thread)
        assert damaged.memory is None and damaged.problems
    first.set_memory(None)
    assert not path.exists()


def test_the_shelf_in_force_outlives_daemon_and_boot(tmp_path: Path, file_thread: FileThread) -> None:
    newer = replace(PAIR, disks=("other",), vdevs=(), arbitration=(0,))
    durable(tmp_path, file_thread).keep_orders(PAIR)
    assert durable(tmp_path, file_thread).layout == layout(PAIR)
    path, copy = tmp_path / "run" / "orders", tmp_path / "state" / "watchdog" / "shelf.json"
    assert file_thread.flush(10)
    path.unlink()
    assert durable(tmp_path, file_thread).layout == layout(PAIR), "after a boot, the copy in the state directory"
    durable(tmp_path, file_thread).keep_orders(newer)
    assert file_thread.flush(10)
    copy.write_text(copy.read_text().replace("other", "late"))
    assert durable(tmp_path, file_thread).layout == layout(newer), (
        "the copy may be written late, or by an older release"
    )
    path.write_bytes(b"damaged")
    assert durable(tmp_path, file_thread).layout == Layout(("late",), (), (0,))
    for damage in ("damaged", "[]", '{"disks":"other"}', '{"disks":["other"],"vdevs":[],"arbitration":[-1,2.5]}'):
        copy.write_text(damage)
        damaged = durable(tmp_path, file_thread)
        assert damaged.layout is None and len(damaged.problems) == 1


def test_moves_and_resets_are_counted_within_the_windows(tmp_path: Path, file_thread: FileThread) -> None:
    first = durable(tmp_path, file_thread)
    first.note_move()
    first.note_move()
    first.note_own_reset("the reservation is lost", 10)
    assert durable(tmp_path, file_thread).recent_counts(Limits()) == (1, 2)
    entries = json.loads((tmp_path / "state" / "watchdog" / "resets.json").read_text())
    assert entries[0]["why"] == "the reservation is lost"


class Machine:
    """A machine whose clocks the test sets. `boots`: it was off for a while, and its wall clock says what it likes."""

    def __init__(self, path: Path, file_thread: FileThread) -> None:
        self.path, self.file_thread, self.boot, self.up_s, self.wall_s = path, file_thread, 1, 10.0, RIGHT_S
        self.durable = self.starts()

    def clocks(self, boot: str) -> Clocks:
        return Clocks(f"{boot} {self.boot}", self.up_s, self.wall_s)

    def starts(self) -> DurableState:
        assert self.file_thread.flush(10)
        self.durable = DurableState(self.path / "state", self.path / "run", self.file_thread, clocks=self.clocks)
        return self.durable

    def lives(self, seconds: float) -> None:
        """Time passes in steps in which the daemon looks at its clocks."""
        for _ in range(100):
            self.up_s, self.wall_s = self.up_s + seconds / 100, self.wall_s + seconds / 100
            self.durable.elapsed.save_if_due()

    def boots(self, wall_s: float) -> DurableState:
        self.boot, self.up_s, self.wall_s = self.boot + 1, 20.0, wall_s
        return self.starts()


#: Some day in the years 2027, 1970, 2099 and 2050.
RIGHT_S, DEAD_S, FAR_S, LATER_S = 1.8e9, 100.0, 4.08e9, 2.54e9
HOUR_S = 3_600


def test_resets_of_long_ago_hold_nobody_back_whatever_the_clock_says(tmp_path: Path, file_thread: FileThread) -> None:
    for number, then_s in enumerate((RIGHT_S, DEAD_S, FAR_S)):
        for now_s in (RIGHT_S + 10 * HOUR_S, DEAD_S, FAR_S):
            machine = Machine(tmp_path / f"{number}-{now_s}", file_thread)
            machine.wall_s = then_s
            machine.durable.note_move()
            machine.durable.note_own_reset("why", 10)
            machine.boots(then_s + 60)
            assert machine.durable.recent_counts(Limits()) == (1, 1)
            machine.lives(HOUR_S)
            assert machine.boots(now_s).recent_counts(Limits()) == (0, 0)


def test_a_machine_that_was_off_for_a_day_is_believed_if_its_clock_runs_steadily(
    tmp_path: Path, file_thread: FileThread
) -> None:
    machine = Machine(tmp_path, file_thread)
    machine.lives(HOUR_S)
    machine.durable.note_own_reset("why", 10)
    assert machine.boots(RIGHT_S + 24 * HOUR_S).recent_counts(Limits()) == (0, 0)


def test_a_clock_that_was_wrong_for_a_whole_boot_makes_no_reset_old(tmp_path: Path, file_thread: FileThread) -> None:
    machine = Machine(tmp_path, file_thread)
    machine.lives(HOUR_S)
    assert machine.boots(RIGHT_S - 24 * HOUR_S).recent_counts(Limits()) == (0, 0)
    machine.lives(60)
    machine.durable.note_own_reset("why", 10)
    assert machine.boots(RIGHT_S + HOUR_S + 120).recent_counts(Limits()) == (1, 0)
    # It is trusted again when it has run for an hour without a leap; by then the reset is an hour old.
    machine.lives(HOUR_S)
    machine.durable.note_own_reset("why", 10)
    assert machine.boots(machine.wall_s + 24 * HOUR_S).recent_counts(Limits()) == (0, 0)


def test_no_leap_of_the_wall_clock_makes_a_reset_old(tmp_path: Path, file_thread: FileThread) -> None:
    for wall_s in (DEAD_S, FAR_S, RIGHT_S - 24 * HOUR_S, RIGHT_S + 60):
        machine = Machine(tmp_path / str(wall_s), file_thread)
        machine.durable.note_own_reset("why", 10)
        assert machine.boots(wall_s).recent_counts(Limits()) == (1, 0)
        # It leaps while the daemon runs, and again over the boot: set during the boot before, it is not believed.
        machine.lives(60)
        machine.wall_s = LATER_S
        machine.lives(60)
        assert machine.starts().recent_counts(Limits()) == (1, 0)
        assert machine.boots(LATER_S + 24 * HOUR_S).recent_counts(Limits()) == (1, 0)


def test_entries_of_the_first_release_are_as_old_as_a_plausible_clock_says(
    tmp_path: Path, file_thread: FileThread
) -> None:
    machine = Machine(tmp_path, file_thread)
    state = tmp_path / "state" / "watchdog"
    (state / "moves.json").write_text(json.dumps([RIGHT_S - 2 * HOUR_S, RIGHT_S - 60, 5.0, "x", True]))
    (state / "resets.json").write_text(json.dumps([{"at": RIGHT_S - 60, "why": "x"}, {"at": "x"}, {"at": 1e300}, 7]))
    assert machine.starts().recent_counts(Limits()) == (1, 2)
    machine.lives(HOUR_S)
    machine.durable.note_move()
    assert machine.starts().recent_counts(Limits()) == (0, 1)


def test_a_lost_or_damaged_total_begins_at_the_newest_entry(tmp_path: Path, file_thread: FileThread) -> None:
    machine = Machine(tmp_path, file_thread)
    machine.lives(HOUR_S)
    machine.durable.note_own_reset("why", 10)
    machine.lives(HOUR_S / 2)
    path = tmp_path / "state" / "watchdog" / "elapsed.json"
    for damage in ("damaged", "{}", '{"total":-1,"boot":"x","up":1,"wall":1,"set":1}', '{"total":true}', "[]"):
        assert file_thread.flush(10)
        path.write_text(damage)
        assert machine.starts().recent_counts(Limits()) == (1, 0)
    machine.lives(HOUR_S)
    assert machine.starts().recent_counts(Limits()) == (0, 0)


def test_maintenance_goes_on_and_ends_whatever_the_clock_says(tmp_path: Path, file_thread: FileThread) -> None:
    for wall_s in (DEAD_S, FAR_S, RIGHT_S + 60):
        machine = Machine(tmp_path / str(wall_s), file_thread)
        assert machine.durable.maintenance_left_s() == 0
        machine.durable.set_maintenance(2 * HOUR_S, override=True)
        machine.lives(HOUR_S)
        left_s = machine.boots(wall_s).maintenance_left_s()
        assert HOUR_S - 100 <= left_s <= HOUR_S and machine.durable.override
        machine.lives(HOUR_S)
        assert machine.starts().maintenance_left_s() == 0
    machine.durable.set_maintenance(None)
    assert machine.starts().maintenance_left_s() == 0 and not machine.durable.override
    # The first release wrote only a moment of the wall clock.
    state = tmp_path / str(wall_s) / "state" / "watchdog"
    assert file_thread.flush(10)
    (state / "maintenance.json").write_text(json.dumps({"until": machine.wall_s + 50, "override": False}))
    assert 49 <= machine.starts().maintenance_left_s() <= 50


def test_a_machine_that_died_while_the_deadman_was_fed_is_known_after_its_boot(
    tmp_path: Path, file_thread: FileThread
) -> None:
    first = durable(tmp_path, file_thread)
    first.note_deadman(True)
    assert not durable(tmp_path, file_thread).died_with_machine
    life = tmp_path / "state" / "watchdog" / "life.json"
    life.write_text(json.dumps(json.loads(life.read_text()) | {"boot": "another"}))
    assert durable(tmp_path, file_thread).died_with_machine
    assert not durable(tmp_path, file_thread).died_with_machine


def test_a_watched_file_is_read_after_each_change(tmp_path: Path, file_thread: FileThread) -> None:
    path = tmp_path / "orders.json"

    def news() -> bytes | None:
        file_thread.check_now()
        readable, _, _ = select([file_thread], [], [], 10)
        assert readable
        content = file_thread.take_content()
        assert content is not None
        return content.content if not content.problem else content.problem.encode()

    assert news() is None
    path.write_bytes(b"one")
    assert news() == b"one"
    path.write_bytes(b"x" * 2_000)
    assert b"larger than 1000 bytes" in (news() or b"")
    path.unlink()
    assert news() is None


def test_what_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path, file_thread: FileThread) -> None:
    file_thread.write(tmp_path / "missing" / "file", b"x")
    until(lambda: file_thread.problem)
    file_thread.write(tmp_path / "file", b"x")
    assert file_thread.flush(10)
    assert (tmp_path / "file").read_bytes() == b"x" and not file_thread.problem


def test_a_log_keeps_its_newest_lines(tmp_path: Path, file_thread: FileThread) -> None:
    path = tmp_path / "log"
    for number in range(40):
        file_thread.append(path, b"%04d %s\n" % (number, b"x" * 300), 20)
    assert file_thread.flush(10)
    lines = path.read_bytes().splitlines()
    assert 10 <= len(lines) <= 20 and lines[-1].startswith(b"0039")


def test_what_the_peer_reads_outlives_the_daemon(tmp_path: Path, file_thread: FileThread) -> None:
    first = durable(tmp_path, file_thread)
    assert first.peer_reads == 1
    first.note_peer_reads(2)
    assert durable(tmp_path, file_thread).peer_reads == 2
    for damage in ("damaged", "{}", '{"reads": 0}', '{"reads": true}', '{"reads": "2"}', "[2]"):
        (tmp_path / "state" / "watchdog" / "peer.json").write_text(damage)
        assert durable(tmp_path, file_thread).peer_reads == 1, damage


def test_the_limits_in_force_outlive_the_daemon(tmp_path: Path, file_thread: FileThread) -> None:
    first = durable(tmp_path, file_thread)
    assert first.agreement is None
    first.note_agreement(Agreement(2_000, 5_000, 14_000))
    assert durable(tmp_path, file_thread).agreement == Agreement(2_000, 5_000, 14_000)
    path = tmp_path / "state" / "watchdog" / "agreement.json"
    for damage in ("damaged", "[]", '{"lives":2000,"feeds":5000}', '{"lives":0,"feeds":1,"waits":1}'):
        path.write_text(damage)
        assert durable(tmp_path, file_thread).agreement is None, damage
