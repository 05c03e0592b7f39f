"""The last owner's report reaches the other controller: a pool of one mirror, of which only the older half is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.failover.orders.orders import Orders, Vdev
from tests.lab.pair.emulated_pair import ORDERS, EmulatedPair
from tests.lab.pair.head import WAIT_S
from tests.lab.pair.test_scenarios import refusal
from tests.lab.pair.unreadable_labels import damage, restore

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def pair_orders() -> Orders:
    return replace(ORDERS, vdevs=(Vdev("tank/mirror-0", (0, 1), 1),))


def test_an_older_half_is_refused_by_the_number_of_its_last_owner(pair: EmulatedPair) -> None:
    """Another current vdev would make the pool as new as the report, and labels alone would decide."""
    old, new, mark = pair.roles()
    old.unplug("disk0")
    pair.until(lambda: (status := old.status()) and status.pools.out == ("disk0",), "disk0 is given up")
    pair.write(old)
    # The report then includes everything that was committed before the next records.
    old.machine.check("zpool sync tank")
    pair.write(old)
    old.pull_the_plug()
    kept = damage(pair.target.file("disk1"))
    pair.until(lambda: "disk1" in refusal(new), "the import is refused, and status names the disk")
    pair.say(refusal(new))
    assert "its last owner had committed transaction group" in refusal(new)
    assert new.phase != "active" and new.pools() == []
    restore(pair.target.file("disk1"), kept)
    pair.taken_over(new, mark)
    new.machine.check("zpool online tank disk0-part1; zpool wait -t resilver tank", WAIT_S)
    assert pair.verify() is new
