"""Seeded runs. HAGIT_SWARM_SEEDS: how many (10,000); HAGIT_SWARM_FIRST: first seed; HAGIT_SWARM_SEED: only this one."""

import os
from dataclasses import replace

import pytest

from reconciler.simulation.timed.faults import FAULTS
from reconciler.simulation.timed.stories import PAIR
from reconciler.simulation.timed.swarm import MACHINES, Injection, draw, liveness_bound, report, run, shrink
from tests.simulation.swarm_runs import explained, swarm

SEEDS = int(os.environ.get("HAGIT_SWARM_SEEDS", "10000"))
FIRST = int(os.environ.get("HAGIT_SWARM_FIRST", "0"))
ONE = int(os.environ.get("HAGIT_SWARM_SEED", "7"))


def test_one_seed_keeps_every_invariant() -> None:
    scenario = draw(ONE)
    outcome = run(scenario)
    assert not outcome.broken, report(scenario, outcome)


def test_a_seed_is_the_whole_run() -> None:
    first, second = run(draw(3), notes=True), run(draw(3), notes=True)
    assert first == second
    assert first.notes
    assert run(draw(4), notes=True).notes != first.notes


@pytest.mark.timeout(3_600 + SEEDS)
def test_many_seeds_keep_every_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    totals = swarm(FIRST, SEEDS, min(2, os.cpu_count() or 1))
    with capsys.disabled():
        print(f"\nswarm: {totals}")
        print(f"swarm: {liveness_bound(draw(0).orders, draw(0).physics)}")
    assert not totals.broken, explained(totals.broken)
    assert totals.faults >= 45 * totals.seeds
    assert totals.writes > totals.seeds


def test_every_fault_within_the_assumptions_is_drawn() -> None:
    drawn = {injection.name for seed in range(200) for injection in draw(seed).injections}
    assert drawn == {name for name, fault in FAULTS.items() if fault.assumed and fault.drawn}
    assert len(drawn) >= 30


def test_a_failing_run_shrinks_to_what_breaks_it_and_says_how_to_see_it_again() -> None:
    """Disks that forget their reservations break an assumption, so they break invariants that depend on it."""
    harmless = [Injection(4_000 + 500 * at, "wall-clock", ("a", "2099"), 0) for at in range(12)]
    forgets = Injection(8_700, "shelf-forgets", (), 300)
    injections = tuple(sorted((*harmless, forgets), key=lambda one: one.at_ms))
    broken = replace(draw(11), orders=PAIR, physics=MACHINES, injections=injections)
    outcome = run(broken)
    assert outcome.broken.startswith("the reservation is never free while a pool is imported")
    assert [one.name for one in shrink(broken).injections[:-1]] == ["shelf-forgets"]
    text = report(broken, outcome)
    assert "the fewest faults that break it (1 of 13)" in text
    assert "HAGIT_SWARM_SEED=11" in text
