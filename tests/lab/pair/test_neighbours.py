"""A pair during an upgrade, on real disks: the first release on one controller, this one on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.core.failover.reservations.key import Side
from tests.lab.image import Image
from tests.lab.machine import Share
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.head import Head
from tests.lab.pair.test_scenarios import test_power_cut as power_cut
from tests.lab.pair.test_scenarios import test_switchover_under_load as switchover
from tests.previous import previous_release

pytestmark = pytest.mark.timeout(3_600)


@pytest.fixture(scope="module")
def mixed(
    storage_image: Image, tmp_path_factory: pytest.TempPathFactory, progress: Callable[[str], None]
) -> Iterator[EmulatedPair]:
    """Yield a pair in which b runs the first release."""
    place = tmp_path_factory.mktemp("neighbours")
    tree = previous_release(place / "first-release")

    class Neighbour(Head):
        def __init__(self, side: Side, *rest: Any, **words: Any) -> None:
            super().__init__(side, *rest, **words)
            if side is Side.B:
                self.tree = tree

    with EmulatedPair(storage_image, place, progress, further=(Share(tree),), kind=Neighbour) as made:
        yield made


def test_each_release_takes_over_from_the_other_and_hands_over_to_it(mixed: EmulatedPair) -> None:
    for active, name, scenario in (
        (Side.A, "power cut", power_cut),
        (Side.B, "switchover", switchover),
        (Side.A, "switchover", switchover),
        (Side.B, "power cut", power_cut),
    ):
        mixed.scenario(f"{name} of {active}")
        assert mixed.active().side is active
        codes = {reason.code for reason in mixed.a.known().reasons}
        assert "PEER_OLDER" in codes and not codes & {"HEARTBEAT_REFUSED", "RECORD_REFUSED", "ORDERS_CONTRADICT"}
        scenario(mixed)
