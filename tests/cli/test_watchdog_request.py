"""What all requests to the watchdog have in common: a watchdog that is down, and wrong options."""

from __future__ import annotations

import pytest

from tests.cli.simulated_pair import MakeOperator


@pytest.mark.parametrize(
    "words",
    [("switchover",), ("switchover", "--plan"), ("force-activate", "--word", "x"), ("maintenance",), ("drill", "--yes"),
     ("failover", "disable", "--for", "1h"), ("maintenance", "--end")],
    ids=" ".join,
)  # fmt: skip
def test_every_request_says_that_the_watchdog_is_down(operator_of: MakeOperator, words: tuple[str, ...]) -> None:
    operator = operator_of()
    operator.pair.stop("a")
    (operator.root / "a" / "run" / "watchdog.json").unlink()
    down = operator.hagit("a", *words)
    assert (down.code, down.out) == (1, "")
    assert "the watchdog does not run on this controller\n  start it with `hagit watchdog`" in down.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("maintenance", "--for", "soon"), "--for soon: not a time"),
        (("maintenance", "--for", "0s"), "--for 0s: not a time"),
        (("maintenance", "--for", "1h", "--end"), "leave one of them out"),
        (("failover", "disable", "--for", "999h"), "not a time from 1ms to 168h"),
        (("switchover", "--timeout", "x"), "--timeout x"),
    ],
)
def test_command_lines_that_make_no_sense(operator_of: MakeOperator, words: tuple[str, ...], says: str) -> None:
    wrong = operator_of().hagit("a", *words)
    assert wrong.code == 1
    assert says in wrong.err
