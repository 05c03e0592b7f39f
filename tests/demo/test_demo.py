"""The demonstration does what it says, in a pipe, and leaves nothing behind, however it ends."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WHOLE_S = 800.0
DEADLINE_S = 60.0
STEPS = (
    "A pair",
    "hagit plan, on controller a",
    "hagit agent, on both",
    "A commit",
    "Drift",
    "A mistake",
    "hagit rollback",
    "Failover",
    "The watchdog is killed",
    "The active controller loses power",
    "The interlink is pulled",
    "Every network between them is gone",
    "A watchdog that sleeps too long, and wakes",
    "Both lose power and boot at once",
    "Both boot while failover is disabled",
    "hagit switchover",
    "The account",
    "That was it",
)


@contextmanager
def demo(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The demonstration with all its files below `directory`."""
    environment = {**os.environ, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"}
    for name in ("KEEP", "FORCE_COLOR", "COLUMNS"):
        environment.pop(name, None)
    process = subprocess.Popen(
        # Tests in the background may ignore Ctrl-C, and child processes inherit that.
        ["env", "--default-signal=INT", sys.executable, "-m", "reconciler.demo"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        assert process.stdout is not None
        process.stdout.close()


def left_behind(directory: Path) -> list[str]:
    """Files below the directory, and processes that were started with a path in it."""
    found = [str(path) for path in directory.iterdir()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(f"{directory}/" in word for word in words):
                found.append(f"{entry.name}: {' '.join(words)}")
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name: sockets lie in it, and its name is printed."""
    with tempfile.TemporaryDirectory(prefix="d-") as name:
        yield Path(name)


def until_nothing_is_left(directory: Path) -> None:
    end_s, pause = time.monotonic() + DEADLINE_S, threading.Event()
    while found := left_behind(directory):
        assert time.monotonic() < end_s, found
        pause.wait(0.05)


def steps(output: str) -> dict[str, str]:
    """The text of each step by its title."""
    parts = re.split(r"^\d+\. (.*)$", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def silences_ms(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"client saw +at most ([\d,]+) ms", text)]


@pytest.mark.timeout(900)
def test_every_step_ends_as_announced(place: Path) -> None:
    with demo(place) as process:
        output, _ = process.communicate(timeout=WHOLE_S)
    assert process.returncode == 0, output
    assert left_behind(place) == []
    printed = steps(output)
    assert tuple(printed) == STEPS
    assert "\x1b" not in output and "\r" not in output
    assert [line for line in output.splitlines() if len(line) > 100] == []

    assert "the client's webhook received a signed alert" in printed["Drift"]
    assert "2 defects in the desired state" in printed["A mistake"]
    assert "HA active" in printed["Failover"] and "this side" in printed["Failover"]
    for title in STEPS[8:16]:
        assert "hagit rehearse" in printed[title] and "Every invariant held." in printed[title], printed[title]
        assert len(silences_ms(printed[title])) == 1, printed[title]
    assert "done" in printed["The watchdog is killed"]
    for title in ("The interlink is pulled", "Every network between them is gone"):
        assert "Clients notice nothing." in printed[title] and "no move" in printed[title]
    power = printed["The active controller loses power"]
    assert "HA unavailable" in power and "failover, taken over here: served again after" in power
    assert silences_ms(power)[0] > 1_500, "no takeover before the peer counts as silent"
    assert re.search(r"alert +[ab]: the peer is silent on every network", printed["Every network between them is gone"])
    assert re.search(r"done +[ab] was reset: \S", printed["A watchdog that sleeps too long, and wakes"])
    assert re.search(r"done +[ab] is active", printed["Both lose power and boot at once"])
    forced = printed["Both boot while failover is disabled"]
    assert "HA administratively disabled" in forced and "Done: b is MASTER" in forced
    assert re.search(r"Done: [ab] is MASTER\. Switchover", printed["hagit switchover"])
    assert re.search(r"writes +\d[\d,]+ were acknowledged", printed["The account"])
    assert re.search(r"lost +none", printed["The account"])


@pytest.mark.parametrize(
    ("number", "title", "status"),
    [(signal.SIGINT, "3. hagit agent", 130), (signal.SIGTERM, "9. The watch", 143), (signal.SIGKILL, "9. The w", -9)],
)
def test_nothing_is_left_behind_when_it_is_ended(place: Path, number: signal.Signals, title: str, status: int) -> None:
    with demo(place) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(title):
                break
        else:
            pytest.fail(f"it ended before {title!r}")
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(DEADLINE_S) == status, rest
        until_nothing_is_left(place)
