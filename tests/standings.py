"""Statuses of real core states: a story of the simulated pair is told, and each controller says where it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.core.failover.orders.orders import Orders, VirtualAddress
from reconciler.core.failover.reservations.key import Side
from reconciler.core.status.timeline import FailoverSummary
from reconciler.core.status.watchdog import AddressStatus, DeadmanStatus, WatchdogStatus
from reconciler.core.watchdog_status import DaemonReport, status_without_orders, watchdog_status
from reconciler.simulation.timed.stories import PAIR, play, read
from reconciler.simulation.timed.world import World
from reconciler.system.clock import monotonic_s

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
VIP = "10.0.0.10/24"
#: What a switchover took here, as the timeline of a real one would say.
SWITCHOVER = FailoverSummary(
    kind="release", at="2026-11-20T03:00:00.000Z", code="ASKED", why="a person asked for a switchover",
    ended="standby", release_ms=212, total_ms=1_204,
)  # fmt: skip


def told(*lines: str, until: str = "20s") -> World:
    """The world after a story; both controllers boot at once."""
    head = "\n".join((*lines, f"until {until}"))
    story = read(head)
    orders = replace(
        story.orders, controllers=("storage-a", "storage-b"), addresses=(VirtualAddress("net0", VIP, 20),), pair="tank"
    )
    return play(replace(story, orders=orders)).world


def orders() -> Orders:
    """Of the pair that stories are told of."""
    return PAIR


def standing_of(world: World, side: str = "a", *, now_ms: int | None = None, **changes: Any) -> WatchdogStatus:
    """What a controller of the world publishes now, with its moments moved to this machine's clock.

    `changes` are fields of `DaemonReport`.
    """
    controller = world.controller(Side(side))
    assert controller.core is not None, "it has no power"
    core, local_ms = controller.core, controller.clock()
    present = controller.kernel.addresses
    around = surroundings(
        addresses=tuple(
            AddressStatus(address=one.address, interface=one.interface, wanted=present, present=present)
            for one in core.orders.addresses
        )
    )
    status = watchdog_status(core, local_ms, replace(around, **changes))
    now_ms = int(monotonic_s() * 1000) if now_ms is None else now_ms
    return replace(status, at_ms=now_ms, since_ms=now_ms - (local_ms - core.since_ms), started_ms=now_ms - local_ms)


def surroundings(**changes: Any) -> DaemonReport:
    """What a daemon knows beside its core."""
    around = DaemonReport(
        at="2026-11-22T03:14:15.926Z",
        boot=BOOT,
        pid=4_711,
        started="2026-11-22T03:13:55.000Z",
        started_ms=0,
        since="2026-11-22T03:14:05.535Z",
        deadman=DeadmanStatus(state="fed", device="/dev/watchdog", timeout_ms=5_000),
        version="1.0",
    )
    return replace(around, **changes)


def no_orders(now_ms: int | None = None) -> WatchdogStatus:
    """A daemon whose agent has never published."""
    now_ms = int(monotonic_s() * 1000) if now_ms is None else now_ms
    return status_without_orders("a", "a", now_ms, surroundings(started_ms=now_ms))
