"""Two hundred random sequences of faults on real pairs, each held to the simulator's invariants and ended in service.

Four pairs of different kinds play side by side. A seed that fails prints its faults, what the controllers and the shelf
did, and the command that repeats it. HAGIT_SEQUENCES plays as many as it says, from HAGIT_SEQUENCES_FIRST on.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.simulation.timed.invariants import INVARIANTS
from tests.watchdog import history
from tests.watchdog.history import Claimed, Moved
from tests.watchdog.sequences import BASE, DRAWN, KINDS, draw, player

SEQUENCES = int(os.environ.get("HAGIT_SEQUENCES", "200"))
FIRST = int(os.environ.get("HAGIT_SEQUENCES_FIRST", "0"))


@pytest.mark.timeout(3_600)
def test_two_hundred_sequences_of_faults_end_in_service(tmp_path: Path) -> None:
    def play(kind: int) -> str:
        with player(tmp_path / str(kind), kind) as made:
            try:
                for seed in range(FIRST, FIRST + SEQUENCES):
                    if draw(seed).kind == kind:
                        made.play(draw(seed))
            except AssertionError as error:
                return str(error)
            assert made.pair.shelf.state()["writes_checked"] > 0
        return ""

    with ThreadPoolExecutor(len(KINDS)) as pool:
        failed = [account for account in pool.map(play, range(len(KINDS))) if account]
    assert not failed, "\n\n".join(failed)


def test_every_fault_is_drawn() -> None:
    assert {one.name for seed in range(200) for one in draw(seed).injections} == set(DRAWN)


# Each check finds what it is there for ------------------------------------------------------------------------------


def test_two_answers_are_found() -> None:
    orders = replace(BASE, strict=True)
    one = [(at_ms, "02:00:00:00:00:01") for at_ms in range(0, 10_000, 40)]
    other = [(at_ms, "02:00:00:00:00:02") for at_ms in range(5_000, 9_000, 40)]
    assert list(history.two_answers(one, orders)) == []
    assert any(INVARIANTS["two-answers"] in what for what in history.two_answers(sorted(one + other), orders))
    # Within the time that a deadman may take it is allowed.
    assert list(history.two_answers(sorted(one + other[:80]), replace(orders, strict=False))) == []


def test_a_needless_takeover_is_found() -> None:
    begun = Moved(1_000, "b", "standby", "claiming", "PEER_SILENT")
    alive, dead = Claimed(1_002, "b", 20, 5_000), Claimed(1_002, "b", 900, 5_000)
    assert list(history.needless([dead], [begun], BASE)) == []
    assert len(list(history.needless([alive], [begun], BASE))) == 1
    assert list(history.needless([alive], [replace(begun, code="HANDED")], BASE)) == []


def test_a_move_while_disabled_is_found() -> None:
    begun = Moved(1_000, "b", "standby", "claiming", "PEER_SILENT")
    assert len(list(history.disabled([begun], [(500, 1_500)]))) == 1
    assert list(history.disabled([begun], [(1_200, 1_500)])) == []
    assert list(history.disabled([replace(begun, code="FORCED")], [(500, 1_500)])) == []


def test_a_spent_budget_is_found() -> None:
    moves = [Moved(at_ms, "a", "standby", "claiming", "PEER_SILENT") for at_ms in (0, 3_000, 6_000)]
    assert len(list(history.budget(moves, KINDS[3]))) == 1
    assert list(history.budget(moves[:2], KINDS[3])) == []
    assert list(history.budget([*moves[:2], replace(moves[2], at_ms=13_000)], KINDS[3])) == []
