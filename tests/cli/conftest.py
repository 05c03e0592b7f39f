"""Controllers for commands, and simulated pairs with an operator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.simulated_pair import MakeOperator, PairOperator, SimulatedPair
from tests.controller import controller, make_controller

__all__ = ["controller", "make_controller", "operator_of"]


@pytest.fixture
def operator_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeOperator]:
    """`operator_of("at 5s power-loss a", until="20s")`: an operator of a pair to which this has happened."""
    made: list[SimulatedPair] = []
    monkeypatch.setenv("NO_COLOR", "1")

    def make(*lines: str, until: str = "20s") -> PairOperator:
        made.append(SimulatedPair(tmp_path, *lines, until=until))
        return PairOperator(made[-1], tmp_path, capsys)

    yield make
    for pair in made:
        pair.close()
