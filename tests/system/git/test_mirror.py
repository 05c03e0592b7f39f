"""Fetching: what arrives, what is refused, and that a failure leaves the mirror as it was."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from reconciler.errors import HagitError, RemoteUnreachable, SourceError, StateError, UnsupportedSource
from reconciler.system.git.history import advance
from reconciler.system.git.mirror import Mirror, head_of
from reconciler.system.git.packs import PACKS_MAX
from reconciler.system.git.remote import Remote
from reconciler.system.git.tree import read_tree
from tests.system.repositories import Work

ROOT = Path(__file__).parents[3]


def refused(mirror: Mirror, remote: Remote, branch: str = "main") -> SourceError:
    with pytest.raises(SourceError) as caught:
        mirror.fetch([remote], branch, 10)
    assert caught.value.where, "every refusal says where"
    return caught.value


def test_a_commit_arrives_and_the_next_one_too(mirror: Mirror, work: Work) -> None:
    assert mirror.head is None
    first = work.commit(a__yaml="x: 1\n")
    fetched = mirror.fetch([work.remote("office")], "main", 10)
    assert (fetched.commit, fetched.remote.name, fetched.refused, fetched.fallback) == (first, "office", (), False)
    assert mirror.head == first == mirror.fetch([work.remote()], "main", 10).commit
    second = work.commit(a__yaml="x: 2\n")
    assert mirror.fetch([Remote(work.path.as_uri())], "main", 10).commit == second == mirror.head


def test_nothing_is_checked_out_and_the_mirror_is_private(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 10)
    assert not list(mirror.path.rglob("*.yaml"))
    assert mirror.path.stat().st_mode & 0o077 == 0


def test_a_mirror_is_found_again(mirror: Mirror, work: Work) -> None:
    commit = work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 10)
    again = Mirror(mirror.path)
    assert again.head == commit and read_tree(again, commit) == {"a.yaml": b"x: 1\n"}


def test_the_second_remote_serves_when_the_first_is_dead(mirror: Mirror, work: Work, tmp_path: Path) -> None:
    commit = work.commit(a__yaml="x: 1\n")
    dead = Remote(str(tmp_path / "gone"), "dead")
    fetched = mirror.fetch([dead, work.remote("spare")], "main", 10)
    assert (fetched.commit, fetched.remote.name, fetched.fallback) == (commit, "spare", True)
    assert [(one.remote, one.why.what) for one in fetched.refused] == [(dead, "there is no such directory")]


def test_all_remotes_failing_is_said_with_every_reason(mirror: Mirror, tmp_path: Path) -> None:
    remotes = [Remote(str(tmp_path / "gone"), "office"), Remote("https://127.0.0.1:9/x", "cloud")]
    with pytest.raises(RemoteUnreachable) as caught:
        mirror.fetch(remotes, "main", 5)
    assert "office: there is no such directory" in str(caught.value)
    assert "cloud: failed to connect to 127.0.0.1: Connection refused" in str(caught.value)


def test_no_remote_and_too_many(mirror: Mirror) -> None:
    with pytest.raises(SourceError, match="no remote"):
        mirror.fetch([], "main", 1)
    with pytest.raises(SourceError, match="17 remotes"):
        mirror.fetch([Remote("/x")] * 17, "main", 1)


def test_a_missing_branch_names_the_nearest(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="")
    work.git("branch", "production")
    error = refused(mirror, work.remote(), "prodution")
    assert error.what == "there is no branch 'prodution'"
    assert error.remedy == "it has 2, nearest: production"
    assert "cannot be the name" in refused(mirror, work.remote(), "a..b").what


def test_an_empty_repository(mirror: Mirror, work: Work) -> None:
    error = refused(mirror, work.remote())
    assert isinstance(error, UnsupportedSource) and "empty" in error.what and "commit to main" in error.remedy


def test_a_repository_with_sha256_objects(mirror: Mirror, make_work: Callable[..., Work]) -> None:
    other = make_work("other", "--object-format=sha256")
    other.commit(a__yaml="")
    bare = other.path.parent / "bare"
    other.git("clone", "-q", "--bare", str(other.path), str(bare))
    for path in (other.path, bare):
        error = refused(mirror, Remote(str(path)))
        assert isinstance(error, UnsupportedSource) and "SHA-256" in error.what and "--object-format" in error.remedy


def test_a_shallow_repository_is_not_a_whole_one(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="1")
    work.commit(a__yaml="2")
    work.git("clone", "-q", "--depth", "1", work.path.as_uri(), str(work.path.parent / "shallow"))
    error = refused(mirror, Remote(str(work.path.parent / "shallow")))
    assert "not complete" in error.what and mirror.head is None


def test_a_repository_of_another_user(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="1")
    for path in (work.path, *work.path.rglob("*")):
        os.chown(path, 12345, 12345)
    error = refused(mirror, work.remote())
    assert isinstance(error, UnsupportedSource) and "another user" in error.what and "chown" in error.remedy


@pytest.mark.parametrize(
    "name", ["refs/heads/main", "refs/tags/v1", "config", "packed-refs", "objects/info/alternates"]
)
def test_a_pipe_in_the_place_of_a_file_is_named_at_once(mirror: Mirror, work: Work, name: str) -> None:
    work.commit(a__yaml="x: 1\n")
    pipe = work.path / ".git" / name
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    error = refused(mirror, work.remote())
    assert (error.where, mirror.head) == (str(pipe), None)
    assert error.what == "a pipe, a socket or a device is in the place of a file of this repository"


def test_damaged_objects_keep_the_old_revision(mirror: Mirror, work: Work) -> None:
    good = work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 10)
    work.commit(a__yaml="x: 2\n")
    for file in (work.path / ".git/objects").glob("??/*"):
        file.chmod(0o644)
        file.write_bytes(b"not an object")
    error = refused(mirror, work.remote())
    assert "git fsck" in error.remedy
    assert mirror.head == good and read_tree(mirror, good) == {"a.yaml": b"x: 1\n"}


def test_a_missing_object_in_the_middle_keeps_the_old_revision(mirror: Mirror, work: Work) -> None:
    good = work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 10)
    middle = work.commit(a__yaml="x: 2\n")
    work.commit(a__yaml="x: 3\n")
    (work.path / ".git/objects" / middle[:2] / middle[2:]).unlink()
    assert "not complete" in refused(mirror, work.remote()).what
    assert mirror.head == good


def test_damage_in_the_mirror_itself_is_a_source_error(mirror: Mirror, work: Work) -> None:
    commit = work.commit(a__yaml="x: 1\n")
    mirror.fetch([work.remote()], "main", 10)
    for file in (mirror.path / "objects").rglob("*"):
        if file.is_file():
            file.unlink()
    again = Mirror(mirror.path)
    for look in (lambda: read_tree(again, commit), lambda: advance(again, None, commit)):
        with pytest.raises(SourceError):
            look()


def test_locks_of_a_fetch_that_was_killed_do_not_block_the_next(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="1")
    mirror.fetch([work.remote()], "main", 10)
    commit = work.commit(a__yaml="2")
    for name in ("refs/hagit/head.lock", "refs/hagit/incoming.lock", "packed-refs.lock", "FETCH_HEAD.lock"):
        (mirror.path / name).write_text("")
    (mirror.path / "objects/pack/pack_git2_0123456789abcdef").write_bytes(b"half")
    assert mirror.fetch([work.remote()], "main", 10).commit == commit
    assert not (mirror.path / "objects/pack/pack_git2_0123456789abcdef").exists()


def test_many_processes_and_threads_fetch_at_once(mirror: Mirror, work: Work) -> None:
    commit = work.commit(a__yaml="1")
    script = (
        "import sys; from pathlib import Path; from reconciler.system.git.mirror import Mirror;"
        "from reconciler.system.git.remote import Remote;"
        "print(Mirror(Path(sys.argv[1])).fetch([Remote(sys.argv[2])], 'main', 20).commit)"
    )
    argv = [sys.executable, "-c", script, str(mirror.path), str(work.path)]
    children = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    got: list[str] = []
    threads = [
        threading.Thread(target=lambda: got.append(Mirror(mirror.path).fetch([work.remote()], "main", 20).commit))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outputs = [child.communicate()[0].strip() for child in children]
    assert got == [commit] * 4 and outputs == [commit] * 3


def test_waiting_for_another_fetch_ends(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="1")
    holder = subprocess.Popen(["flock", str(mirror.path / "hagit.lock"), "cat"], stdin=subprocess.PIPE)
    try:
        subprocess.run(
            ["sh", "-c", f"while flock -n {mirror.path}/hagit.lock true; do :; done"], check=True, timeout=30
        )
        with pytest.raises(StateError, match="another process"):
            mirror.fetch([work.remote()], "main", 0.2)
    finally:
        holder.communicate()
    assert mirror.fetch([work.remote()], "main", 20)


def test_a_full_disk_is_our_own_state_and_harms_nothing(tmp_path: Path, work: Work) -> None:
    work.write("big.bin", os.urandom(6_000_000))
    work.commit(a__yaml="x: 1\n")
    script = f"""
import subprocess, sys
from pathlib import Path
from reconciler.errors import StateError
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.remote import Remote
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", {str(tmp_path)!r} + "/small"], check=True)
mirror = Mirror(Path({str(tmp_path)!r}) / "small/mirror")
try:
    mirror.fetch([Remote({str(work.path)!r})], "main", 20)
except StateError as error:
    print(error, mirror.head)
"""
    (tmp_path / "small").mkdir()
    argv = ["unshare", "--mount", sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "nothing can be written" in done.stdout and "make room" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("None")


def test_a_state_directory_that_may_not_be_written(tmp_path: Path, mirror: Mirror, work: Work) -> None:
    script = f"""
import os
from pathlib import Path
from reconciler.errors import StateError
from reconciler.system.git.mirror import Mirror
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Mirror(Path({str(tmp_path)!r}) / "state/fresh")
except StateError as error:
    print(error)
"""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and path != Path("/tmp") and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "no permission" in done.stdout and "state/fresh" in done.stdout, done.stderr


def test_what_is_neither_encrypted_nor_local_is_refused(mirror: Mirror) -> None:
    for url, word in {
        "http://example.org/x.git": "neither encrypted nor authenticated",
        "git://example.org/x.git": "neither encrypted nor authenticated",
        "ftp://example.org/x": "does not fetch by ftp",
        "relative/path": "working directory",
        "file://elsewhere/x": "another host",
        "https://": "names no host",
        "ssh://host:notaport/x": "not a URL",
    }.items():
        assert word in refused(mirror, Remote(url)).what


def test_a_password_in_a_url_is_refused_and_not_repeated(mirror: Mirror) -> None:
    error = refused(mirror, Remote("https://ada:hunter2@example.org/x.git"))
    assert "password" in error.what and "hunter2" not in str(error)


def test_head_of_follows_a_local_branch(work: Work, tmp_path: Path) -> None:
    assert head_of(work.path, "main") is None
    first = work.commit(a__yaml="1")
    assert head_of(work.path, "main") == first
    work.git("pack-refs", "--all")
    assert head_of(work.path, "main") == first
    work.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert head_of(tmp_path / "side", "main") == first
    with pytest.raises(HagitError):
        head_of(tmp_path / "nothing", "main")


def test_a_replaced_tip_is_kept(mirror: Mirror, work: Work) -> None:
    work.commit(a__yaml="1")
    old = work.commit(a__yaml="2")
    mirror.fetch([work.remote()], "main", 10)
    work.git("reset", "-q", "--hard", "HEAD~1")
    work.commit(a__yaml="3")
    mirror.fetch([work.remote()], "main", 10)
    assert pygit2.Repository(str(mirror.path)).references.get(f"refs/hagit/kept/{old}") is not None


def test_years_of_fetches_leave_few_packs_and_every_revision(mirror: Mirror, work: Work) -> None:
    early = Mirror(mirror.path)
    commits = []
    for number in range(PACKS_MAX + 5):
        commits.append(work.commit(a__yaml=f"x: {number}\n"))
        mirror.fetch([work.remote()], "main", 10)
    assert 1 <= len(list(mirror.path.glob("objects/pack/*.pack"))) <= 6
    # One that was opened before the merge, one that saw it happen, one that came after it.
    for reader in (early, mirror, Mirror(mirror.path)):
        for number, commit in enumerate(commits):
            assert read_tree(reader, commit) == {"a.yaml": f"x: {number}\n".encode()}
    assert not [pack for pack in mirror.path.glob("objects/pack/*.idx") if not pack.with_suffix(".pack").exists()]
