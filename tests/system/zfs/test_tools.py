"""Programs with a deadline, and the lock that outlives whoever began a move."""

import os
import subprocess
import sys
import time
from pathlib import Path

from reconciler.system.zfs import tools
from reconciler.system.zfs.pool_lock import PoolLock

#: Nobody waits so long unless something is broken.
LONG_S = 30.0


def test_a_program_is_run_and_heard() -> None:
    outcome = tools.run(["sh", "-c", "cat; echo no >&2; exit 3"], deadline_s=LONG_S, stdin=b"yes\n")
    assert outcome == tools.Ended(3, "yes\n", "no\n")


def test_a_program_that_is_not_there() -> None:
    outcome = tools.run(["hagit-has-no-such-program"], deadline_s=LONG_S)
    assert isinstance(outcome, tools.Absent) and outcome.program == "hagit-has-no-such-program"


def test_at_the_deadline_it_is_left() -> None:
    begun_s = time.monotonic()
    assert tools.run(["sleep", "1000"], deadline_s=0.2) == tools.Overdue(0.2)
    assert time.monotonic() - begun_s < LONG_S
    end_s = time.monotonic() + LONG_S
    while tools.abandoned() and time.monotonic() < end_s:
        os.sched_yield()
    assert tools.abandoned() == 0, "it was killed"


def test_what_clients_wait_for_runs_before_others() -> None:
    # It is so soon after the start.
    script = f'until [ "$(nice)" = {tools.URGENT} ]; do :; done'
    assert tools.run_all([["sh", "-c", script]], width=1, deadline_s=LONG_S, nice=tools.URGENT) == [
        tools.Ended(0, "", "")
    ]


def test_several_at_once_and_no_more_than_the_width(tmp_path: Path) -> None:
    script = f'echo + >>{tmp_path}/log; until test -e {tmp_path}/go; do sleep 0.02; done; echo "$0"'
    outcomes = tools.run_all(
        [["sh", "-c", script, "a"], ["sh", "-c", script, "b"], ["sh", "-c", f"touch {tmp_path}/go"]],
        width=3,
        deadline_s=LONG_S,
    )
    assert [outcome.stdout for outcome in outcomes if isinstance(outcome, tools.Ended)] == ["a\n", "b\n", ""]
    late = tools.run_all([["sleep", "1000"], ["touch", f"{tmp_path}/never"]], width=1, deadline_s=0.2)
    assert late == [tools.Overdue(0.2)] * 2
    assert not (tmp_path / "never").exists()


def test_a_lock_is_seen_by_everybody_and_waited_for(tmp_path: Path) -> None:
    ours, theirs = PoolLock(tmp_path / "run"), PoolLock(tmp_path / "run")
    assert not theirs.going_on()
    with ours.held(LONG_S) as lock:
        assert lock is not None
        assert theirs.going_on()
        with theirs.held(0.05) as second:
            assert second is None
    assert not theirs.going_on()


def test_a_program_that_outlives_its_mover_holds_the_lock(tmp_path: Path) -> None:
    moving = PoolLock(tmp_path)
    with moving.held(LONG_S) as lock:
        assert lock is not None
        # What setpriv does not reach: a program that stays in the kernel when its mover is killed.
        kernel = subprocess.Popen(["sleep", "1000"], pass_fds=(lock,))
    try:
        assert moving.going_on()
        with moving.held(0.05) as second:
            assert second is None
    finally:
        kernel.kill()
        kernel.wait()
    with moving.held(LONG_S) as third:
        assert third is not None


MOVER = """
import sys
from pathlib import Path
from reconciler.system.zfs import tools
from reconciler.system.zfs.pool_lock import PoolLock
with PoolLock(Path(sys.argv[1])).held(30) as lock:
    tools.run(["sh", "-c", 'echo >"$0"/begun; exec sleep 1000', sys.argv[1]], deadline_s=1000, keep=(lock,))
"""


def test_a_mover_that_is_killed_takes_its_program_along(tmp_path: Path) -> None:
    mover = subprocess.Popen([sys.executable, "-c", MOVER, str(tmp_path)])
    moving = PoolLock(tmp_path)
    end_s = time.monotonic() + LONG_S
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < end_s
    assert moving.going_on()
    mover.kill()
    mover.wait()
    with moving.held(LONG_S) as lock:
        assert lock is not None, "the program has ended, too"


def test_marks_last_until_they_are_taken_away(tmp_path: Path) -> None:
    moving = PoolLock(tmp_path / "run")
    assert not moving.ready("tank")
    moving.set_ready("tank", ready=True)
    assert PoolLock(tmp_path / "run").ready("tank")
    moving.set_ready("tank", ready=False)
    moving.set_ready("tank", ready=False)
    assert not moving.ready("tank")
