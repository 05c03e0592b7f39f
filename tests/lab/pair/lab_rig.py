"""One test's use of two machines on shared disks, in the form that the conformance suite of shelves needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from inspect import signature
from types import ModuleType
from typing import Any

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.reservations.key import Side
from tests.lab.pair.shelf_pair import FarShelf, ShelfPair
from tests.system.shelf.rig import DISKS, orders


class LabRig:
    """See `Rig`: one test's use of the two machines."""

    def __init__(self, pair: ShelfPair) -> None:
        self.pair = pair
        #: Shelves to close when the test ends.
        self.shelves: list[FarShelf] = []
        self._undone: list[tuple[str, Side, int]] = []

    def open(self, side: Side) -> tuple[FarShelf, None]:
        return self.open_shelf(side, orders(side)), None

    def open_shelf(self, side: Side, obeyed: Orders) -> FarShelf:
        self.shelves.append(self.pair.heads[side].shelf(obeyed))
        return self.shelves[-1]

    def hang(self, disk: int) -> None:
        self.pair.portals[disk].hang(hangs=True)

    def unhang(self, disk: int) -> None:
        self.pair.portals[disk].hang(hangs=False)

    def lose(self, side: Side, disk: int) -> None:
        self.pair.heads[side].lose(DISKS[disk])
        self._undone.append(("restore", side, disk))

    def restore(self, side: Side, disk: int) -> None:
        self.pair.heads[side].restore(DISKS[disk])
        self._undone.remove(("restore", side, disk))

    def power_cycle(self) -> None:
        self.pair.power_cycle()

    def close(self) -> None:
        for disk in range(len(DISKS)):
            self.unhang(disk)
        for _, side, disk in tuple(self._undone):
            self.restore(side, disk)
        for shelf in self.shelves:
            shelf.close()


def told_to_a_rig(*modules: ModuleType, without: Collection[str] = ()) -> dict[str, Callable[..., Any]]:
    """Return the tests of these modules that need only a rig, except `without`, to run them with another rig."""
    return {
        name: test
        for module in modules
        for name, test in vars(module).items()
        if name.startswith("test_") and "rig" in signature(test).parameters and name not in without
    }
