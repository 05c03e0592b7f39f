"""From a commit to the network of a real kernel: `examples/bonds-vlans-jumbo` on a machine made for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import PARTNER
from tests.lab.image import Image
from tests.lab.machine import Finished, Machine, Nic, project_shares

ROOT = Path(__file__).parents[2]
HAGIT = Path(sys.executable).with_name("hagit")
#: The NICs where the example looks for them; eth0 and eth1 are the switch's, eth2 the peer's end of the interlink. The
#: firmware numbers the buses downwards, hence the names.
NICS = (
    *(Nic(hub=hub, mac=f"02:00:00:00:2f:0{hub}") for hub in range(3)),
    Nic(0, "02:00:00:00:2a:00", "3b:00.0"),
    Nic(1, "02:00:00:00:2a:01", "3b:00.1"),
    Nic(2, "02:00:00:00:2a:02", "5e:00.0"),
)
INTERLINK, PORT0, PORT1 = "eth3", "eth4", "eth5"
SETTING = f"""
set -e
mkdir -p /root/pair /etc/hagit
cp {ROOT}/examples/bonds-vlans-jumbo/*.yaml /root/pair
cd /root/pair
git init -q -b main
git config user.name Tester && git config user.email tester@example.org
git add . && git commit -q -m 'Bonds, VLANs and jumbo frames'
cat > /etc/hagit/node.toml <<'END'
controller = "a"
[source]
remotes = ["/root/pair"]
[trust]
unsigned = "accept-without-warning"
END
sh {PARTNER} up 802.3ad 9000 'eth0 eth1'
sh {PARTNER} network 20 10.20.0.2/24
sh {PARTNER} network 30 10.30.0.1/24
"""


@pytest.fixture(scope="module")
def controller(lab_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield controller a of the example, before any `hagit apply`."""
    place, shares = tmp_path_factory.mktemp("controller"), project_shares()
    with Machine(lab_image, place, nics=NICS, shares=shares, serial="SN-2001", memory_mib=640) as machine:
        machine.check(SETTING)
        yield machine


@pytest.fixture(scope="module")
def applied(controller: Machine) -> Finished:
    """Apply the example; return the output of the command."""
    done = hagit(controller, "apply --yes")
    assert done.status == 0, done.out + done.err
    return done


def hagit(machine: Machine, arguments: str) -> Finished:
    return machine.run(f"PYTHONDONTWRITEBYTECODE=1 NO_COLOR=1 {HAGIT} {arguments}", 100)


def links(machine: Machine) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(machine.check("ip -json -details link"))}


def test_the_plan_names_the_links_and_changes_nothing(controller: Machine) -> None:
    def state() -> list[tuple[Any, ...]]:
        found = links(controller).values()
        return [(link["ifname"], link["mtu"], "UP" in link["flags"], link.get("ifalias")) for link in found]

    before = state()
    plan = hagit(controller, "plan --detailed-exitcode")
    assert plan.status == 2, plan.out + plan.err
    assert all(word in plan.out for word in ("bond0", "802.3ad", "storage", "clients", "links.yaml:"))
    assert state() == before


def test_the_kernel_has_what_the_example_asks_for(applied: Finished, controller: Machine) -> None:
    made = links(controller)
    bond = made["bond0"]["linkinfo"]["info_data"]
    assert (bond["mode"], bond["xmit_hash_policy"], bond["ad_lacp_rate"]) == ("802.3ad", "layer3+4", "fast")
    assert {link["ifname"] for link in made.values() if link.get("master") == "bond0"} == {PORT0, PORT1}
    tags = {name: (made[name]["link"], made[name]["linkinfo"]["info_data"]["id"]) for name in ("storage", "clients")}
    assert tags == {"storage": ("bond0", 20), "clients": ("bond0", 30)}
    sizes = {name: made[name]["mtu"] for name in (PORT0, PORT1, INTERLINK, "bond0", "storage", "clients")}
    assert sizes == {PORT0: 9000, PORT1: 9000, INTERLINK: 9000, "bond0": 9000, "storage": 9000, "clients": 1500}
    assert {name: made[name]["ifalias"] for name in (PORT0, "bond0", "storage", "clients", INTERLINK)} == {
        PORT0: "hagit port0",
        "bond0": "hagit bond0",
        "storage": "hagit storage CriticalGroup1",
        "clients": "hagit clients CriticalGroup2",
        INTERLINK: "hagit interlink Interlink",
    }
    assert controller.check("hostname").strip() == "shelf2-a"


def test_nothing_is_left_to_do(applied: Finished, controller: Machine) -> None:
    plan = hagit(controller, "plan --detailed-exitcode")
    assert plan.status == 0, plan.out + plan.err
    drift = hagit(controller, "drift")
    assert drift.status == 0, drift.out + drift.err


def test_jumbo_frames_pass_and_one_cable_is_enough(applied: Finished, controller: Machine) -> None:
    controller.until("grep -q 'Number of ports: 2' /proc/net/bonding/bond0")
    controller.until("ping -c 1 -W 1 -M do -s 8972 10.20.0.2 > /dev/null")
    controller.cable(0, plugged=False)
    controller.until(f"grep -A1 'Slave Interface: {PORT0}' /proc/net/bonding/bond0 | grep -q 'MII Status: down'")
    controller.until("ping -c 1 -W 1 -M do -s 8972 10.20.0.2 > /dev/null")
    controller.until("ping -c 1 -W 1 10.30.0.1 > /dev/null")
    controller.cable(0, plugged=True)


def test_what_is_captured_asks_for_no_change(applied: Finished, controller: Machine) -> None:
    captured = hagit(controller, "capture > /root/captured.yaml")
    assert captured.status == 0, captured.err
    controller.check("mkdir -p /root/captured && mv /root/captured.yaml /root/captured/")
    plan = hagit(controller, "plan --directory /root/captured --detailed-exitcode")
    assert plan.status == 0, plan.out + plan.err


def test_a_change_by_hand_is_drift_and_apply_mends_it(applied: Finished, controller: Machine) -> None:
    controller.check("ip link delete clients && ip link set storage mtu 1400")
    drift = hagit(controller, "drift")
    assert drift.status == 1, drift.out + drift.err
    assert "clients" in drift.out and "1400" in drift.out
    mended = hagit(controller, "apply --yes")
    assert mended.status == 0, mended.out + mended.err
    made = links(controller)
    assert (made["clients"]["linkinfo"]["info_data"]["id"], made["storage"]["mtu"]) == (30, 9000)
