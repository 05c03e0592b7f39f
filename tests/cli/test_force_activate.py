"""`hagit force-activate` against real core states, also with an operator at a terminal."""

from __future__ import annotations

from pathlib import Path

from tests.cli.screen import Screen
from tests.cli.simulated_pair import MakeOperator, SimulatedPair, use_node_of
from tests.controller import Controller


def test_force_activate_says_what_it_overrides(operator_of: MakeOperator) -> None:
    operator = operator_of("orders enabled no", until="60s")
    wrong = operator.hagit("a", "force-activate", "--word", "storage-b")
    assert wrong.code == 1
    assert "refused: the word is the name of this controller" in wrong.err
    forced = operator.hagit("a", "force-activate", "--word", "storage-a")
    assert forced.code == 0, forced
    for words in ("This overrides:", "✗ NO_FAILOVER", "✗ NO_OWNER", "cuts storage-b off", "Not overridden: the disks."):
        assert words in forced.out, forced.out
    assert forced.out.endswith("Done: storage-a is MASTER and serves clients.\n")
    again = operator.hagit("a", "force-activate", "--word", "storage-a")
    assert (again.code, again.err) == (1, "Nothing to do: storage-a is active already.\n")


def test_force_activate_without_a_word(operator_of: MakeOperator) -> None:
    refused = operator_of().hagit("b", "force-activate")
    assert refused.code == 1
    assert "there is no terminal to type the word on" in refused.err
    assert "--word storage-b" in refused.err


def test_force_activate_that_the_disks_refuse(operator_of: MakeOperator) -> None:
    refused = operator_of("at 12s disks-lost b").hagit("b", "force-activate", "--word", "storage-b")
    assert refused.code == 1
    assert "refused: this controller does not see enough of the disks" in refused.err


def test_an_operator_types_the_word(controller: Controller, tmp_path: Path) -> None:
    pair = SimulatedPair(tmp_path / "pair", "orders enabled no", until="60s")
    try:
        use_node_of(controller, "a", tmp_path / "pair")
        screen = Screen(controller, "force-activate")
        screen.until("Type storage-a to go on: ")
        screen.type("storage-a\n")
        assert screen.end() == 0
        assert "Done: storage-a is MASTER" in screen.shown
        again = Screen(controller, "drill")
        again.until("No switchover from storage-a now:")
        assert again.end() == 1
    finally:
        pair.close()
