"""Every shelf that the conformance suite is run against."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.shelf.rig import Rig, SimulatedRig
from tests.system.shelf.rig_disks import DisksRig


@pytest.fixture
def make_simulated(tmp_path: Path) -> Iterator[Callable[..., SimulatedRig]]:
    made: list[SimulatedRig] = []

    def make(*options: str) -> SimulatedRig:
        made.append(SimulatedRig(tmp_path, *options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def simulated(make_simulated: Callable[..., SimulatedRig]) -> SimulatedRig:
    return make_simulated()


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[DisksRig]:
    made = DisksRig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def poor_disks(tmp_path: Path) -> Iterator[DisksRig]:
    """Disks that lack what they may lack."""
    made = DisksRig(tmp_path, aborts=False, descriptor=True)
    yield made
    made.close()


@pytest.fixture(params=["simulated", "disks", "poor_disks"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["simulated"])
def pooled(request: pytest.FixtureRequest) -> SimulatedRig:
    """Those that have pools as well."""
    return request.getfixturevalue(request.param)
