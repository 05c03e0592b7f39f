"""The file thread on a full disk: an incomplete write is reported, and the event loop never waits."""

from pathlib import Path

from reconciler.system.file_thread import FileThread
from tests.system.conftest import small_disk
from tests.wait import until

__all__ = ["small_disk"]


def test_a_line_that_did_not_go_in_whole_is_told(small_disk: Path) -> None:
    file_thread = FileThread(small_disk / "watched", 1_000)
    try:
        line = b"x" * 999 + b"\n"
        file_thread.append(small_disk / "timeline", line, 10_000)
        until(lambda: (small_disk / "timeline").exists())
        assert file_thread.flush(10) and file_thread.problem == ""
        for _ in range(30):
            file_thread.append(small_disk / "timeline", line * 60, 10_000)
        assert file_thread.flush(10)
        assert "No space left on device" in file_thread.problem
        assert str(small_disk / "timeline") in file_thread.problem
    finally:
        file_thread.close(10)


def test_a_file_of_lines_keeps_the_last_of_them_and_its_mode(tmp_path: Path) -> None:
    file_thread = FileThread(tmp_path / "watched", 1_000)
    try:
        for number in range(100):
            file_thread.append(tmp_path / "timeline", b"%0300d\n" % number, 20)
        assert file_thread.flush(10)
    finally:
        file_thread.close(10)
    lines = (tmp_path / "timeline").read_bytes().splitlines()
    assert int(lines[-1]) == 99
    assert 15 <= len(lines) <= 24
    assert (tmp_path / "timeline").stat().st_mode & 0o777 == 0o600
