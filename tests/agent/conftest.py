"""Controllers, and receivers of alerts that are on a controller's own network."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.agent.receivers import Alertmanager, Hook
from tests.controller import Controller, controller, make_controller

__all__ = ["controller", "make_controller"]


@pytest.fixture
def hook(controller: Controller) -> Iterator[Hook]:
    made = Hook(controller)
    yield made
    made.close()


@pytest.fixture
def manager(controller: Controller) -> Iterator[Alertmanager]:
    made = Alertmanager(controller)
    yield made.start()
    made.stop()


@pytest.fixture
def make_hook(controller: Controller) -> Iterator[Callable[[], Hook]]:
    with contextlib.ExitStack() as stack:

        def make() -> Hook:
            hook = Hook(controller)
            stack.callback(hook.close)
            return hook

        yield make
