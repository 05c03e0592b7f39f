"""Interfaces that flap, are renamed, vanish and come back, and a pair without IPv4."""

from dataclasses import replace

from reconciler.core.failover.orders.orders import Device, DeviceKey
from tests.watchdog.pair import VIRTUAL6, Pair
from tests.watchdog.test_decisions import codes


def by_mac(pair: Pair) -> None:
    """Orders in which each controller knows its net0 by the card and not by its name."""
    pair.orders = replace(pair.orders, generation=pair.orders.generation + 1)
    for head in pair.both():
        (link,) = head.room.show("link", "show", "dev", "net0")
        head.publish(replace(pair.orders, devices=(Device("net0", DeviceKey.MAC, link["address"]),)))


def test_a_carrier_that_flaps_faster_than_it_counts_moves_nobody(pair: Pair) -> None:
    pair.publish(timers=replace(pair.orders.timers, settle_ms=5_000))
    pair.settle()
    for _ in range(3):
        pair.fault("cut", "a-net0")
        pair.until(lambda: "GROUP_DOWN" in pair.a.reasons())
        pair.fault("join", "a-net0")
        pair.until(lambda: "GROUP_DOWN" not in pair.a.reasons())
    assert pair.b.went() == ["standby"]
    with pair.client() as client:
        client.until_answered()


def test_an_interface_that_is_renamed_and_known_by_name_is_gone(pair: Pair) -> None:
    pair.settle()
    pair.a.room.ip("link set net0 down", "link set net0 name lan7", "link set lan7 up")
    pair.until_phases(a="standby", b="active")
    assert codes(pair.a, "releasing") == ["GROUPS_DOWN"]
    with pair.client() as client:
        client.until_answered()
    pair.a.room.ip("link set lan7 down", "link set lan7 name net0", "link set net0 up")
    pair.until_ready()
    pair.until(lambda: "GROUP_DOWN" not in pair.a.reasons())
    pair.fault("power-off", "b")
    pair.until_phases(a="active")
    pair.until(lambda: pair.a.serves)


def test_an_interface_that_is_renamed_and_known_by_its_card_stays(pair: Pair) -> None:
    by_mac(pair)
    pair.settle()
    pair.a.room.ip("link set net0 name lan7", check=False)
    pair.until(lambda: [entry for entry in pair.a.room.show("link") if entry.get("ifname") == "lan7"])
    pair.until_ready()
    with pair.client() as client:
        client.until_answered()
    pair.until(lambda: (status := pair.b.status()) is not None and status.channels[1].age_ms < 600)
    assert (pair.a.phase, pair.b.phase) == ("active", "standby")


def test_an_interface_that_vanishes_and_comes_back(pair: Pair) -> None:
    pair.settle()
    with pair.client() as client:
        pair.a.room.ip("link delete net0")
        pair.until_phases(a="standby", b="active")
        client.until_answered()
    pair.until(lambda: {"GROUP_DOWN", "NO_HEARTBEAT"} <= pair.a.reasons())
    pair.a.room.ip(
        f"link add net0 type veth peer name a-net0 netns {pair.lan.holder.pid}",
        "link set net0 up",
        "address add 10.79.0.11/24 dev net0",
        "address add fd79::11/64 dev net0 nodad",
    )
    pair.lan.ip("link set a-net0 master lan up")
    pair.until(lambda: not {"GROUP_DOWN", "NO_HEARTBEAT"} & pair.a.reasons())
    pair.until_ready()
    pair.fault("power-off", "b")
    pair.until_phases(a="active")
    pair.until(lambda: pair.a.serves)
    with pair.client() as client:
        client.until_answered()


def test_a_pair_without_ipv4(pair: Pair) -> None:
    pair.publish(addresses=pair.orders.addresses[1:])
    for head in pair.both():
        head.power_on()
        head.room.ip("address flush dev net0")
        head.room.ip(f"address replace fd79::{head.address}/64 dev net0 nodad")
    pair.lan.ip("address del 10.79.0.1/24 dev lan")
    for head in pair.both():
        head.start()
    pair.until_phases(a="active", b="standby")
    pair.until_ready()
    pair.until(lambda: (status := pair.b.status()) is not None and status.carp[0].role == "BACKUP")
    assert not {"CARP_PROBLEM", "ADDRESS_PROBLEM"} & (pair.a.reasons() | pair.b.reasons())
    with pair.client(VIRTUAL6) as client:
        client.until_answered()
        pair.fault("power-off", "a")
        pair.until_phases(b="active")
        client.until_answered()
