"""The folder of one pair in a repository of many, in real commits: its files, its state, the commit that changed it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.errors import UnsupportedSource
from reconciler.system.git.folder import (
    WHOLE,
    Folder,
    changes_folder,
    folder_state,
    newest_change,
    read_folder,
    read_folder_directory,
)
from reconciler.system.git.mirror import Mirror
from tests.system.repositories import Work


def shared(tree: Mapping[str, bytes]) -> tuple[str, ...]:
    """What a line `shared NAME` of any file names."""
    lines = [line.split() for data in tree.values() for line in data.decode().splitlines()]
    return tuple(words[1] for words in lines if words[:1] == ["shared"])


HERE = Folder("pairs/one", shared)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / "work")
    made.path.mkdir()
    made.git("init", "-q", "-b", "main")
    return made


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirror.git")


def fetched(mirror: Mirror, work: Work) -> str:
    return mirror.fetch([work.remote()], "main", 20).commit


def put(work: Work, **files: str) -> str:
    """Commit files; `__` stands for a slash, the suffix is added."""
    return work.commit(**{f"{name.replace('__', '/')}.yaml": text for name, text in files.items()})


def test_only_the_folder_and_what_it_shares_is_read(work: Work, mirror: Mirror) -> None:
    put(work, pairs__one__pair="shared common", pairs__one__net="1", common__x="2", pairs__two__pair="3", y="4")
    (work.path / "pairs/two/link.yaml").symlink_to("pair.yaml")
    (work.path / "pairs/one10").mkdir()
    work.write("pairs/one10/z.yaml", b"5")
    work.commit()
    expected = {"common/x.yaml": b"2", "pairs/one/net.yaml": b"1", "pairs/one/pair.yaml": b"shared common"}
    commit = fetched(mirror, work)
    assert read_folder(mirror, commit, HERE) == expected
    assert list(read_folder(mirror, commit, HERE)) == list(expected), "sorted"
    assert read_folder_directory(work.path, HERE) == expected
    assert read_folder(mirror, commit, Folder("pairs/none", shared)) == {}
    assert read_folder(mirror, commit, Folder("y.yaml", shared)) == {}
    assert read_folder(mirror, commit, Folder("y.yaml/z", shared)) == {}
    assert read_folder_directory(work.path, Folder("pairs/none", shared)) == {}


def test_a_folder_behind_a_link_is_none(work: Work, mirror: Mirror) -> None:
    put(work, other__pair="1")
    (work.path / "pairs").mkdir()
    (work.path / "pairs/one").symlink_to("../other")
    work.commit()
    assert read_folder(mirror, fetched(mirror, work), HERE) == {}
    with pytest.raises(UnsupportedSource, match="a symlink"):
        read_folder_directory(work.path, HERE)
    (work.path / "pairs/one").unlink()
    put(work, pairs__one__pair="1")
    (work.path / "pairs/one/link.yaml").symlink_to("pair.yaml")
    work.commit()
    with pytest.raises(UnsupportedSource, match=r"pairs/one/link\.yaml: a symlink"):
        read_folder(mirror, fetched(mirror, work), HERE)


def test_commits_elsewhere_are_no_new_state(work: Work, mirror: Mirror) -> None:
    first = put(work, pairs__one__pair="shared common", common__x="1")
    for number in range(3):
        put(work, pairs__two__pair=f"{number}")
    head = fetched(mirror, work)
    assert newest_change(mirror, head, HERE) == first != head
    assert newest_change(mirror, head, WHOLE) == head
    assert not changes_folder(mirror, head, HERE) and changes_folder(mirror, head, WHOLE)
    assert read_folder(mirror, head, HERE) is read_folder(mirror, first, HERE), "the same tree is read once"
    second = put(work, common__x="2")
    put(work, README="x")
    head = fetched(mirror, work)
    assert newest_change(mirror, head, HERE) == second and changes_folder(mirror, second, HERE)
    # What was found for an earlier head is not looked for again, and the result is the same.
    assert newest_change(mirror, head, HERE, (second, second)) == second
    back = put(work, common__x="1")
    assert newest_change(mirror, fetched(mirror, work), HERE, (first, first)) == back, "an old state that comes again"


def test_a_list_of_shared_folders_is_part_of_the_state(work: Work, mirror: Mirror) -> None:
    put(work, pairs__one__pair="", common__x="1")
    before = folder_state(mirror, fetched(mirror, work), HERE)
    put(work, common__x="2")
    assert folder_state(mirror, fetched(mirror, work), HERE) == before
    put(work, pairs__one__pair="shared common\nshared gone")
    after = folder_state(mirror, fetched(mirror, work), HERE)
    assert [path for path, _ in after] == ["pairs/one", "common", "gone"] and after[2][1] is None


def merged(work: Work, *options: str) -> str:
    work.git("merge", "-q", "--no-ff", "-m", "merge", *options)
    return work.git("rev-parse", "HEAD")


def test_a_merge_of_work_on_other_pairs_is_no_new_state(work: Work, mirror: Mirror) -> None:
    put(work, pairs__one__pair="1", pairs__two__pair="1")
    work.git("checkout", "-q", "-b", "side")
    put(work, pairs__two__pair="2")
    work.git("checkout", "-q", "main")
    changed = put(work, pairs__one__pair="2")
    merged(work, "side")
    assert newest_change(mirror, fetched(mirror, work), HERE) == changed


def test_a_merge_that_drops_a_change_is_a_new_state(work: Work, mirror: Mirror) -> None:
    """Its state is older than the one that it replaces, and must not get an older place in the history."""
    put(work, pairs__one__pair="1")
    work.git("checkout", "-q", "-b", "side")
    put(work, pairs__two__pair="1")
    work.git("checkout", "-q", "main")
    put(work, pairs__one__pair="2")
    work.git("checkout", "-q", "side")
    merge = merged(work, "-s", "ours", "main")
    work.git("branch", "-q", "-f", "main", merge)
    assert newest_change(mirror, fetched(mirror, work), HERE) == merge


def test_a_removed_folder_is_a_state_without_files(work: Work, mirror: Mirror) -> None:
    put(work, pairs__one__pair="1", pairs__two__pair="1")
    work.git("rm", "-q", "-r", "pairs/one")
    removed = work.commit()
    put(work, pairs__two__pair="2")
    head = fetched(mirror, work)
    assert newest_change(mirror, head, HERE) == removed and read_folder(mirror, head, HERE) == {}
