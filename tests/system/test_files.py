"""Crash-safe files: whole or untouched, bounded, locked by one."""

import multiprocessing
import os
import socket
import threading
from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.system.files import (
    Lock,
    append_bytes,
    append_line,
    holder_of,
    keep_last_lines,
    open_regular,
    read_bytes,
    read_json,
    read_lines,
    write_atomic,
    write_json,
    write_named,
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


def odd(tmp_path: Path) -> dict[str, Path]:
    """Everything that can be in the place of a file."""
    found = {kind: tmp_path / kind for kind in ("a pipe", "a socket", "a device", "Is a directory")}
    os.mkfifo(found["a pipe"])
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(found["a socket"]))
    # A device of its own, without a driver: opening it would fail.
    os.mknod(found["a device"], 0o600 | 0o020000, os.makedev(254, 253))
    found["Is a directory"].mkdir()
    return found


def test_reading_waits_for_nothing_and_opens_no_device(tmp_path: Path) -> None:
    for kind, path in odd(tmp_path).items():
        with pytest.raises(StateError, match=f"cannot read this file: {kind}"):
            read_bytes(path)
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(OSError, match=kind):
            open_regular(tmp_path / "link")
        (tmp_path / "link").unlink()
    (tmp_path / "plain").write_bytes(b"text")
    (tmp_path / "link").symlink_to("plain")
    assert read_bytes(tmp_path / "link") == b"text"
    assert read_bytes(Path("/proc/sys/kernel/ostype"), 64) == b"Linux\n"


def test_what_a_person_names_stays_what_it_is(tmp_path: Path) -> None:
    for kind, path in odd(tmp_path).items():
        before = path.stat()
        with pytest.raises(StateError, match={"a pipe": "No such device", "a device": "write this: "}.get(kind, kind)):
            write_named(path, b"new")
        assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("target")
    write_named(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new" and not target.is_symlink()
    dangling = tmp_path / "dangling"
    dangling.symlink_to("made")
    write_named(dangling, b"made")
    assert dangling.is_symlink() and (tmp_path / "made").read_bytes() == b"made"
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(StateError, match=r"Too many levels|Symlink loop"):
        write_named(loop, b"x")
    assert loop.is_symlink()
    write_named(Path("/dev/null"), b"nowhere")
    assert Path("/dev/null").is_char_device()


def test_a_pipe_that_is_read_gets_all_of_it(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    keeper = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    content = os.urandom(1 << 20)
    write_named(pipe, content)
    os.close(keeper)
    reader.join()
    assert pipe.is_fifo() and got == [content]


def test_an_open_file_is_written_into(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("w+b") as file:
        write_named(Path(f"/proc/self/fd/{file.fileno()}"), b"plan")
        assert file.read() == b"plan"
