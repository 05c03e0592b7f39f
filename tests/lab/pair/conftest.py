"""The emulated pair: booted when the first test needs it, made well again before each further one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.image import Image, image
from tests.lab.pair.emulated import EmulatedPair


@pytest.fixture(scope="session")
def progress(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at once, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    terminal = request.config.pluginmanager.getplugin("terminalreporter")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(text)

    return say


@pytest.fixture(scope="session")
def storage_image(progress: Callable[[str], None]) -> Image:
    """What a machine with disks boots."""
    return image(progress=progress, storage=True)


@pytest.fixture(scope="session")
def one_pair(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedPair]:
    made = EmulatedPair(storage_image, tmp_path_factory.mktemp("pair"), progress)
    try:
        made.begin()
        yield made
    finally:
        made.close()


@pytest.fixture
def pair(one_pair: EmulatedPair, request: pytest.FixtureRequest) -> EmulatedPair:
    """Well: both on, every cable plugged, one active, the other ready, a writer on the active one."""
    one_pair.say(f"--- {request.node.name}")
    one_pair.make_well()
    one_pair.write(one_pair.well())
    return one_pair
