"""Every shelf that the conformance suite is run against."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.shelf.rig import SimulatedRig


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


@pytest.fixture(params=["simulated"])
def rig(request: pytest.FixtureRequest) -> SimulatedRig:
    return request.getfixturevalue(request.param)
