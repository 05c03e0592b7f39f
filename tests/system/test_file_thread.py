"""The clerk on a disk that is full: what did not go in whole is told, and the loop never waits for it."""

from pathlib import Path

from reconciler.system.file_thread import FileThread
from tests.system.conftest import small_disk
from tests.wait import until

__all__ = ["small_disk"]


def test_a_line_that_did_not_go_in_whole_is_told(small_disk: Path) -> None:
    clerk = FileThread(small_disk / "watched", 1_000)
    try:
        line = b"x" * 999 + b"\n"
        clerk.append(small_disk / "timeline", line, 10_000)
        until(lambda: (small_disk / "timeline").exists())
        assert clerk.flush(10) and clerk.problem == ""
        for _ in range(30):
            clerk.append(small_disk / "timeline", line * 60, 10_000)
        assert clerk.flush(10)
        assert "No space left on device" in clerk.problem
        assert str(small_disk / "timeline") in clerk.problem
    finally:
        clerk.close(10)


def test_a_file_of_lines_keeps_the_last_of_them_and_its_mode(tmp_path: Path) -> None:
    clerk = FileThread(tmp_path / "watched", 1_000)
    try:
        for number in range(100):
            clerk.append(tmp_path / "timeline", b"%0300d\n" % number, 20)
        assert clerk.flush(10)
    finally:
        clerk.close(10)
    lines = (tmp_path / "timeline").read_bytes().splitlines()
    assert int(lines[-1]) == 99
    assert 15 <= len(lines) <= 24
    assert (tmp_path / "timeline").stat().st_mode & 0o777 == 0o600
