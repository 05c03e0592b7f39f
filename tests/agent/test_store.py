"""The parts of the agent that need no network: store, kept content, a glance at a repository, waking up."""

from __future__ import annotations

import json
import os
import select
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.agent.source.content import cache_content, cached_content, compile_content
from reconciler.agent.source.local_head import unchanged_selection
from reconciler.agent.store import COMPILED_FILES_MAX, AcceptedHistory, BlockedCommit, Store
from reconciler.core.status.revision import Revision
from reconciler.errors import StateError
from reconciler.system.local_branch import tip_of
from reconciler.system.machine import boot_identity
from reconciler.system.node import FirstSource, Node
from reconciler.system.wakeup import Wakeup
from tests.controller import ROOT
from tests.system.repositories import Work

REVISION = Revision(
    "main", "a" * 40, "Ada", "Storage", 1_767_225_600, "ada@example.org", "signed by ada@example.org (ssh)"
)
OLDER = replace(REVISION, commit="b" * 40, signer="", signature="")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def test_a_new_store_knows_nothing(store: Store) -> None:
    assert store.accepted() == AcceptedHistory()
    assert store.accepted().wanted is None
    assert store.applied() is None
    assert store.history() == []
    assert store.status() is None
    assert store.read_drift() is None
    assert store.compiled("a" * 40, "1") is None


def test_what_was_accepted_is_read_back(store: Store) -> None:
    accepted = AcceptedHistory(
        "a" * 40, REVISION, OLDER, BlockedCommit("a" * 40, "rolled back", 5.0), {"branch": "main"}, "words"
    )
    store.accept(accepted)
    assert Store(store.root).accepted() == accepted
    assert accepted.wanted == OLDER
    assert replace(accepted, pinned=None).wanted is None, "the only one has been taken back"
    assert replace(accepted, pinned=None, blocked=None).wanted == REVISION
    before = (store.root / "source.json").stat().st_mtime_ns
    store.accept(accepted)
    assert (store.root / "source.json").stat().st_mtime_ns == before, "an unchanged value is not written again"


def test_what_a_newer_release_wrote_besides_is_passed_over(store: Store) -> None:
    accepted = AcceptedHistory(
        "a" * 40, REVISION, OLDER, BlockedCommit("a" * 40, "rolled back", 5.0), {"branch": "main"}, "words"
    )
    store.accept(accepted)
    path = store.root / "source.json"
    document = json.loads(path.read_text())
    document["more"] = document["blocked"]["more"] = document["good"]["more"] = 1
    path.write_text(json.dumps(document))
    assert Store(store.root).accepted() == accepted


def test_what_was_applied_holds_in_this_boot_only(store: Store) -> None:
    store.record_applied(REVISION, what="applied", counts={"create": 2})
    applied = store.applied()
    assert applied is not None
    assert applied.holds_now()
    assert applied.revision == REVISION
    assert not replace(applied, boot=boot_identity().replace("/", "0/")).holds_now()
    (entry,) = store.history()
    assert (entry["what"], entry["counts"], entry["complete"]) == ("applied", {"create": 2}, True)


def test_a_line_of_history_that_was_torn_is_passed_over(store: Store) -> None:
    store.record_history("applied", REVISION)
    with (store.root / "history.jsonl").open("ab") as file:
        file.write(b'{"at_s": 1.0, "what": "app')
    assert len(store.history()) == 1


def test_compiled_content_is_kept_by_version_and_controller(store: Store) -> None:
    """All that the examples hold comes back the same."""
    tree = {path.name: path.read_bytes() for path in (ROOT / "examples" / "everything").glob("*.yaml")}
    for controller in ("a", "b"):
        content = compile_content(tree, controller)
        cache_content(store, "a" * 40, content)
        assert cached_content(store, "a" * 40, controller) == content
    assert store.compiled("a" * 40 + "-a", "another version") is None
    assert cached_content(store, "b" * 40, "a") is None


def test_only_so_much_is_kept(store: Store) -> None:
    for number in range(COMPILED_FILES_MAX + 5):
        store.write_compiled(f"{number:040x}", "1", {})
    store.prune()
    assert len(list((store.root / "compiled").iterdir())) == COMPILED_FILES_MAX


def test_one_applies_at_a_time(store: Store) -> None:
    held = rf"locked by first \(pid {os.getpid()}\)"
    with store.lock("first"), pytest.raises(StateError, match=held), store.lock("second"):
        raise AssertionError("not reached")
    with store.lock("third"):
        pass


def test_the_tip_of_a_local_repository_is_read_as_git_does(tmp_path: Path) -> None:
    path = tmp_path / "work"
    path.mkdir()
    work = Work(path)
    work.git("init", "-q", "-b", "main")
    assert tip_of(path, "main") is None
    first = work.commit(a__yaml="x: 1\n")
    assert tip_of(path, "main") == first
    work.git("pack-refs", "--all")
    assert tip_of(path, "main") == first
    second = work.commit(a__yaml="x: 2\n")
    assert tip_of(path, "main") == second
    work.git("branch", "release/1", first)
    assert tip_of(path, "release/1") == first
    bare = tmp_path / "bare.git"
    work.git("clone", "-q", "--bare", str(path), str(bare))
    assert tip_of(bare, "main") == second
    work.git("worktree", "add", "-q", str(tmp_path / "linked"), "release/1")
    assert tip_of(tmp_path / "linked", "release/1") is None, "a glance does not follow; the full look does"
    work.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    assert tip_of(path, "alias") is None
    assert tip_of(path, "none") is None
    assert tip_of(tmp_path / "nowhere", "main") is None


def test_small_files_suffice_only_when_nothing_can_have_changed(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "work"
    path.mkdir()
    work = Work(path)
    work.git("init", "-q", "-b", "main")
    files = {"pair.yaml": (ROOT / "examples" / "minimal-pair" / "pair.yaml").read_bytes()}
    commit = work.commit(pair__yaml=files["pair.yaml"].decode())
    node = Node(tmp_path / "node.toml", "a", store.root, FirstSource((str(path),)))
    good = Revision("main", commit)
    assert unchanged_selection(node, store) is None
    store.accept(AcceptedHistory(commit, good))
    assert unchanged_selection(node, store) is None, "there is no content yet"
    cache_content(store, commit, compile_content(files, "a"))
    known = unchanged_selection(node, store)
    assert known is not None
    assert known.revision == good
    store.accept(AcceptedHistory(commit, good, blocked=BlockedCommit(commit, "rolled back", 0.0)))
    assert unchanged_selection(node, store) is None
    store.accept(AcceptedHistory("c" * 40, good))
    assert unchanged_selection(node, store) is None, "a newer one was refused, and why has to be said"
    store.accept(AcceptedHistory(commit, good))
    far = replace(node, source=FirstSource(("https://example.org/pair.git", str(path))))
    assert unchanged_selection(far, store) is None
    work.commit(pair__yaml="# changed\n")
    assert unchanged_selection(node, store) is None


def readable(wake: Wakeup) -> bool:
    return bool(select.select([wake], [], [], 0)[0])


def test_a_wake_up_call_is_neither_lost_nor_queued() -> None:
    wake = Wakeup()
    try:
        assert not readable(wake)
        assert wake.take() == frozenset()
        for _ in range(10_000):
            wake.set("source")
        wake.set("stop")
        assert readable(wake)
        assert wake.take() == {"source", "stop"}
        assert not readable(wake)
        threads = [threading.Thread(target=wake.set, args=(f"reason{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        taken: set[str] = set()
        while len(taken) < 8:
            assert select.select([wake], [], [], 10)[0], taken
            taken |= wake.take()
        for thread in threads:
            thread.join()
        assert not readable(wake)
    finally:
        wake.close()
