"""Orders that change the shelf of a pair that serves: other arbitration disks, and a disk held by another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.lab.image import Image
from tests.lab.pair.emulated_pair import ORDERS, EmulatedPair
from tests.lab.pair.head import Head
from tests.lab.target import Target

pytestmark = pytest.mark.timeout(1_800)
#: The key of a machine that is no controller of this pair.
FOREIGN = "77"
#: A disk of the shelf that the first orders do not name.
FURTHER = "disk5"
PERSIST = "sg_persist -n -o"


@pytest.fixture(scope="module")
def one_pair(
    storage_image: Image, progress: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedPair]:
    """A spare in the orders, and one disk more on the shelf."""
    orders = replace(ORDERS, disks=(*ORDERS.disks, "disk4"))
    place = tmp_path_factory.mktemp("pair")
    with EmulatedPair(storage_image, place, progress, orders, shelf=lambda count: Target(count + 1)) as made:
        yield made


def pending(head: Head) -> str | None:
    """What keeps its newer orders waiting; None: none wait."""
    status = head.status()
    assert status is not None
    return next((reason.evidence for reason in status.reasons if reason.code == "ORDERS_PENDING"), None)


def in_force(pair: EmulatedPair) -> bool:
    """Whether both follow the present orders, and nothing of them waits."""
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


def test_a_disk_that_another_machine_holds_keeps_orders_pending(pair: EmulatedPair) -> None:
    active = pair.active()
    other, place, pid = pair.other(active).machine, f"/dev/disk/by-id/{FURTHER}", active.known().pid
    other.check(
        f"{PERSIST} --register-ignore --param-sark={FOREIGN} {place} && "
        f"{PERSIST} --reserve --param-rk={FOREIGN} --prout-type=5 {place}"
    )
    with pair.client() as client, pair.no_failover():
        pair.publish(disks=(*pair.orders.disks, FURTHER), arbitration=(0, 1, 5))
        pair.until(lambda: FURTHER in (pending(active) or ""), "the active one names the disk")
        pair.say(f"pending: {pending(active)}")
        pair.pass_time(pair.orders.timers.patience_ms / 1_000)
        assert FURTHER in (pending(active) or "")
        client.until_answered()
    assert active.known().pid == pid
    other.check(f"{PERSIST} --clear --param-rk={FOREIGN} {place}")
    pair.until(lambda: in_force(pair), "the disk is free, and the orders are in force")
    assert pair.well() is active and pair.verify() is active
