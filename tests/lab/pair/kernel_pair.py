"""The two machines of `shelf_pair` on a shelf with the kernel's own target, whose power can fail.

Does not know the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.core.failover.reservations.key import Side
from tests.lab.image import Image
from tests.lab.kernel_target import KernelTarget
from tests.lab.pair.shelf_pair import ShelfPair
from tests.lab.target import RESERVED_MIB

SIZE_MIB: Final = 24


class KernelPair(ShelfPair):
    """See `ShelfPair`."""

    reserved_start = (SIZE_MIB - 1 - RESERVED_MIB) << 20

    def __init__(self, built: Image, directory: Path, names: Sequence[str]) -> None:
        self.target = KernelTarget(len(names), SIZE_MIB)
        assert tuple(names) == self.target.names
        super().__init__(built, directory, names)

    def serve(self, names: Sequence[str]) -> None:
        """See `ShelfPair.serve`."""
        self.room = self.target
        self.portals += self.target.ways.values()

    def devices(self, side: Side) -> tuple[str, ...]:
        """See `ShelfPair.devices`."""
        return self.target.devices(f"side-{side}")[2:]

    def power_cycle(self) -> None:
        """See `ShelfPair.power_cycle`."""
        self.target.power_off()
        self.target.power_on()
