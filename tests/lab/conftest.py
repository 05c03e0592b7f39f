"""One emulated machine for all tests of this directory, booted when the first of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.image import Image, image
from tests.lab.machine import CROSSED_NICS, Machine, project_shares

#: Run in the guest: the far end of the cables.
PARTNER = Path(__file__).parent / "guest" / "partner"


@pytest.fixture(scope="session")
def lab_image(request: pytest.FixtureRequest) -> Image:
    capture = request.config.pluginmanager.getplugin("capturemanager")
    terminal = request.config.pluginmanager.getplugin("terminalreporter")

    def progress(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(text)

    return image(progress=progress)


@pytest.fixture(scope="session")
def machine(lab_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    place, shares = tmp_path_factory.mktemp("lab"), project_shares()
    with Machine(lab_image, place, nics=CROSSED_NICS, shares=shares, serial="LAB-0001") as booted:
        yield booted


@pytest.fixture
def crossed(machine: Machine) -> Iterator[Machine]:
    """The machine for one test that uses its NICs."""
    yield machine
    restore(machine)


def restore(machine: Machine) -> None:
    """Cables plugged in, NICs as they were at boot, every other link gone."""
    for hub in (0, 1):
        machine.cable(hub, plugged=True)
    machine.check(f"sh {PARTNER} down; sh {PARTNER.with_name('restore')}")
