"""Clients of NFS and iSCSI go on through a failover: no error, and no acknowledged record is missing."""

from __future__ import annotations

import pytest

from tests.lab.pair.served_pair import ServedPair
from tests.lab.pair.test_scenarios import switch_over

pytestmark = pytest.mark.timeout(1_800)


def test_clients_go_on_after_a_power_cut(served: ServedPair) -> None:
    old, new, mark = served.roles()
    with served.guest.writers() as found, served.client() as client:
        client.until_answered()
        old.pull_the_plug()
        served.taken_over(new, mark)
        client.until_answered(60)
    served.say(f"the virtual address was silent for {client.silence_ms:.0f} ms")
    served.judge(found)


def test_clients_go_on_after_a_switchover_and_another_back(served: ServedPair) -> None:
    with served.guest.writers() as found:
        for _ in range(2):
            old, new, mark = served.roles()
            served.say(switch_over(old))
            served.taken_over(new, mark)
            served.well()
    served.judge(found)
