"""The cables between the NICs carry bonds with partners, tagged frames and jumbo frames. Tests of hagit rely on it."""

from __future__ import annotations

import pytest

from tests.lab.conftest import PARTNER
from tests.lab.machine import Machine

OURS = """
ip link add lag type bond mode {mode} miimon 100
ip link set eth0 down; ip link set eth0 master lag
ip link set eth1 down; ip link set eth1 master lag
ip link set lag mtu 9000 up
ip link add link lag name lag.7 type vlan id 7
ip address add 10.7.0.1/24 dev lag.7
ip link set lag.7 up
"""


@pytest.fixture(params=["802.3ad", "active-backup"])
def bonded(request: pytest.FixtureRequest, crossed: Machine) -> Machine:
    crossed.check(f"sh {PARTNER} up {request.param} 9000 'eth2 eth3' && sh {PARTNER} network 7 10.7.0.2/24")
    crossed.check(f"set -e; {OURS.format(mode=request.param)}")
    if request.param == "802.3ad":
        crossed.until("grep -q 'Number of ports: 2' /proc/net/bonding/lag")
    return crossed


def test_a_bond_carries_tagged_jumbo_frames_and_survives_a_cable(bonded: Machine) -> None:
    ping = "ping -c 1 -W 1 -M do -s 8972 10.7.0.2"
    bonded.until(f"{ping} > /dev/null")
    bonded.cable(0, plugged=False)
    bonded.until("grep -A1 'Slave Interface: eth0' /proc/net/bonding/lag | grep -q 'MII Status: down'")
    bonded.until(f"{ping} > /dev/null")
