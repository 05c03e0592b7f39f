"""Disks refuse while pools are imported, and answer again whoever ends. Files stand for the states in /sys."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from reconciler.system.zfs.offline_disks import disks_offline, states
from tests.wait import until


def test_disks_refuse_within_and_run_afterwards(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two", "blocked", "absent")]
    for file, state in zip(files, ("running", "running", "blocked"), strict=False):
        file.write_text(f"{state}\n")
    with disks_offline(files):
        assert [file.read_text() for file in files[:3]] == ["offline\n", "offline\n", "blocked\n"]
    until(lambda: [file.read_text() for file in files[:2]] == ["running\n"] * 2, lambda: "they refuse for ever")
    assert files[2].read_text() == "blocked\n", "what the kernel has given up by itself"
    assert not files[3].exists()


def test_what_is_refused_is_passed_on_at_once(tmp_path: Path) -> None:
    """Behind a request with real-time priority that is unanswered, too: the scheduler lets none wait meanwhile."""
    state, aging = tmp_path / "device/state", tmp_path / "queue/iosched/prio_aging_expire"
    for file, text in ((state, "running\n"), (aging, "10000\n")):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    with disks_offline([state]):
        assert (state.read_text(), aging.read_text()) == ("offline\n", "0\n")
    until(lambda: aging.read_text() == "10000\n", lambda: "others wait no more")


def test_they_run_again_when_whoever_imports_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("running\n")
    code = (
        "import sys; from pathlib import Path; from reconciler.system.zfs.offline_disks import disks_offline\n"
        "with disks_offline([Path(sys.argv[1])]):\n    print('within', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as importer:
        assert importer.stdout is not None and importer.stdout.readline() == b"within\n"
        assert file.read_text() == "offline\n"
        os.kill(importer.pid, signal.SIGKILL)
    until(lambda: file.read_text() == "running\n", lambda: "it refuses for ever")


def test_a_lock_of_the_importer_is_not_kept_by_the_child(tmp_path: Path) -> None:
    near, far = os.pipe()
    with disks_offline([tmp_path / "state"]):
        os.close(far)
        assert os.read(near, 1) == b"", "its copy is closed, too"
    os.close(near)


def test_names_that_lead_nowhere_have_no_state(tmp_path: Path) -> None:
    assert states(tmp_path, ["absent"]) == ()
