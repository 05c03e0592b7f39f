"""The folder of a pair in a repository of many: which documents are its own, and what is said of them."""

from __future__ import annotations

import re

import pytest

from reconciler.core.facts.folder import FOLDER, lies_in, overlap
from reconciler.core.spec import load
from reconciler.core.spec.pair_folder import shared_folders
from reconciler.errors import ConfigurationError

HERE = "pairs/north"


def pair(more: str = "shared: [common], ") -> bytes:
    return (
        "apiVersion: hagit/v1\nkind: Pair\nmetadata: {name: north}\n"
        f"spec: {{{more}a: {{hostname: north-a}}, b: {{hostname: north-b}}}}\n"
    ).encode()


def source(path: str) -> bytes:
    return (
        "apiVersion: hagit/v1\nkind: Source\nmetadata: {name: source}\n"
        f"spec: {{remotes: [/srv/fleet], unsigned: warn{path}}}\n"
    ).encode()


def said(tree: dict[str, bytes], folder: str = HERE) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(tree, folder)
    return [str(complaint) for complaint in caught.value.complaints]


def test_shared_documents_are_loaded_with_those_of_the_folder() -> None:
    tree = {f"{HERE}/pair.yaml": pair(), "common/source.yaml": source("")}
    assert shared_folders({f"{HERE}/pair.yaml": pair()}, HERE) == ("common",)
    loaded = load(tree, HERE)
    assert loaded.source is not None and loaded.source.document.file == "common/source.yaml"


def test_only_what_a_loader_would_take_is_shared() -> None:
    named = pair('shared: [common/, "../etc", "/etc", pairs, pairs/north/sub, .git, common, 7, "a//b"], ')
    assert shared_folders({f"{HERE}/pair.yaml": named}, HERE) == ("common",)
    assert shared_folders({f"{HERE}/pair.yaml": b"kind: [shared"}, HERE) == ()
    assert shared_folders({f"{HERE}/pair.yaml": pair()}, "") == ()
    escaped = pair().replace(b"shared:", b'"sh\\u0061red":')
    assert shared_folders({f"{HERE}/pair.yaml": escaped}, HERE) == ("common",)


def test_the_source_names_the_folder_that_it_is_for() -> None:
    tree = {f"{HERE}/pair.yaml": pair(""), f"{HERE}/source.yaml": source(", path: pairs/north")}
    assert load(tree, HERE).source is not None
    wrong = tree | {f"{HERE}/source.yaml": source(", path: pairs/south")}
    (complaint,) = said(wrong)
    assert complaint.startswith(f"{HERE}/source.yaml:4:") and "`pairs/south`" in complaint and "[source]" in complaint
    assert any("has the whole repository" in one for one in said(tree, folder=""))


@pytest.mark.parametrize(
    "tree, says",
    [
        ({}, "pairs/north: there is no YAML file"),
        ({"common/x.yaml": source("")}, "pairs/north: there is no YAML file"),
        ({f"{HERE}/sub/pair.yaml": pair("")}, "the Pair stands in `pairs/north/sub`"),
        ({f"{HERE}/pair.yaml": pair("")[:-2] + b", shared: [pairs]}\n"}, "pair.yaml:4:"),
        ({f"{HERE}/pair.yaml": pair()}, "there is no document in a folder `common`"),
        ({f"{HERE}/pair.yaml": pair("shared: [common, common/net], ")}, "`common/net` is part of another"),
        ({f"{HERE}/pair.yaml": pair("shared: [/common], ")}, "is no folder of the repository"),
        ({f"{HERE}/pair.yaml": pair("shared: [../x], ")}, "is no folder of the repository"),
        ({f"{HERE}/pair.yaml": pair(), "common/pair.yaml": pair("")}, "a second Pair"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(tree: dict[str, bytes], says: str) -> None:
    assert any(says in complaint for complaint in said(tree)), said(tree)


def test_a_pair_with_the_whole_repository_shares_nothing() -> None:
    (complaint,) = said({"pair.yaml": pair()}, folder="")
    assert complaint.startswith("pair.yaml:4:") and "`hagit validate --path FOLDER`" in complaint


def test_how_folders_are_written() -> None:
    for good in ("pairs/shelf1", "a", "a/b/c/", "x_1.d/y@2+z-3"):
        assert re.fullmatch(FOLDER, good), good
    for bad in ("", "/a", "a//b", "a/../b", ".git", "a/.b", "a b", "a\n", "-a", "x/" * 17, "a" * 300, "a\u00e4"):
        assert not re.fullmatch(FOLDER, bad), bad
    assert lies_in("a/b.yaml", "a") and lies_in("a.yaml", "") and not lies_in("ab/c.yaml", "a")
    assert overlap("a/b", "a") and overlap("a", "a") and not overlap("a/b", "a/bc")
