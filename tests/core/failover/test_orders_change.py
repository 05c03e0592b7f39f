"""Differences between two sets of orders, and the generation of the newer ones."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.failover.orders.difference import Change, changes, duration
from reconciler.core.failover.orders.generation import STEP, generation_of, published
from reconciler.core.failover.orders.orders import Orders
from tests.core.failover.beats import ORDERS, all_orders, large_orders


def test_nothing_changed_is_nothing_told() -> None:
    assert changes(ORDERS, replace(ORDERS, generation=99)) == ()


def test_each_change_is_told_before_and_after() -> None:
    after = replace(ORDERS, enabled=False, timers=replace(ORDERS.timers, silence_ms=2_000, boot_ms=1_500), groups=())
    assert changes(ORDERS, after) == (
        Change("failover", "enabled", "disabled"),
        Change("failover groups", "1: eth1+eth2", ""),
        Change("network silence", "1s", "2s"),
        Change("boot", "10s", "1500ms"),
    )


def test_a_disk_in_another_vdev_is_told() -> None:
    mirror, raidz, *rest = ORDERS.vdevs
    after = replace(ORDERS, vdevs=(replace(mirror, disks=(mirror.disks[0], raidz.disks[0])), raidz, *rest))
    (change,) = changes(ORDERS, after)
    assert change.what == "vdevs"
    assert change.before != change.after


def test_the_first_orders_are_told_whole() -> None:
    told = {change.what: change for change in changes(None, ORDERS)}
    assert told["failover"] == Change("failover", "", "enabled")
    first, *_, log = ORDERS.disks
    assert told["vdevs"].after.startswith(f"tank/mirror-0 (1 of {first}+{ORDERS.disks[1]}), tank/raidz2-1 (2 of ")
    assert told["vdevs"].after.endswith(f", tank/log-2 (1 of {log})")
    assert told["disks"].after.endswith("b2c305 and 1 more")


def test_of_long_lists_what_comes_and_goes_is_told() -> None:
    many = large_orders(40)
    other = replace(many, disks=(*many.disks[:39], "new"))
    assert changes(many, other)[0] == Change("disks", "40", f"40 with new, without {many.disks[39]}")
    assert changes(many, replace(many, disks=many.disks[::-1]))[0] == Change("disks", "40", "in another order")


@given(all_orders, all_orders)
def test_whatever_differs_is_told(one: Orders, other: Orders) -> None:
    same = replace(one, side=other.side, generation=other.generation, controllers=other.controllers)
    assert bool(changes(same, other)) == (same != other)


def test_durations() -> None:
    assert [duration(ms) for ms in (0, 1, 1_500, 90_000, 120_000, 28_800_000)] == [
        "0ms", "1ms", "1500ms", "90s", "2m", "8h",
    ]  # fmt: skip


def at(generation: int, *, enabled: bool = True) -> Orders:
    return replace(ORDERS, generation=generation, enabled=enabled)


def test_a_revision_gets_the_generation_of_its_place() -> None:
    assert published(at(generation_of(3)), None, 0) == at(3 * STEP)
    assert published(at(generation_of(3)), at(generation_of(3)), generation_of(3)) is None
    assert published(at(generation_of(4)), at(generation_of(3)), generation_of(3)) == at(4 * STEP), (
        "on both controllers, changed or not"
    )


def test_a_rollback_is_a_new_generation_with_old_content() -> None:
    back = at(generation_of(5, back=2), enabled=False)
    assert published(back, at(generation_of(5)), generation_of(5)) == at(5 * STEP + 2, enabled=False)
    assert generation_of(5, back=10_000) < generation_of(6)
    assert generation_of(5, back=-3) == generation_of(5)


def test_a_change_by_hand_rises_too() -> None:
    assert published(at(generation_of(0), enabled=False), at(generation_of(5)), generation_of(5)) == at(
        5 * STEP + 1, enabled=False
    )
    assert published(at(generation_of(5)), at(5 * STEP + 1, enabled=False), 5 * STEP + 1) == at(5 * STEP + 2)


def test_a_lost_file_comes_back_with_its_generation() -> None:
    assert published(at(generation_of(5)), None, generation_of(5)) == at(5 * STEP)
    assert published(at(generation_of(5)), None, generation_of(5) + 3) == at(5 * STEP + 4)


def test_an_old_file_that_came_back_is_replaced() -> None:
    assert published(at(generation_of(5)), at(generation_of(5)), generation_of(5) + 3) == at(5 * STEP + 4)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans(), st.booleans()), max_size=30))
def test_generations_rise_whatever_comes(history: list[tuple[int, int, bool, bool]]) -> None:
    """In whatever order revisions, rollbacks and changes by hand come, with the file lost or not."""
    current, seen = None, 0
    for position, back, enabled, lost in history:
        current = None if lost else current
        wanted = at(generation_of(position, back), enabled=(position + back) % 3 > 0 if lost else enabled)
        fresh = published(wanted, current, seen)
        if fresh is None:
            assert current is not None and current.enabled == wanted.enabled and current.generation == seen
            continue
        assert fresh.enabled == wanted.enabled
        if fresh.generation == seen:
            assert current is None, "only a file that was lost comes back with the same generation"
        else:
            assert fresh.generation > seen
        current, seen = fresh, fresh.generation
