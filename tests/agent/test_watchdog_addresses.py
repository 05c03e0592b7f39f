"""What the watchdog places is none of the agent's business: not removed, not added, not told, healed around."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.core.failover.orders.orders import VirtualAddress
from reconciler.system.addresses.placement import AddressPlacement
from tests.agent.receivers import Hook
from tests.agent.test_drift import alerting, in_force, until_received
from tests.controller import Controller, interface
from tests.wait import until

STORAGE = interface("storage0", "10.0.0.1/24", nic="e0", virtual="10.0.0.100/24")
#: One that the configuration names, one in another family that it does not name (not any more).
ADDRESSES = ("10.0.0.100", "fd00::100")
HEALED = (("firing", "address 10.0.0.1/24 of e0"), ("resolved", "address 10.0.0.1/24 of e0"))


def step(controller: Controller, placement: AddressPlacement) -> tuple[str, ...]:
    """One step on the network of the controller; returns the addresses that the watchdog has set after it."""

    def run() -> tuple[str, ...]:
        now_ms = time.monotonic_ns() // 1_000_000
        placement.step(now_ms)
        return placement.placed(now_ms).present

    return controller.inside(run)


@contextmanager
def placing(controller: Controller, run: Path, *, on_virtual_mac: bool) -> Iterator[AddressPlacement]:
    placement = controller.inside(lambda: AddressPlacement(run))
    try:
        ordered = [VirtualAddress("e0", f"{ADDRESSES[0]}/24", 20), VirtualAddress("e0", f"{ADDRESSES[1]}/64", 20)]
        placement.follow(ordered, (), on_virtual_mac=on_virtual_mac)
        placement.want(True)
        until(lambda: step(controller, placement) == ADDRESSES, controller.addresses)
        yield placement
    finally:
        placement.close(restore=False)


def hosts(controller: Controller) -> set[str]:
    return {address.partition("/")[0] for address in controller.addresses()}


@pytest.mark.parametrize("on_virtual_mac", [False, True])
def test_the_agent_leaves_them_alone(controller: Controller, hook: Hook, tmp_path: Path, on_virtual_mac: bool) -> None:
    in_force(controller, STORAGE + alerting(hook.url, "{default: heal}"))
    with placing(controller, tmp_path, on_virtual_mac=on_virtual_mac) as placement:
        assert controller.hagit("drift").code == 0
        assert "100" not in controller.hagit("plan").out
        # It observes, and heals its own address beside them.
        controller.ip("address del 10.0.0.1/24 dev e0")
        until_received(hook, *HEALED)
        assert hosts(controller) == {"10.0.0.1", *ADDRESSES}
        # Told first, published at the end of the round.
        until(lambda: controller.status()["drift"] == [], controller.status)
        # It does not add a missing one.
        placement.want(False)
        until(lambda: step(controller, placement) == ())
        controller.ip("address del 10.0.0.1/24 dev e0")
        until_received(hook, *HEALED, *HEALED)
        assert hosts(controller) == {"10.0.0.1"}
        assert controller.hagit("drift").code == 0


def test_they_stay_when_the_configuration_changes_around_them(
    controller: Controller, hook: Hook, tmp_path: Path
) -> None:
    in_force(controller, STORAGE + alerting(hook.url, "{default: heal}"))
    with placing(controller, tmp_path, on_virtual_mac=False):
        renumbered = interface("storage0", "10.0.0.3/24", nic="e0", virtual="10.0.0.100/24")
        controller.until_applied(controller.work.commit("Renumber", net__yaml=renumbered))
        assert hosts(controller) == {"10.0.0.3", *ADDRESSES}
        # The watchdog has its orders by itself; until it has acted on them the address is still its own.
        without = interface("storage0", "10.0.0.3/24", nic="e0")
        controller.until_applied(controller.work.commit("Nobody needs it", net__yaml=without))
        assert hosts(controller) == {"10.0.0.3", *ADDRESSES}
        assert controller.hagit("drift").code == 0
