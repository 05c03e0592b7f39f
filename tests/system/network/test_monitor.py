"""The monitor hears every kind of change, and losing events is one."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reconciler.core.facts.fact import Address, Mark, Power, Route
from reconciler.system.netlink.monitor import Monitor
from tests.system.network.conformance import live_network
from tests.system.network.namespaces import in_namespace, ip

WAIT_S = 5


def is_ready(monitor: Monitor, wait_s: float) -> bool:
    return bool(select.select([monitor], [], [], wait_s)[0])


def drain_until_quiet(monitor: Monitor) -> None:
    while is_ready(monitor, 0.05):
        monitor.drain()


@contextmanager
def listening(**options: int) -> Iterator[Monitor]:
    with closing(Monitor(**options)) as monitor:
        yield monitor


@pytest.mark.parametrize(
    "commands",
    [
        ["link set e1 mtu 1400"],
        ["link set e0 alias someone"],
        ["link add br9 type bridge"],
        ["address add 10.0.0.1/24 dev e0"],
        ["address add fd00::1/64 dev e0 nodad"],
        ["route add 10.9.0.0/16 dev e0"],
        ["route add fd09::/48 dev e0"],
    ],
    ids=lambda commands: commands[0].replace(" ", "-"),
)
def test_a_change_by_another_hand_is_heard_once(commands: list[str]) -> None:
    def tell() -> None:
        with live_network() as network, listening() as monitor:
            network.perform(None, Power("e0", True))
            drain_until_quiet(monitor)
            assert not monitor.drain()
            ip(*commands)
            assert is_ready(monitor, WAIT_S)
            assert monitor.drain()
            drain_until_quiet(monitor)
            assert not monitor.drain()

    in_namespace(tell)


def test_a_new_hostname_is_heard() -> None:
    def tell() -> None:
        with listening() as monitor:
            drain_until_quiet(monitor)
            socket.sethostname("other")
            assert is_ready(monitor, WAIT_S)
            assert monitor.drain()
            assert not monitor.drain()

    in_namespace(tell)


def test_a_quiet_network_says_nothing() -> None:
    def tell() -> None:
        with live_network(), listening() as monitor:
            drain_until_quiet(monitor)
            assert not monitor.drain()

    in_namespace(tell)


def test_events_that_were_lost_count_as_a_change() -> None:
    def tell() -> None:
        with live_network() as network, listening(receive_buffer_bytes=1) as monitor:
            network.perform(None, Power("e0", True))
            for number in range(200):
                network.perform(None, Mark("e0", f"hagit {number}"))
            assert lost_events() > 0
            assert monitor.drain()
            drain_until_quiet(monitor)
            network.perform(None, Mark("e0", "hagit again"))
            assert is_ready(monitor, WAIT_S), "deaf after an overflow"

    in_namespace(tell)


def test_a_storm_is_drained_in_one_go() -> None:
    def tell() -> None:
        with live_network() as network, listening() as monitor:
            for number in range(2000):
                network.perform(None, Address("e0", f"10.0.{number // 250}.{number % 250 + 1}/16"))
            assert lost_events() == 0
            assert monitor.drain()
            assert not monitor.drain()

    in_namespace(tell)


def test_what_the_agent_does_itself_is_heard_too() -> None:
    def tell() -> None:
        with live_network() as network, listening() as monitor:
            network.perform(None, Power("e0", True))
            drain_until_quiet(monitor)
            network.perform(None, Route("10.9.0.0/16", None, "e0", 0))
            assert is_ready(monitor, WAIT_S)

    in_namespace(tell)


def test_closing_gives_every_descriptor_back() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for _ in range(5):
        Monitor().close()
    assert count() == before


def lost_events() -> int:
    """Drops of all netlink sockets of this namespace, as the kernel counts them."""
    lines = Path("/proc/thread-self/net/netlink").read_text().splitlines()[1:]
    return sum(int(line.split()[8]) for line in lines)
