"""Every fault can happen to a running pair and heal, says what it models, and refuses words that do not fit."""

import pytest

from reconciler.core.failover.reservations.key import Side
from reconciler.simulation.timed.faults import FAULTS, FaultError, choices, find, heal, heal_everything, inject, table
from reconciler.simulation.timed.stories import PAIR
from reconciler.simulation.timed.world import Physics, Steady, World


def words_for(world: World, name: str) -> tuple[str, ...]:
    return tuple("200" if kind == "ms" else choices(world, kind)[0] for kind in FAULTS[name].takes)


def running() -> World:
    world = World(PAIR, Steady(), Physics(boot_ms=(1_000, 1_000)), protocols=("nfs", "iscsi"))
    world.run(5_000)
    assert max(world.client.acknowledged) > 5
    return world


def test_there_are_at_least_thirty_kinds() -> None:
    assert len(FAULTS) >= 30
    assert len({fault.models for fault in FAULTS.values()}) == len(FAULTS)
    assert all(f"`{name}" in table() for name in FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_happens_heals_and_leaves_service(name: str) -> None:
    world = running()
    words = words_for(world, name)
    inject(world, name, words)
    world.run(8_000)
    heal(world, name, words)
    heal_everything(world)
    world.publish(enabled=True)
    world.run(120_000)
    if FAULTS[name].assumed:
        assert not world.broken
        assert world.client.streak > 5


def test_what_is_outside_of_the_assumptions_breaks_an_invariant() -> None:
    world = running()
    inject(world, "shelf-forgets", ())
    world.run(8_000)
    assert world.checkers.name == "free"


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("cable-cut", (), "cable-cut is not a fault; these are: all-cables"),
        ("power-loss", (), "power-loss takes <side>, not 0 word(s)"),
        ("power-loss", ("c",), "power-loss: c is no side of this pair; it has a, b"),
        ("cable-pull", ("net7",), "cable-pull: net7 is no channel of this pair; it has interlink, net0"),
        ("clock-jump", ("a", "-5"), "clock-jump: -5 is not a number of milliseconds"),
    ],
)
def test_words_that_do_not_fit(name: str, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(FaultError, match=r".") as caught:
        find(running(), name, words)
    assert caught.value.what.startswith(says)


def test_a_deadman_resets_a_machine_that_froze_and_only_then() -> None:
    world = running()
    one = world.controller(Side.A)
    inject(world, "freeze", ("a",))
    world.run(5_000 + PAIR.timers.deadman_ms - 300)
    assert one.frozen
    world.run(5_000 + PAIR.timers.deadman_ms + 300)
    assert not one.frozen
    assert len(one.files.resets_ms) == 1
