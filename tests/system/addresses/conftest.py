"""A segment with a switch, a peer and a client, around the controller under test."""

from collections.abc import Iterator

import pytest

from tests.system.addresses.segment import Segment, own_network


@pytest.fixture
def segment() -> Iterator[Segment]:
    with own_network():
        made = Segment()
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def bare_network() -> Iterator[None]:
    with own_network():
        yield
