"""Two controllers on shared disks, the same scenarios as in `pair`, chosen and timed for a host that nobody knows.

The timers are so long that a daemon which stands still for ten seconds, because the host has other work, is neither
replaced nor reset for it; everything else is as in `make lab-test`, where the other scenarios are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.lab.image import Image
from tests.lab.pair import test_boots, test_networks, test_scenarios
from tests.lab.pair.emulated import ORDERS, PATIENT, EmulatedPair

pytestmark = pytest.mark.timeout(1_800)

TIMERS = replace(
    PATIENT,
    beat_ms=500,
    silence_ms=15_000,
    record_ms=1_000,
    stale_ms=15_000,
    look_ms=1_000,
    proof_ms=20_000,
    pause_ms=5_000,
    yield_ms=60_000,
    deadman_ms=30_000,
)


@pytest.fixture(scope="module")
def one_pair(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedPair]:
    """Ends with the last test of this module: two machines, even idle, would slow down what comes after."""
    place, orders = tmp_path_factory.mktemp("pair"), replace(ORDERS, timers=TIMERS)
    with EmulatedPair(storage_image, place, progress, orders) as made:
        yield made


test_power_cut = test_scenarios.test_power_cut
test_switchover_under_load = test_scenarios.test_switchover_under_load
test_a_frozen_controller = test_scenarios.test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself
test_a_group = test_networks.test_a_group_moves_the_pair_when_all_of_it_is_down_and_not_before
test_disabled = test_boots.test_where_failover_is_disabled_both_stay_standby_until_a_person_forces_one
