"""What all tests share: expected texts that are kept in files and rewritten only when asked."""

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-goldens", action="store_true", help="write what tests produce as what they expect")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with the file that holds what is expected."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--rewrite-goldens"):
            path.write_text(text)
        assert path.exists(), f"{path} is missing; --rewrite-goldens writes it, and a person reads it"
        assert text == path.read_text()

    return compare
