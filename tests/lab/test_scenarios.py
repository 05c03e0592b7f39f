"""Every story of the network adapter on Debian's kernel, which has the bonds and VLANs that the host's may lack.

All selected stories run in one program, because starting Python in the guest costs more than the stories.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.lab.machine import Machine
from tests.system.network.scenarios import BONDING, SCENARIOS, VLANS, Scenario

ROOT = Path(__file__).parents[2]
#: Number of random walks; longer walks run on the host's kernel, which is faster.
WALKS = 15
TELLING_S = 240


def tell(machine: Machine, arguments: str) -> list[dict[str, list[str]]]:
    """Return the guest's output, one object a line."""
    command = f"cd {ROOT} && {sys.executable} -B -m tests.lab.guest.scenarios {arguments}"
    return [json.loads(line) for line in machine.check(command, TELLING_S).splitlines()]


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, machine: Machine) -> Mapping[str, list[str]]:
    """Return where kernel and simulation differ in each of the selected stories, by name."""
    calls = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    names = [call.params["scenario"].name for call in calls if call is not None and "scenario" in call.params]
    first, *answers = tell(machine, " ".join(map(shlex.quote, names)))
    assert {BONDING, VLANS} <= set(first["features"]), "the guest's kernel lacks what the stories need"
    return {str(answer["scenario"]): answer["problems"] for answer in answers}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_kernel_tells_the_story_as_the_simulation_does(scenario: Scenario, told: Mapping[str, list[str]]) -> None:
    assert told[scenario.name] == []


def test_the_kernel_and_the_simulated_network_agree_on_random_walks(machine: Machine) -> None:
    _, walks = tell(machine, f"--walks {WALKS}")
    assert walks["problems"] == []
