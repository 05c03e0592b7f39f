"""Shared by all tests: how Hypothesis draws examples, and golden files, which only --rewrite-goldens rewrites."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The examples of property tests are the same in every run: one that fails shows what a change did, not what the dice
# did. HYPOTHESIS_PROFILE=random draws new ones, twenty times as many, and keeps those that fail. No example has a time
# limit: its time depends on how busy the machine is.
settings.register_profile("same", derandomize=True, database=None, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
settings.register_profile("random", derandomize=False, deadline=None, print_blob=True, max_examples=2_000,
                          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# The terminal of the tests must not change what commands print: without one, the width is the same everywhere.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-goldens", action="store_true", help="write what tests produce as what they expect")


#: Tests that only compute. All others work with daemons, namespaces and emulated machines, whose clocks are real.
COMPUTING = frozenset({"core", "fuzz", "simulation"})


class Beside(LoadScopeScheduling):
    """Runs at most one test with real parts at a time, beside tests that compute: two would disturb each other."""

    def _split_scope(self, nodeid: str) -> str:
        """Tests of one scope run in one process, one after the other."""
        return nodeid if nodeid.split("/")[1] in COMPUTING else "real parts"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Beside:
    """The scheduler that deals out the tests of `pytest -n 2`."""
    return Beside(config, log)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with the file that holds the expected one."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--rewrite-goldens"):
            path.write_text(text)
        assert path.exists(), f"{path} is missing; --rewrite-goldens writes it, and a person reads it"
        assert text == path.read_text()

    return compare
