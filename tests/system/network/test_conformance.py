"""The kernel and the simulated network tell every story alike, and random walks too.

Stories that need a kernel feature this machine lacks are told to the simulated network here, and to a kernel that has
it in the emulated machine (tests/lab).
"""

from __future__ import annotations

import pytest

from reconciler.simulation.fake_network import FakeNetwork
from tests.system.network.conformance import differences, features, live_network, starting_point, unmet
from tests.system.network.namespaces import in_namespace
from tests.system.network.scenarios import SCENARIOS, Scenario
from tests.system.network.walks import random_walks

HERE = features()
TOLD_HERE = [scenario for scenario in SCENARIOS if scenario.needs <= HERE]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_simulated_network_goes_as_the_story_says(scenario: Scenario) -> None:
    assert unmet(scenario, FakeNetwork(starting_point())) == []


@pytest.mark.parametrize("scenario", TOLD_HERE, ids=str)
def test_the_kernel_goes_as_the_story_says(scenario: Scenario) -> None:
    def tell() -> list[str]:
        with live_network() as network:
            return unmet(scenario, network)

    assert in_namespace(tell) == []


@pytest.mark.parametrize("scenario", TOLD_HERE, ids=str)
def test_both_make_the_same_of_every_step(scenario: Scenario) -> None:
    assert differences(scenario.steps) == []


def test_both_make_the_same_of_random_walks() -> None:
    assert random_walks(HERE, 60) == []
