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


#: Folders of tests with daemons, namespaces and emulated machines, whose clocks are real. Each row runs one test at a
#: time: two would disturb each other. Failovers and emulated machines, which load the processors, share the first row.
ROWS = ({"watchdog", "lab"}, {"agent", "cli", "demo", "system"})
#: Its tests share what one of them computed, as those of a module of the root folder may.
MUTANTS = "tests/simulation/test_mutants.py"
#: Modules of minutes: what is dealt out last decides when the run ends.
LONG = (MUTANTS, "tests/simulation/test_swarm.py", "tests/simulation/test_explore.py")
#: The least claim to the processors that a process can have.
NICEST = 19
NICE = os.getpriority(os.PRIO_PROCESS, 0)


def row(nodeid: str) -> int:
    """The number of the row in which a test runs; -1 for a test that only computes."""
    folder = nodeid.split("/")[1]
    return next((number for number, folders in enumerate(ROWS) if folder in folders), -1)


class Beside(LoadScopeScheduling):
    """Runs the rows beside each other, and tests that compute beside them."""

    def _split_scope(self, nodeid: str) -> str:
        """Tests of one scope run in one process, one after the other."""
        number, module = row(nodeid), nodeid.partition("::")[0]
        shares = module == MUTANTS or module.count("/") == 1
        return f"row {number}" if number >= 0 else module if shares else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Beside:
    """The scheduler that deals out the tests of `pytest -n 3`, in the order in which the workers collect them."""
    config.option.loadscopereorder = False
    return Beside(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the rows, and go on with what takes longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (row(item.nodeid) < 0, not item.nodeid.startswith(LONG)))


def pytest_runtest_logstart(nodeid: str) -> None:
    """Tests that compute take what the others leave of the processors, so that no clock stands still for them."""
    if "PYTEST_XDIST_WORKER" in os.environ and os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, NICE if row(nodeid) >= 0 else NICEST)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with the file that holds the expected one."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--rewrite-goldens"):
            path.write_text(text)
        assert path.exists(), f"{path} is missing; --rewrite-goldens writes it, and a person reads it"
        assert text == path.read_text()

    return compare
