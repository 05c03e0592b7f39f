"""One emulated machine for all tests of this directory, and one pair; each boots when the first test needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.core.failover.orders.orders import Orders
from tests.lab.image import Image, image
from tests.lab.machine import CROSSED_NICS, Machine, project_shares
from tests.lab.pair.emulated_pair import ORDERS, EmulatedPair
from tests.lab.pair.lab_rig import LabRig
from tests.lab.pair.served_pair import ServedPair
from tests.lab.pair.shelf_pair import ShelfPair

#: Run in the guest: the far end of the cables.
PARTNER = Path(__file__).parent / "guest" / "partner"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of a shared pair last, so that no other machines take its processors."""
    items.sort(key=lambda item: not {"one_pair", "one_served_pair"}.isdisjoint(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session")
def progress(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that prints a line at once, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    terminal = request.config.pluginmanager.getplugin("terminalreporter")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(text)

    return say


@pytest.fixture(scope="session")
def lab_image(progress: Callable[[str], None]) -> Image:
    return image(progress=progress)


@pytest.fixture(scope="session")
def machine(lab_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    place, shares = tmp_path_factory.mktemp("lab"), project_shares()
    with Machine(lab_image, place, nics=CROSSED_NICS, shares=shares, serial="LAB-0001") as booted:
        yield booted


@pytest.fixture
def crossed(machine: Machine) -> Iterator[Machine]:
    """Yield the machine to one test that uses its NICs."""
    yield machine
    restore(machine)


@pytest.fixture(scope="session")
def storage_image(progress: Callable[[str], None]) -> Image:
    """Return the image that a machine with disks boots."""
    return image(progress=progress, storage=True)


@pytest.fixture(scope="module")
def pair_orders() -> Orders:
    """Return the orders of the pair's watchdogs; a module may override them."""
    return ORDERS


@pytest.fixture(scope="module")
def one_pair(
    storage_image: Image,
    progress: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
    pair_orders: Orders,
) -> Iterator[EmulatedPair]:
    """Yield one pair for each module: two machines, even idle, would slow down those of the next module."""
    with EmulatedPair(storage_image, tmp_path_factory.mktemp("pair"), progress, pair_orders) as made:
        yield made


@pytest.fixture(scope="module")
def one_served_pair(
    storage_image: Image,
    progress: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
    pair_orders: Orders,
) -> Iterator[ServedPair]:
    """Yield one pair with shares and their client for each module."""
    with ServedPair(storage_image, tmp_path_factory.mktemp("served"), progress, pair_orders) as made:
        made.use()
        yield made


@pytest.fixture
def served(one_served_pair: ServedPair, request: pytest.FixtureRequest) -> ServedPair:
    """Yield the pair once it is well: both on, cables plugged, one serves, the other is ready."""
    one_served_pair.say(f"--- {request.node.name}")
    one_served_pair.make_well()
    one_served_pair.well()
    return one_served_pair


@pytest.fixture
def pair(one_pair: EmulatedPair, request: pytest.FixtureRequest) -> EmulatedPair:
    """Yield the pair once it is well: both on, cables plugged, one active, one ready, a writer on the active one."""
    one_pair.scenario(request.node.name)
    return one_pair


@pytest.fixture
def rig(pair: ShelfPair) -> Iterator[LabRig]:
    """Yield one test's use of a module's pair of machines that have disks and no pools."""
    pair.clear()
    made = LabRig(pair)
    yield made
    made.close()


@pytest.fixture
def empty_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide an apt that knows no package, and an empty cache of the lab."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "apt.conf").write_text(
        'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null"; Dir::State::status "/dev/null";'
        f'Dir::State::lists "{tmp_path}/lists"; Dir::Cache "{tmp_path}";'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("HAGIT_CACHE", str(tmp_path))


def restore(machine: Machine) -> None:
    """Plug in all cables, restore the NICs as they were at boot, and remove every other link."""
    for hub in (0, 1):
        machine.cable(hub, plugged=True)
    machine.check(f"sh {PARTNER} down; sh {PARTNER.with_name('restore')}")
