"""A repository made for a beginner is an ordinary one, and nothing is overwritten."""

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import HagitError, UsageError
from reconciler.system.git.commit_writer import Author, commit_files, create_repository
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.remote import Remote
from reconciler.system.git.tree import read_tree
from tests.system.repositories import Work

ADA = Author("Ada", "ada@example.org")
ROOT = Path(__file__).parents[3]


def test_it_is_a_repository_that_git_likes(tmp_path: Path, mirror: Mirror) -> None:
    place = Work(tmp_path / "site" / "north")
    files = {"pair.yaml": b"kind: Pair\n", "interfaces/storage.yaml": b"kind: Interface\n"}
    commit = create_repository(place.path, files, ADA, "A pair", "main")
    assert place.git("status", "--porcelain") == "" and place.git("rev-parse", "main") == commit
    assert place.git("log", "--format=%an <%ae> %s") == "Ada <ada@example.org> A pair"
    assert place.git("symbolic-ref", "HEAD") == "refs/heads/main"
    place.git("fsck", "--strict")
    assert read_tree(mirror, mirror.fetch([Remote(str(place.path))], "main", 10).commit) == files


def test_a_second_commit_takes_only_what_was_named(tmp_path: Path) -> None:
    place = Work(tmp_path / "site")
    first = create_repository(place.path, {"a.yaml": b"1"}, ADA, "one", "trunk")
    (place.path / "stray").write_text("")
    second = commit_files(place.path, {"a.yaml": b"2", "b/c.yaml": b"3"}, ADA, "two")
    assert place.git("rev-parse", "HEAD~1") == first and place.git("rev-parse", "trunk") == second
    assert place.git("status", "--porcelain") == "?? stray"
    assert place.git("show", "--name-only", "--format=", second).split() == ["a.yaml", "b/c.yaml"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("precious")
    with pytest.raises(UsageError, match="there already"):
        create_repository(tmp_path, {"a.yaml": b"1"}, ADA, "one", "main")
    assert not (tmp_path / ".git").exists()
    create_repository(tmp_path / "site", {"a.yaml": b"1"}, ADA, "one", "main")
    with pytest.raises(UsageError, match="repository already"):
        create_repository(tmp_path / "site", {"b.yaml": b"1"}, ADA, "one", "main")
    for name in ("/etc/passwd", "../outside.yaml", "a/../../b.yaml"):
        with pytest.raises(UsageError, match="outside"):
            create_repository(tmp_path / "other", {name: b"1"}, ADA, "one", "main")
    assert not (tmp_path / "other").exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HagitError):
        create_repository(tmp_path / "file" / "site", {"a.yaml": b"1"}, ADA, "one", "main")


def test_the_author_that_git_would_take(tmp_path: Path) -> None:
    script = "from reconciler.system.git.commit_writer import default_author; print(default_author())"

    def asked() -> str:
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert asked() == "Author(name='', email='')"
    (tmp_path / ".gitconfig").write_text("[user]\nname = Ada\n")
    assert asked() == "Author(name='Ada', email='')"
