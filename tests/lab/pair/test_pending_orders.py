"""Orders that choose other arbitration disks on a serving pair: no controller moves, and the peer can take over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Orders
from tests.lab.pair.emulated_pair import ORDERS, EmulatedPair

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def pair_orders() -> Orders:
    """Return orders with a spare that can arbitrate, too."""
    return replace(ORDERS, disks=(*ORDERS.disks, "disk4"))


def in_force(pair: EmulatedPair) -> bool:
    """Whether both follow the present orders completely, with nothing pending."""
    found = [head.status() for head in pair.heads]
    return all(
        status is not None
        and status.orders.here == pair.orders.generation
        and all(reason.code != "ORDERS_PENDING" for reason in status.reasons)
        for status in found
    )


def test_arbitration_disks_move_while_the_active_serves(pair: EmulatedPair) -> None:
    active = pair.active()
    pid = active.known().pid
    with pair.client() as client, pair.no_failover():
        pair.publish(arbitration=(2, 3, 4))
        pair.until(lambda: in_force(pair), "two of three arbitration disks have moved")
        client.until_answered()
    assert active.known().pid == pid
    assert pair.well() is active and pair.verify() is active
    new = pair.other(active)
    mark = new.mark()
    active.pull_the_plug()
    pair.taken_over(new, mark)
    assert pair.verify() is new
    pair.boot(active)
    assert pair.well() is new
