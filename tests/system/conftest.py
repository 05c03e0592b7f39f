"""Repositories to follow, and a mirror to follow them with."""

from collections.abc import Callable
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
