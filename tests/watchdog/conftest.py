"""What the watchdog's tests share: a pair of real daemons in namespaces (see `pair`)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.watchdog.pair import Pair


@pytest.fixture
def make_pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Makes pairs; the arguments are those of `Pair` after the directory. Every pair is verified at the end."""
    with ExitStack() as stack:

        def make(*arguments: object, **words: object) -> Pair:
            made = Pair(tmp_path, *arguments, **words)  # type: ignore[arg-type]
            stack.callback(made.close)
            stack.callback(made.verify)
            return made

        yield make


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """A pair with the usual orders, still off."""
    return make_pair()
