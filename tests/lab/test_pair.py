"""Two controllers on shared disks: the scenarios of `pair` that any host can play, even with other work.

With these timers, neither a daemon nor a disk that stands still for fifteen seconds is replaced or dropped because the
host is busy. `make lab-test` plays these and all other scenarios with the default timers.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Orders
from tests.lab.pair.emulated_pair import ORDERS, PATIENT
from tests.lab.pair.test_boots import (
    test_where_failover_is_disabled_both_stay_standby_until_a_person_forces_one,
)
from tests.lab.pair.test_networks import test_a_group_moves_the_pair_when_all_of_it_is_down_and_not_before
from tests.lab.pair.test_scenarios import (
    test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself,
    test_no_older_half_of_a_mirror_is_served,
    test_power_cut,
    test_switchover_under_load,
)

pytestmark = pytest.mark.timeout(1_800)

__all__ = [
    "test_a_frozen_controller_that_wakes_has_its_writes_refused_and_resets_itself",
    "test_a_group_moves_the_pair_when_all_of_it_is_down_and_not_before",
    "test_no_older_half_of_a_mirror_is_served",
    "test_power_cut",
    "test_switchover_under_load",
    "test_where_failover_is_disabled_both_stay_standby_until_a_person_forces_one",
]

#: If all goes well, tests wait for `silence_ms` and `stale_ms` only. A look must be answered within its interval.
TIMERS = replace(
    PATIENT,
    beat_ms=500,
    silence_ms=20_000,
    record_ms=1_000,
    stale_ms=20_000,
    look_ms=3_000,
    proof_ms=90_000,
    pause_ms=5_000,
    settle_ms=3_000,
    claim_ms=60_000,
    release_ms=60_000,
    handover_ms=60_000,
    yield_ms=80_000,
    deadman_ms=90_000,
    patience_ms=180_000,
)


@pytest.fixture(scope="module")
def pair_orders() -> Orders:
    return replace(ORDERS, timers=TIMERS)
