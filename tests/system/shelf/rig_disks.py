"""The adapter for real disks, on disks that stand in for them."""

from pathlib import Path

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import SharedPools, Shelf
from reconciler.core.failover.reservations.key import Side
from reconciler.system.shelf.disks import DiskShelf
from tests.system.reservation.standin import StandInCabinet, StandInDisk, image
from tests.system.shelf.rig import DISKS, orders


class DisksRig:
    """Two paths from each controller to each disk."""

    def __init__(self, directory: Path, *, aborts: bool = True, aptpl: bool = True, descriptor: bool = False) -> None:
        options = {"aborts": aborts, "aptpl": aptpl, "descriptor": descriptor}
        self.disks = {name: StandInDisk(image(directory / name), **options) for name in DISKS}
        self.told: list[tuple[str, str]] = []
        #: Of the controllers that were opened, in turn.
        self.cabinets: list[StandInCabinet] = []
        self._opened: list[DiskShelf] = []

    def open(self, side: Side) -> tuple[Shelf, SharedPools | None]:
        return self.open_shelf(side, orders(side)), None

    def open_shelf(self, side: Side, obeyed: Orders) -> DiskShelf:
        def notify(name: str, what: str) -> None:
            self.told.append((name, what))

        self.cabinets.append(StandInCabinet(self.disks, side))
        self._opened.append(DiskShelf(obeyed, side, self.cabinets[-1], notify=notify))
        return self._opened[-1]

    def hang(self, disk: int) -> None:
        self.disks[DISKS[disk]].going.clear()

    def unhang(self, disk: int) -> None:
        self.disks[DISKS[disk]].going.set()

    def lose(self, side: Side, disk: int) -> None:
        self.disks[DISKS[disk]].lost |= {f"{side}{path}" for path in range(2)}

    def restore(self, side: Side, disk: int) -> None:
        self.disks[DISKS[disk]].lost -= {f"{side}{path}" for path in range(2)}

    def power_cycle(self) -> None:
        for disk in self.disks.values():
            disk.power_cycle()

    def close(self) -> None:
        for disk in self.disks.values():
            disk.going.set()
        for shelf in self._opened:
            shelf.close()
