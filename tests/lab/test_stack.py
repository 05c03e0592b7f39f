"""The real adapter makes a bond with a VLAN, a bridge and jumbo frames on NICs with cables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.core.facts.fact import Mtu, Power
from reconciler.core.facts.ownership import Owner
from reconciler.core.facts.state import Observed
from tests.lab.conftest import PARTNER, restore
from tests.lab.machine import CROSSED_NICS, CommandFailed, Machine
from tests.lab.stack import STACK, making, perform


def ip(machine: Machine, command: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.check(f"ip -json -details {command}"))
    return found


@pytest.fixture(scope="module")
def look(machine: Machine) -> Iterator[Observed]:
    """Make the stack once; yield the look after the last change."""
    seen, surprises = perform(machine, making(STACK))
    assert not surprises, "\n".join(surprises)
    yield seen
    restore(machine)


def test_what_was_performed_is_observed_as_ours(look: Observed) -> None:
    assert {fact.key: look.facts.get(fact.key) for fact in STACK} == {fact.key: fact for fact in STACK}
    stamped = [fact.key for fact in STACK if not isinstance(fact, Mtu | Power)]
    assert {look.owner(key) for key in stamped} == {Owner.AGENT}


def test_ip_shows_the_stack_with_its_options_and_marks(look: Observed, machine: Machine) -> None:
    links = {link["ifname"]: link for link in ip(machine, "link")}
    bond = links["bond0"]["linkinfo"]["info_data"]
    told = (bond["mode"], bond["miimon"], bond["xmit_hash_policy"], bond["ad_lacp_rate"])
    assert told == ("802.3ad", 100, "layer3+4", "fast")
    assert [links[name]["master"] for name in ("eth0", "eth1", "bond0.7")] == ["bond0", "bond0", "storage"]
    assert (links["bond0.7"]["link"], links["bond0.7"]["linkinfo"]["info_data"]["id"]) == ("bond0", 7)
    assert {links[name]["mtu"] for name in ("eth0", "eth1", "bond0", "bond0.7", "storage")} == {9000}
    assert links["storage"]["ifalias"] == "hagit storage0 CriticalGroup1 Interlink"
    (storage,) = ip(machine, "address show dev storage")
    assert {"10.7.0.1", "fd07::1"} <= {entry["local"] for entry in storage["addr_info"]}


def test_members_keep_their_own_identity(look: Observed, machine: Machine) -> None:
    (bus,) = machine.check("basename $(dirname $(readlink -f /sys/class/net/eth0/device))").split()
    eth0, eth1 = look.nics["eth0"], look.nics["eth1"]
    assert (eth0.mac, eth1.mac) == (CROSSED_NICS[0].mac, CROSSED_NICS[1].mac), "the bond's own is not theirs"
    assert (eth0.path, eth0.driver, eth0.virtual) == (f"pci-{bus}", "virtio_net", False)
    assert look.nics["bond0"].virtual


def test_it_carries_jumbo_frames_and_survives_a_cable(look: Observed, machine: Machine) -> None:
    machine.check(f"sh {PARTNER} up 802.3ad 9000 'eth2 eth3' && sh {PARTNER} network 7 10.7.0.2/24")
    machine.until("grep -q 'Number of ports: 2' /proc/net/bonding/bond0")
    ping = "ping -c 1 -W 1 -M do -s 8972 10.7.0.2"
    machine.until(f"{ping} > /dev/null")
    machine.cable(0, plugged=False)
    machine.until("grep -A1 'Slave Interface: eth0' /proc/net/bonding/bond0 | grep -q 'MII Status: down'")
    machine.until(f"{ping} > /dev/null")
    now, _ = perform(machine)
    assert (now.nics["eth0"].carrier, now.nics["eth1"].carrier) == (False, True)


def test_an_mtu_above_its_parents_is_refused_with_a_reason(look: Observed, machine: Machine) -> None:
    with pytest.raises(CommandFailed, match=r"bond0\.7"):
        perform(machine, [("set", Mtu("bond0.7", 9500))])
