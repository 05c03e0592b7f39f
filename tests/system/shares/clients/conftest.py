"""The segment of the tests, and a state filesystem."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.shares.clients.segment import ClientSegment


@pytest.fixture
def segment() -> Iterator[ClientSegment]:
    made = ClientSegment()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A filesystem that moves with the addresses, as that of a pool does."""
    path = tmp_path / "pool-state"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)
