"""A pair's own orders in the exhaustive world: how they are made small, and that every scene is searched."""

from dataclasses import fields, replace

import pytest

from reconciler.core.failover.machine.events import Request
from reconciler.core.failover.orders.orders import Orders, Timers, Vdev
from reconciler.core.failover.orders.safety_checks import unsafe
from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.exhaustive.explorer import explore
from reconciler.simulation.exhaustive.reduced_orders import reduced, scenes_of
from reconciler.simulation.exhaustive.scenes import LATE_MS, SCENES
from reconciler.simulation.exhaustive.world import BoundedWorld
from reconciler.simulation.timed.stories import PAIR

RAIDZ = replace(
    PAIR,
    disks=tuple(f"wwn-{index}" for index in range(6)),
    vdevs=(Vdev("tank/raidz2-0", tuple(range(6)), 4),),
    arbitration=(0, 2, 3, 4, 5),
)
LONE = replace(PAIR, disks=("wwn-0",), vdevs=(Vdev("tank/disk-0", (0,), 1),), arbitration=(0,))


@pytest.mark.parametrize(
    ("orders", "needed", "arbitration"),
    [(PAIR, [(1, 1), (2, 1)], 3), (RAIDZ, [(2, 1), (2, 1)], 3), (LONE, [(1, 1), (1, 1)], 1)],
)
def test_two_vdevs_of_the_kinds_that_the_pair_has(
    orders: Orders, needed: list[tuple[int, int]], arbitration: int
) -> None:
    small = reduced(orders).orders
    assert [(len(vdev.disks), vdev.needed) for vdev in small.vdevs] == needed
    assert len(small.arbitration) == arbitration
    assert not [reason for reason in unsafe(small) if reason.where in ("disks", "vdevs", "arbitration")]


def test_policy_is_the_pairs_own() -> None:
    small = reduced(replace(PAIR, default=Side.B, strict=True, enabled=False)).orders
    assert (small.default, small.strict, small.enabled) == (Side.B, True, False)


@pytest.mark.parametrize(
    ("timers", "ticks"),
    [
        (Timers(), (2, 3, 4)),
        (Timers(silence_ms=1_000, network_ms=9_000), (4, 2, 3)),
        (Timers(silence_ms=2_000, stale_ms=2_000), (2, 2, 2)),
        (Timers(stale_ms=900, silence_ms=900, proof_ms=60_000), (2, 2, 4)),
    ],
)
def test_limits_keep_their_order_and_their_ratios(timers: Timers, ticks: tuple[int, int, int]) -> None:
    small = reduced(replace(PAIR, timers=timers)).orders.timers
    assert (small.silence_ms, small.stale_ms, small.proof_ms) == ticks
    limits = {part.name: getattr(small, part.name) for part in fields(small) if part.name != "patience_ms"}
    assert max(limits.values()) < LATE_MS, "a late wake is later than every limit"
    assert small.beat_ms + small.pause_ms < LATE_MS


def test_everything_left_out_is_said() -> None:
    notes = reduced(RAIDZ).notes
    assert notes[0] == ("1 top-level vdev of 6 disks is 2 of 4: a mirror and a mirror; 3 of 5 arbitration disks")
    assert any("network channels are one" in note for note in notes)
    assert any("budgets of moves and resets are left out" in note for note in notes)


def test_every_scene_is_played_with_these_orders() -> None:
    small = reduced(RAIDZ).orders
    scenes = list(scenes_of(small))
    assert [scene.name for scene in scenes] == [scene.name for scene in SCENES if not scene.begins]
    assert all(scene.orders.disks == small.disks for scene in scenes)
    losses = {scene.name: scene.faults.reach for scene in scenes if scene.faults.reach}
    assert losses == {"disks": ((0, 0b1111), (1, 0b1000)), "lone-disk": ((0, 0b11), (1, 0b11))}


@pytest.mark.timeout(300)
def test_a_disabled_pair_still_has_a_way_back_by_a_person() -> None:
    small = reduced(replace(LONE, enabled=False)).orders
    scene = next(scene for scene in scenes_of(small) if scene.name == "power")
    assert Request.FORCE in scene.asked
    found = explore(BoundedWorld(replace(scene, faults=scene.faults._replace(power=False))), 400_000)
    assert found.good, found


def test_a_shelf_that_cannot_decide_is_found_out() -> None:
    """The search finds that a shelf without arbitration disks cannot decide."""
    small = reduced(PAIR).orders
    scene = next(scene for scene in scenes_of(replace(small, arbitration=())) if scene.name == "disks")
    found = explore(BoundedWorld(scene), 20_000)
    assert found.broken or found.stuck
