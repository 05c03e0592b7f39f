"""Processor time of real programs: of the mover's, as progress, and of no other."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.key import Side
from reconciler.system.zfs.pool_adapter import ZfsPools
from reconciler.system.zfs.pool_lock import PoolLock
from reconciler.system.zfs.processor_time import (
    ProcessIdentity,
    ProcessorTime,
    descendants,
    parse_identity,
    parse_times,
    this_process,
    times_of,
)
from reconciler.system.zfs.progress import STEP_MS
from tests.wait import until

#: Moves pools like the worker: it holds the lock, and waits for a program that has it, too.
MOVER = """
import sys
from pathlib import Path
from reconciler.system.zfs import tools
from reconciler.system.zfs.pool_lock import PoolLock
moving = PoolLock(Path(sys.argv[1]))
with moving.held(30) as lock:
    if sys.argv[2] == "again":
        moving.repeats(lock)
    tools.run(sys.argv[3:], deadline_s=1000, keep=(lock,))
"""
COMPUTES = ("sh", "-c", "while :; do :; done")
#: Its child computes, as a helper of mount(8) would, until it has no parent any more.
HELPED = ("sh", "-c", "(while kill -0 $$; do :; done); true")
WAITS = ("sleep", "1000")
#: A program that really goes on uses more than this.
MUCH_MS = 2 * STEP_MS
STAT = "812 (a) b (c) S 811 812 812 0 -1 4194560 105 0 0 0 7 5 100 100 20 0 1 0 4711 2445312 205 18446744073709551615\n"


@contextlib.contextmanager
def moved(directory: Path, program: Sequence[str], how: str = "once") -> Iterator[PoolLock]:
    """A mover and its program, until the end of the block."""
    mover = subprocess.Popen([sys.executable, "-c", MOVER, str(directory), how, *program])
    moving = PoolLock(directory)
    try:
        until(lambda: _names(mover.pid) >= {program[0]}, lambda: f"{program} does not run")
        yield moving
    finally:
        mover.kill()
        mover.wait()


def _names(pid: int) -> set[str]:
    """What the programs of a process are called."""
    times = times_of(pid)
    found = set()
    for one, _ in descendants(ProcessIdentity(pid, times.start)) if times is not None else ():
        with contextlib.suppress(OSError):
            found.add(Path(f"/proc/{one.pid}/comm").read_text().strip())
    return found


@contextlib.contextmanager
def computing() -> Iterator[ProcessIdentity]:
    """A program that computes and has nothing to do with any mover."""
    program = subprocess.Popen(COMPUTES)
    try:
        times = times_of(program.pid)
        assert times is not None
        yield ProcessIdentity(program.pid, times.start)
    finally:
        program.kill()
        program.wait()


def compute(other: ProcessIdentity) -> None:
    """Wait until that program has used much more processor time."""

    def used_ms() -> int:
        times = times_of(other.pid)
        return times.ticks * 1_000 // os.sysconf("SC_CLK_TCK") if times is not None else 0

    before_ms = used_ms()
    until(lambda: used_ms() - before_ms > 2 * MUCH_MS)


def test_a_name_with_brackets_and_blanks_hides_no_number() -> None:
    times = parse_times(STAT)
    assert times is not None
    assert (times.parent, times.start, times.ticks) == (811, 4711, 12), "of waited-for children nothing counts twice"
    assert parse_times("") is None
    assert parse_times("812 (a) S nonsense") is None


def test_the_name_of_a_process_is_read_as_it_is_written() -> None:
    one = ProcessIdentity(812, 4711)
    assert parse_identity(str(one)) == one
    for text in ("", "812", "812 x", "812 4711 1", "-1 5", f"1 {'9' * 40}"):
        assert parse_identity(text) is None


@pytest.mark.parametrize("program", [COMPUTES, HELPED], ids=["program", "helper"])
def test_a_program_of_the_mover_that_computes_is_seen(tmp_path: Path, program: Sequence[str]) -> None:
    with moved(tmp_path, program) as moving:
        time = ProcessorTime()
        first_ms = time.look(moving.mover())
        until(lambda: time.look(moving.mover()) - first_ms > MUCH_MS)
    until(lambda: not moving.going_on())
    last_ms = time.look(moving.mover())
    assert time.look(moving.mover()) == last_ms, "what has ended uses nothing and is not forgotten"


def test_a_program_that_waits_uses_nothing_and_others_do_not_count(tmp_path: Path) -> None:
    with moved(tmp_path, WAITS) as moving, computing() as other:
        time = ProcessorTime()
        first_ms = time.look(moving.mover())
        compute(other)
        assert time.look(moving.mover()) - first_ms < STEP_MS


def test_a_process_with_the_number_of_the_mover_is_not_the_mover(tmp_path: Path) -> None:
    with moved(tmp_path, COMPUTES) as moving:
        mover = moving.mover()
        assert mover is not None and list(descendants(mover))
        assert list(descendants(replace(mover, start=mover.start - 1))) == []
    assert list(descendants(mover)) == [], "it has ended"


def test_what_repeats_itself_does_not_count(tmp_path: Path) -> None:
    with moved(tmp_path, COMPUTES, "again") as moving:
        assert moving.going_on()
        assert moving.mover() is None
        time = ProcessorTime()
        with computing() as other:
            compute(other)
        assert time.look(moving.mover()) == 0


def test_the_lock_names_its_holder_and_nonsense_is_nobody(tmp_path: Path) -> None:
    moving = PoolLock(tmp_path)
    assert moving.mover() is None
    with moving.held(1) as lock:
        assert lock is not None
        assert PoolLock(tmp_path).mover() == this_process()
    (tmp_path / "lock").write_bytes(b"\xff" * 1_000)
    assert moving.mover() is None
    with moving.held(1):
        assert moving.mover() == this_process(), "whatever stood there"


def _looks(directory: Path) -> Iterator[int]:
    """What looks at pools that are being moved call progress."""
    pool = Vdev("hagit-has-no-such-pool/disk-0", (0,), 1)
    orders = Orders("pair", Side.A, 1, ("left", "right"), ("disk0",), (pool,), (0,), channels=())
    pools = ZfsPools(directory / "by-id", Side.A, orders, run=directory)
    while True:
        view = pools.look(1.0)
        assert view.pools is Presence.SOME, view
        assert "processor time" in view.doing
        yield view.progress


def test_a_look_at_pools_sees_that_an_import_computes(tmp_path: Path) -> None:
    with moved(tmp_path, COMPUTES):
        looks = _looks(tmp_path)
        numbers = {next(looks)}
        until(lambda: numbers.add(next(looks)) or len(numbers) > 3)


def test_a_look_at_pools_sees_that_an_import_stands_still(tmp_path: Path) -> None:
    with moved(tmp_path, WAITS), computing() as other:
        looks = _looks(tmp_path)
        first = next(looks)
        compute(other)
        assert next(looks) == first
