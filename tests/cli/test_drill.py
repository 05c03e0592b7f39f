"""`hagit drill` against real core states behind a real control socket."""

from __future__ import annotations

import sys

import pytest

from reconciler.system.control_protocol import RequestKind
from tests.cli.simulated_pair import MakeOperator
from tests.wait import until


def test_a_drill_there_and_back(operator_of: MakeOperator) -> None:
    operator = operator_of()
    there = f"{sys.executable} -m reconciler.cli.entry --node {operator.nodes['b']}"
    drilled = operator.hagit("a", "drill", "--yes", "--peer", there)
    assert drilled.code == 0, drilled
    said = " ".join(drilled.out.split())
    assert "There: storage-b is MASTER. drill, released here: served again after" in said
    assert "predicted: at most 1 min 14 s by the orders" in said
    assert "within the bound of 1 min 14 s" in said
    assert "Back: storage-a is MASTER." in said
    assert "drill, released here: served again after" in operator.hagit("a", "timeline", "--failovers").out
    until(lambda: operator.hagit("a", "status").out.startswith("HA active: storage-a is MASTER"))


@pytest.mark.parametrize(("story", "side"), [(("at 12s cable-pull interlink",), "a"), ((), "b")])
def test_a_drill_is_refused_when_anything_is_wrong(
    operator_of: MakeOperator, story: tuple[str, ...], side: str
) -> None:
    operator = operator_of(*story)
    assert operator.hagit(side, "drill", "--yes").code == 1
    assert not [one for one in operator.pair.daemons[side].asked if one.kind is RequestKind.DRILL]


def test_a_drill_asks_first(operator_of: MakeOperator) -> None:
    operator = operator_of()
    asked = operator.hagit("a", "drill")
    assert (asked.code, asked.err) == (1, "Nothing was done.\n")


def test_a_drill_that_cannot_come_back(operator_of: MakeOperator) -> None:
    stuck = operator_of().hagit("a", "drill", "--yes", "--peer", "false")
    assert stuck.code == 1
    assert "the drill stopped: `false switchover` failed" in stuck.err
