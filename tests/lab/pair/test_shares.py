"""Clients of NFS and iSCSI go on through a failover: no error, and no acknowledged record is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from reconciler.core.failover.orders.orders import Orders
from tests.lab.image import Image
from tests.lab.pair.served_pair import ServedPair
from tests.lab.pair.test_scenarios import switch_over

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def served(
    storage_image: Image,
    progress: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
    pair_orders: Orders,
) -> Iterator[ServedPair]:
    with ServedPair(storage_image, tmp_path_factory.mktemp("served"), progress, pair_orders) as made:
        export, device = made.guest.mount("/tank/home"), made.guest.log_in()
        made.places = {
            "nfs": (f"{export}/plain", False),
            "nfs-locked": (f"{export}/locked", True),
            "iscsi": (device, False),
        }
        yield made


def judge(pair: ServedPair, found: Mapping[str, dict[str, Any]]) -> None:
    """Print what each writer saw, and check that it saw no error and nothing is missing."""
    for name, told in found.items():
        pair.say(f"{name}: {told['count']} records, longest silence {told['longest_ms']} ms, errors {told['errors']}")
    assert len(found) == len(pair.places)
    assert {name: (told["errors"], told["missing"]) for name, told in found.items()} == dict.fromkeys(found, ([], []))


def test_clients_go_on_after_a_power_cut(served: ServedPair) -> None:
    served.make_well()
    served.well()
    old, new, mark = served.roles()
    with served.writers() as found, served.client() as client:
        client.until_answered()
        old.pull_the_plug()
        served.taken_over(new, mark)
        client.until_answered(60)
    served.say(f"the virtual address was silent for {client.silence_ms:.0f} ms")
    judge(served, found)


def test_clients_go_on_after_a_switchover_and_another_back(served: ServedPair) -> None:
    served.make_well()
    served.well()
    with served.writers() as found:
        for _ in range(2):
            old, new, mark = served.roles()
            served.say(switch_over(old))
            served.taken_over(new, mark)
            served.well()
    judge(served, found)
