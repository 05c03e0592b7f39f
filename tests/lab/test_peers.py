"""Where the programs of the comparison are kept, and what happens without apt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.peers import ImageError, laid_over, peers


def test_without_apt_the_tree_that_was_used_last_serves_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab/peers-2.1.5_01234567/usr").mkdir(parents=True)
    monkeypatch.setenv("HAGIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    tree = peers(told.append)
    assert tree == tmp_path / "lab/peers-2.1.5_01234567"
    assert told == [
        "lab: apt-get is missing: run packaging/prerequisites lab; going on with peers-2.1.5_01234567",
    ]
    assert f"lowerdir={tree}/usr:/usr " in laid_over(tree)


def test_without_apt_and_without_a_tree_there_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAGIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="run packaging/prerequisites lab"):
        peers()
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["lock"], "something half-made was left"


def test_lists_without_pacemaker_are_told(empty_lists: None) -> None:
    with pytest.raises(ImageError, match="run `apt-get update` as root"):
        peers()
