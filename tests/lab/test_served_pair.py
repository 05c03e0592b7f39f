"""A pair that serves NFS and iSCSI: the power cut of `pair/test_shares.py`, with timers for any host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Orders
from tests.lab.pair.emulated_pair import ORDERS
from tests.lab.pair.test_shares import test_clients_go_on_after_a_power_cut
from tests.lab.test_pair import TIMERS

pytestmark = pytest.mark.timeout(1_800)

__all__ = ["test_clients_go_on_after_a_power_cut"]


@pytest.fixture(scope="module")
def pair_orders() -> Orders:
    return replace(ORDERS, timers=TIMERS)
