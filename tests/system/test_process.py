"""Programs are run to their end or to their deadline, and nothing of them stays."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

from reconciler.system.process import Finished, Missing, TimedOut, run


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def shell(script: str, **options: object) -> Finished | TimedOut | Missing:
    return run(["/bin/sh", "-c", script], **{"timeout_s": 10.0, **options})  # type: ignore[arg-type]


def test_output_code_and_input_arrive() -> None:
    assert shell("cat; echo wrong >&2; exit 3", stdin=b"hello") == Finished(3, b"hello", b"wrong\n")


def test_an_input_larger_than_the_pipe_does_not_deadlock() -> None:
    data = os.urandom(500_000)
    assert shell("cat", stdin=data) == Finished(0, data, b"")


def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert shell("exec <&-; exit 0", stdin=b"x" * 500_000) == Finished(0, b"", b"")


def test_a_signal_is_a_negative_code() -> None:
    assert shell("kill -TERM $$") == Finished(-15, b"", b"")


def test_output_is_bounded_and_the_rest_is_drained() -> None:
    outcome = shell("head -c 300000 /dev/zero; echo end >&2", output_bytes_max=1000)
    assert outcome == Finished(0, bytes(1000), b"end\n", truncated=True)


def test_output_of_exactly_the_limit_is_whole() -> None:
    assert shell("printf 12345", output_bytes_max=5) == Finished(0, b"12345", b"")


def test_the_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    began = time.monotonic()
    outcome = shell(f"exec 3>{fifo}; echo begun; sleep 600 & sleep 600", timeout_s=2)
    assert outcome == TimedOut(2, b"begun\n", b"")
    assert time.monotonic() - began < 60
    # The pipe reports its end only when the last process that held it is dead.
    ready = select.poll()
    ready.register(reader, select.POLLHUP)
    assert ready.poll(30_000), "a child outlived the deadline"
    os.close(reader)


def test_a_grandchild_that_keeps_the_pipe_does_not_hold_us_up_and_is_killed() -> None:
    began = time.monotonic()
    outcome = shell("sleep 600 & echo $!")
    assert isinstance(outcome, Finished) and outcome.code == 0
    assert time.monotonic() - began < 60
    grandchild = int(outcome.stdout)
    gone = subprocess.run(
        ["/bin/sh", "-c", f"for i in $(seq 1000); do kill -0 {grandchild} || exit 0; sleep 0.02; done; exit 1"]
    )
    assert gone.returncode == 0


def test_a_program_that_cannot_start_is_a_value(tmp_path: Path) -> None:
    assert run(["hagit-no-such-program"], timeout_s=1) == Missing(
        "hagit-no-such-program", "not installed, or not in PATH"
    )
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    assert run([str(plain)], timeout_s=1) == Missing(str(plain), "Permission denied")


def test_the_environment_is_replaced_only_when_given() -> None:
    assert run(["/usr/bin/env"], timeout_s=5, env={"ONLY": "this"}) == Finished(0, b"ONLY=this\n", b"")
    inherited = run(["/usr/bin/env"], timeout_s=5)
    assert isinstance(inherited, Finished) and b"PATH=" in inherited.stdout


def test_our_files_are_closed_in_the_child_and_none_is_leaked_here(tmp_path: Path) -> None:
    secret = os.open(tmp_path / "secret", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(secret, True)
    before = open_files()
    script = f"import os; print(os.path.exists('/proc/self/fd/{secret}'))"
    assert run([sys.executable, "-c", script], timeout_s=10) == Finished(0, b"False\n", b"")
    shell("sleep 60", timeout_s=0.1)
    assert open_files() == before
    os.close(secret)
