"""Where images are kept, and what happens without apt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.image import Image, ImageError, cache_directory, image


def test_the_cache_is_the_users_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("HAGIT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == Path("/home/someone/.cache/hagit/lab")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    assert cache_directory() == Path("/var/cache/someone/hagit/lab")
    monkeypatch.setenv("HAGIT_CACHE", "/big/disk")
    assert cache_directory() == Path("/big/disk/lab")


def test_without_apt_a_cached_kernel_serves_and_the_reason_is_told(
    lab_image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / lab_image.kernel.parent.name).symlink_to(lab_image.kernel.parent)
    monkeypatch.setenv("HAGIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    assert image(progress=told.append).initrd.read_bytes() == lab_image.initrd.read_bytes()
    assert told == [
        "lab: apt-cache is missing: run packaging/prerequisites lab; going on with " + lab_image.kernel.parent.name
    ]


def test_without_apt_and_without_a_cache_there_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAGIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="run packaging/prerequisites lab"):
        image()
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["lock"], "something half-made was left"


def test_empty_lists_are_refreshed_once_and_then_told(empty_lists: None) -> None:
    told: list[str] = []
    with pytest.raises(ImageError, match="run `apt-get update` as root"):
        image(progress=told.append)
    assert len(told) == (os.geteuid() == 0)
