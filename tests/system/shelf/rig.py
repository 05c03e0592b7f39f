"""A shelf with two controllers, as the conformance suite wants it; and a claim that is run over an adapter."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.ports import SharedPools, Shelf
from reconciler.core.failover.reservations.claim import Claim, advance, begin, commands
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.demo.powered_controller import PoweredController, ShelfControl
from reconciler.system.shelf import open_shelf

DISKS = ("disk0", "disk1", "disk2", "disk3")
VDEVS = (Vdev("single", (0,), 1), Vdev("mirror", (1, 2), 1), Vdev("log", (3,), 1))
LAYOUT = (
    "--disks",
    ",".join(DISKS),
    "--vdev",
    "single:1:disk0",
    "--vdev",
    "mirror:1:disk1,disk2",
    "--vdev",
    "log:1:disk3",
    "--write-ms",
    "5",
)
#: Nobody waits so long unless something is broken.
LONG_S = 30.0


def orders(side: Side) -> Orders:
    return Orders("pair", side, 1, ("one", "two"), DISKS, VDEVS, (0, 1, 2), channels=())


class Rig(Protocol):
    """A shelf that the suite is run against. The house is None where there are disks only."""

    def open(self, side: Side) -> tuple[Shelf, SharedPools | None]: ...

    def open_shelf(self, side: Side, obeyed: Orders) -> Shelf: ...

    def hang(self, disk: int) -> None: ...

    def unhang(self, disk: int) -> None: ...

    def lose(self, side: Side, disk: int) -> None: ...

    def restore(self, side: Side, disk: int) -> None: ...

    def power_cycle(self) -> None: ...


class SimulatedRig:
    """The simulated shelf in a process of its own, both controllers switched on."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.path = directory / "shelf.sock"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler.demo.shelf_server", str(self.path), *LAYOUT, *options],
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.control = ShelfControl(self.path)
        self.lives = {side: PoweredController(self.path, side) for side in Side}
        self._opened: list[Shelf | SharedPools] = []

    @property
    def url(self) -> str:
        return f"simulated:{self.path}"

    def open(self, side: Side) -> tuple[Shelf, SharedPools]:
        pair = open_shelf(self.url, side, orders(side))
        self._opened += pair
        return pair

    def open_shelf(self, side: Side, obeyed: Orders) -> Shelf:
        shelf, house = open_shelf(self.url, side, obeyed)
        self._opened += shelf, house
        return shelf

    def hang(self, disk: int) -> None:
        self.control.inject("disk-hangs", DISKS[disk])

    def unhang(self, disk: int) -> None:
        self.control.heal("disk-hangs", DISKS[disk])

    def lose(self, side: Side, disk: int) -> None:
        self.control.inject("path-lost", side.value, DISKS[disk])

    def restore(self, side: Side, disk: int) -> None:
        self.control.heal("path-lost", side.value, DISKS[disk])

    def power_cycle(self) -> None:
        self.control.inject("shelf-power-cycle")
        self.control.heal("shelf-power-cycle")

    def close(self) -> None:
        for adapter in self._opened:
            adapter.close()
        for life in self.lives.values():
            life.end()
        self.control.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def claim(shelf: Shelf, side: Side, epoch: int, deadline_s: float = LONG_S) -> Claim:
    """Run a whole claim, as the watchdog's hand does."""
    running = begin(orders(side), Key(side, epoch))
    while asked := commands(running):
        for order, reply in zip(asked, shelf.perform(asked, deadline_s), strict=True):
            running = advance(running, order.disk, reply)
    return running
