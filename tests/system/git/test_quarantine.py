"""What a stranger pushes is received within limits, and nothing of it stays unless it is kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from reconciler.errors import HagitError, SourceError, UnsupportedSource
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.remote import Remote
from tests.system.repositories import Work

ROOT = Path(__file__).parents[3]


def size_bytes(mirror: Mirror) -> int:
    """Everything below the mirror's directory."""
    return sum(file.lstat().st_size for file in mirror.path.rglob("*") if file.is_file())


def refusal(mirror: Mirror, work: Work) -> UnsupportedSource:
    with pytest.raises(UnsupportedSource) as caught, mirror.receive([work.remote()], "main", 20) as received:
        received.keep()
    assert caught.value.tip == work.git("rev-parse", "main")
    return caught.value


def test_what_is_not_kept_leaves_nothing(mirror: Mirror, work: Work) -> None:
    good = work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 20)
    before = size_bytes(mirror)
    for number in range(3):
        work.write("noise.bin", os.urandom(500_000))
        work.commit(f"noise {number}")
        with mirror.receive([work.remote()], "main", 20) as received:
            assert received.repository.commit(received.fetched.commit)
        work.git("reset", "-q", "--hard", good)
    assert size_bytes(mirror) == before
    assert list((mirror.path / "quarantine").iterdir()) == []
    assert mirror.head == good


def test_a_tip_that_was_refused_is_not_received_again(mirror: Mirror, work: Work) -> None:
    """By a path that cannot be read in a glance, so that the child is asked."""
    tip = work.commit(a__yaml="x: 1\n")
    work.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    with mirror.receive([work.remote()], "alias", 20, refused=[tip]) as received:
        assert received.fetched.commit == tip
        with pytest.raises(SourceError):
            received.repository.commit(tip)


def varied_blob(work: Work, megabytes: int) -> None:
    """A file that is small in a pack and large when it is inflated."""
    work.write("deep/large.txt", b"0123456789abcdef\n" * (megabytes * 61_681))


@pytest.mark.parametrize("megabytes", [17, 300])
def test_a_large_object_is_refused_and_named(mirror: Mirror, work: Work, megabytes: int) -> None:
    work.commit(a__yaml="x: 1\n")
    varied_blob(work, megabytes)
    work.commit("large")
    error = refusal(mirror, work)
    assert f"deep/large.txt: {megabytes}.0 MiB is more than 16 MiB" in error.what or "more memory" in error.what
    assert "keep only the desired state" in error.remedy
    assert size_bytes(mirror) < 200_000


def number(value: int) -> bytes:
    """A size as packs have it: seven bits in a byte, the least first."""
    out = b""
    while True:
        value, low = value >> 7, value & 127
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def test_a_pack_of_deltas_that_inflates_without_end(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    """A delta that copies its base again and again: some hundred bytes that claim to be two gigabytes."""
    base, copies = b"y" * 0xFFFF, 32_768
    delta = number(len(base)) + number(len(base) * copies) + b"\xb0\xff\xff" * copies
    name = hashlib.sha1(b"blob %d\0" % len(base) + base).digest()
    header = lambda kind, size: bytes([kind << 4 | size & 15 | 128]) + number(size >> 4)  # noqa: E731
    pack = b"PACK\0\0\0\2\0\0\0\2" + header(3, len(base)) + zlib.compress(base)
    pack += header(7, len(delta)) + name + zlib.compress(delta)
    pack += hashlib.sha1(pack).digest()
    whole = hashlib.sha1(b"blob %d\0" % (len(base) * copies))
    for _ in range(copies):
        whole.update(base)
    work.commit(a__yaml="x: 1\n")
    (tmp_path / "bomb.pack").write_bytes(pack)
    with (tmp_path / "bomb.pack").open("rb") as stream:
        subprocess.run(["git", "index-pack", "--stdin"], cwd=work.path, stdin=stream, check=True, capture_output=True)
    work.git("update-index", "--add", "--cacheinfo", f"100644,{whole.hexdigest()},big.bin")
    work.git("commit", "-q", "-m", "bomb")
    refusal(mirror, work)
    assert size_bytes(mirror) < 200_000


def test_a_huge_message_is_refused(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="x: 1\n")
    (work.path.parent / "message").write_text("word " * 200_000)
    work.git("commit", "-q", "--allow-empty", "-F", str(work.path.parent / "message"))
    assert "more than 0.25 MiB" in refusal(mirror, work).what


def test_the_leftovers_of_a_killed_process_are_removed(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="x: 1\n")
    old, young = (mirror.path / "quarantine" / name for name in ("0ld", "y0ung"))
    for path in (old, young):
        (path / "objects").mkdir(parents=True)
    os.utime(old, (0, 0))
    mirror.fetch([work.remote()], "main", 20)
    assert [path.name for path in (mirror.path / "quarantine").iterdir()] == ["y0ung"]


CONFINED = """
import os, socket, sys
from pathlib import Path
from reconciler.system.sandbox import ProcessLimits, confine, limit
limit(ProcessLimits(memory_bytes=256 << 20, file_bytes=1 << 20, processor_s=5))
place = Path(sys.argv[1])
landlock = confine(readable=[Path("/usr"), Path("/proc")], writable=[place], network=False)
def tried(what):
    try:
        return what() and "done"
    except (OSError, MemoryError) as error:
        return type(error).__name__
print(landlock)
print(tried(lambda: (place / "small").write_bytes(b"1")))
print(tried(lambda: (place / "large").write_bytes(b"1" * (2 << 20))))
print(tried(lambda: len(bytearray(512 << 20))))
print(tried(lambda: Path("/etc/shadow").read_bytes()))
print(tried(lambda: (place.parent / "beside").write_bytes(b"1")))
print(tried(lambda: os.chown(place / "small", 1, 1) is None))
print(tried(lambda: os.kill(os.getppid(), 0) is None))
print(tried(lambda: socket.create_connection(("127.0.0.1", 9), 1)))
"""


def test_a_confined_process_reaches_little(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    argv = [sys.executable, "-c", CONFINED, str(place)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    landlock, *rest = done.stdout.split()
    assert rest[:3] == ["done", "OSError", "MemoryError"]
    assert rest[5] == "PermissionError", "capabilities are gone"
    if landlock == "True":
        assert rest[3:5] == ["PermissionError", "PermissionError"]


def test_forms_that_git_knows_and_libgit2_does_not(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="x: 1\n")
    work.git("config", "core.repositoryformatversion", "1")
    work.git("config", "extensions.refstorage", "reftable")
    with pytest.raises(HagitError) as caught:
        mirror.fetch([work.remote()], "main", 20)
    assert isinstance(caught.value, UnsupportedSource)
    assert "reftable" in caught.value.remedy


def test_a_branch_that_names_a_tag(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="x: 1\n")
    work.git("tag", "-a", "v1", "-m", "one")
    (work.path / ".git/refs/heads/odd").write_text(work.git("rev-parse", "v1") + "\n")
    with pytest.raises(SourceError, match="no commit but a tag"):
        mirror.fetch([work.remote()], "odd", 20)


def test_all_branches_are_gone(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 20)
    work.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(SourceError, match="no branch any more; 'main' was followed"):
        mirror.fetch([work.remote()], "main", 20)


def test_a_branch_that_became_a_folder_and_back(mirror: Mirror, work: Work) -> None:
    first = work.commit(a__yaml="x: 1\n")
    work.git("checkout", "-q", "--detach")
    for old, new in (("main", "main/1"), ("main/1", "main")):
        assert mirror.fetch([Remote(str(work.path))], old, 20).commit == first
        work.git("update-ref", "-d", f"refs/heads/{old}")
        work.git("branch", new, first)
        with pytest.raises(SourceError, match=f"no branch '{old}'"):
            mirror.fetch([Remote(str(work.path))], old, 20)
        assert mirror.fetch([Remote(str(work.path))], new, 20).commit == first
