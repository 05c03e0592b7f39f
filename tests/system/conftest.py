"""Repositories to follow, a mirror to follow them with, and a disk that is soon full."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.system.git.mirror import Mirror
from tests.system.repositories import Work


@pytest.fixture
def make_work(tmp_path: Path) -> Callable[..., Work]:
    def make(name: str = "upstream", *options: str) -> Work:
        path = tmp_path / name
        path.mkdir()
        work = Work(path)
        work.git("init", "-q", "-b", "main", *options)
        return work

    return make


@pytest.fixture
def work(make_work: Callable[..., Work]) -> Work:
    return make_work()


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "state" / "mirror")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)
