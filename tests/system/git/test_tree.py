"""Which files a revision consists of, and what may not be in it; the same from a commit and from a directory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import SourceError, UnsupportedSource
from reconciler.system.git.mirror import Mirror
from reconciler.system.git.tree import Tree, read_directory, read_tree
from tests.system.repositories import Work

Read = Callable[[], Tree]


@pytest.fixture(params=["commit", "directory"])
def read(request: pytest.FixtureRequest, mirror: Mirror, work: Work) -> Read:
    def from_commit() -> Tree:
        work.git("-c", "core.quotepath=off", "add", "-A")
        work.git("commit", "-q", "--allow-empty", "-m", "change")
        return read_tree(mirror, mirror.fetch([work.remote()], "main", 20).commit)

    return from_commit if request.param == "commit" else lambda: read_directory(work.path)


def refusal(read: Read) -> str:
    with pytest.raises(UnsupportedSource) as caught:
        read()
    assert caught.value.where and caught.value.remedy
    return str(caught.value)


def test_yaml_files_and_nothing_else(work: Work, read: Read) -> None:
    for name in ("b.yaml", "a/x.yml", "README.md", ".gitlab-ci.yml", ".github/workflows/ci.yaml", "a/.hidden/y.yaml"):
        work.write(name, name.encode())
    assert dict(read()) == {"a/x.yml": b"a/x.yml", "b.yaml": b"b.yaml"}
    assert list(read()) == ["a/x.yml", "b.yaml"]


def test_bytes_are_exactly_those_committed(work: Work, read: Read) -> None:
    work.write(".gitattributes", b"*.yaml filter=lfs text eol=crlf working-tree-encoding=UTF-16\n*.yml filter=lfs\n")
    work.write("a.yml", b"one\r\ntwo\n\xff\xfe")
    assert read()["a.yml"] == b"one\r\ntwo\n\xff\xfe"


def test_the_ending_is_that_of_any_case(work: Work, read: Read) -> None:
    for name in ("a.YAML", "b.Yml", "c.yML", "d/e.YaMl", "f.yaml.bak", "g.yaml~", "#h.yaml#"):
        work.write(name, b"x")
    assert list(read()) == ["a.YAML", "b.Yml", "c.yML", "d/e.YaMl"]


def test_locks_of_editors_are_passed_over(work: Work, read: Read) -> None:
    work.write("p.yaml", b"x")
    (work.path / ".#p.yaml").symlink_to("me@host.example.4711:1")
    (work.path / "sub").mkdir()
    (work.path / "sub/.#q.yaml").symlink_to("/etc/shadow")
    for name in (".p.yaml.swp", "p.yaml~", "#p.yaml#", "4913"):
        work.write(name, b"y")
    assert dict(read()) == {"p.yaml": b"x"}


def test_symlinks_are_named(work: Work, read: Read) -> None:
    work.write("a.yaml", b"")
    (work.path / "evil.yaml").symlink_to("/etc/shadow")
    (work.path / "sub").mkdir()
    (work.path / "sub/dir").symlink_to("/etc")
    message = refusal(read)
    assert "evil.yaml: a symlink" in message and "sub/dir: a symlink" in message


def test_a_submodule_is_named(make_work: Callable[..., Work], work: Work, read: Read) -> None:
    make_work("library").commit(a__yaml="1")
    work.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(work.path.parent / "library"), "library")
    message = refusal(read)
    assert "library: a submodule" in message or "library: a repository of its own" in message


def test_a_huge_file_is_named_and_never_loaded(work: Work, read: Read) -> None:
    with (work.path / "huge.yaml").open("wb") as file:
        file.truncate(10 << 20)
    assert "huge.yaml: 10.0 MiB is more than 1 MiB" in refusal(read)


def test_a_huge_file_that_is_not_yaml_is_no_matter(work: Work, read: Read) -> None:
    work.write("a.yaml", b"x")
    work.write("picture.png", bytes(2 << 20))
    assert list(read()) == ["a.yaml"]


def test_sizes_at_their_limits(work: Work, read: Read) -> None:
    for number in range(4):
        work.write(f"{number}.yaml", bytes([number]) * (1 << 20))
    assert len(read()) == 4
    work.write("one-more.yaml", b"x")
    assert "more than 4 MiB" in refusal(read)


def test_the_number_of_files_at_its_limit(work: Work, read: Read) -> None:
    for number in range(2000):
        work.write(f"{number}.yaml", b"x")
    assert len(read()) == 2000
    work.write("one-more.yaml", b"x")
    assert "more than 2000 YAML files" in refusal(read)


def test_directories_too_deep(work: Work, read: Read) -> None:
    work.write("/".join(["d"] * 40) + "/a.yaml", b"x")
    assert "deeper than 32" in refusal(read)


def test_a_name_that_no_terminal_should_show(work: Work, read: Read) -> None:
    work.write("a\x1b[31m.yaml", b"x")
    message = refusal(read)
    assert "\x1b" not in message and r"\x1b[31m.yaml" in message


def test_a_name_that_is_not_utf8(work: Work, read: Read) -> None:
    (work.path / os.fsdecode(b"caf\xe9.yaml")).write_bytes(b"x")
    refusal(read).encode()


def test_no_yaml_at_all_is_an_empty_mapping(work: Work, read: Read) -> None:
    work.write("README", b"")
    assert dict(read()) == {}


def test_trees_are_remembered_by_their_content(mirror: Mirror, work: Work) -> None:
    first = work.commit(a__yaml="1")
    second = work.commit("nothing changed")
    mirror.fetch([work.remote()], "main", 10)
    assert read_tree(mirror, first) is read_tree(mirror, second)
    for number in range(9):
        commit = work.commit(a__yaml=f"{number} more")
        mirror.fetch([work.remote()], "main", 10)
        read_tree(mirror, commit)
    assert len(mirror.trees) <= 4


def test_pipes_and_missing_directories(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "a.yaml").write_bytes(b"x")
    assert dict(read_directory(tmp_path)) == {"a.yaml": b"x"}
    with pytest.raises(SourceError, match="no such directory"):
        read_directory(tmp_path / "gone")
