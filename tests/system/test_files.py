"""Crash-safe files: whole or untouched, bounded, locked by one."""

import multiprocessing
import os
from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.system.files import (
    Lock,
    append_bytes,
    append_line,
    holder_of,
    keep_last_lines,
    read_bytes,
    read_json,
    read_lines,
    write_atomic,
    write_json,
)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_leaves_the_old_content_and_says_so(small_disk: Path) -> None:
    path = small_disk / "x"
    write_json(path, {"good": True})
    with pytest.raises(StateError) as caught:
        write_atomic(path, b"x" * (4 << 20))
    assert "No space left" in caught.value.what and "free space" in caught.value.remedy
    assert read_json(path) == {"good": True}
    assert os.listdir(small_disk) == ["x"]


def test_a_full_disk_is_told_when_appending(small_disk: Path) -> None:
    path = small_disk / "lines"
    with pytest.raises(StateError, match="No space left"):
        for _ in range(100_000):
            append_line(path, {"filler": "x" * 1000})
    assert all(line == {"filler": "x" * 1000} for line in read_lines(path))


def test_a_line_is_appended_to_a_file_of_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert append_bytes(path, b"one\n", mode=0o600, sync=True) == 4
    assert append_bytes(path, b"three\n", mode=0o640) == 10
    assert path.read_bytes() == b"one\nthree\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        write_atomic(tmp_path / "none" / "x", b"")


def test_a_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, {"n": 1})
    append_line(path, {"n": 2})
    path.write_bytes(path.read_bytes()[:-4])
    assert read_lines(path) == [{"n": 1}]


def test_old_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for number in range(25):
        append_line(path, number)
        keep_last_lines(path, 10)
    lines = read_lines(path)
    assert lines[-1] == 24 and len(lines) <= 21 and lines == list(range(lines[0], 25))


def test_reading_is_bounded_and_absence_is_none(tmp_path: Path) -> None:
    assert read_bytes(tmp_path / "none") is None
    assert read_json(tmp_path / "none") is None
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(StateError, match="larger than 10 bytes"):
        read_bytes(tmp_path / "big", 10)
    (tmp_path / "bad").write_bytes(b"{")
    with pytest.raises(StateError, match="not a JSON document"):
        read_json(tmp_path / "bad")


def _hold(path: Path, ready: "multiprocessing.synchronize.Event", free: "multiprocessing.synchronize.Event") -> None:
    with Lock(path, "apply"):
        ready.set()
        free.wait(30)


def test_the_second_to_lock_learns_who_holds_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, free = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "lock", ready, free))
    holder.start()
    try:
        assert ready.wait(30)
        with (
            pytest.raises(StateError, match=rf"locked by apply \(pid {holder.pid}\)"),
            Lock(tmp_path / "lock", "drift"),
        ):
            pass
    finally:
        free.set()
        holder.join()
    with Lock(tmp_path / "lock", "drift"):
        pass


def test_a_lock_that_is_handed_over_was_never_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    old, new = Lock(path, "old"), Lock(path, "new")
    with old:
        handle = os.dup(old.handle)
        old.close()
        with pytest.raises(StateError, match="old"), Lock(path, "third"):
            pass
        new.adopt(handle)
        with pytest.raises(StateError, match="new"), Lock(path, "third"):
            pass
        assert holder_of(path) == os.getpid()
        new.close()
    with Lock(path, "third"):
        pass
