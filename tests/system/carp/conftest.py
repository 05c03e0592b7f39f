"""A cable of their own for the tests of CARP."""

from collections.abc import Iterator

import pytest

from tests.system.carp.segment import Segment, cable


@pytest.fixture
def segment() -> Iterator[Segment]:
    with cable() as found:
        yield found
