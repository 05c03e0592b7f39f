"""A shelf whose disks fail one by one: each disk has its own target, all in one network namespace.

Decides how disks hang for both controllers and how the whole shelf loses its power. `head` has faults of one controller
only. Does not know pools.
"""

from __future__ import annotations

import contextlib
from typing import Final

from tests.lab.machine import MachineError
from tests.lab.pair.emulated_pair import EmulatedPair
from tests.lab.pair.portal import Portal
from tests.lab.target import Target, partition

SIZE_MIB: Final = 256
#: More seconds than a machine that is on takes to answer.
ANSWER_S: Final = 20


class FaultyShelf(Target):
    """See `Target`; `disk0`, `disk1`... have their places on the machines' buses by their numbers."""

    def __init__(self, count: int) -> None:
        super().__init__(0)
        self.names = tuple(f"disk{number}" for number in range(count))
        self.portals: dict[str, Portal] = {}
        self._cut: dict[str, set[str]] = {}
        try:
            for number, name in enumerate(self.names):
                partition(self.file(name), SIZE_MIB)
                self.portals[name] = Portal(self, self.file(name), number + 1)
        except BaseException:
            self.close()
            raise

    def devices(self, machine: str) -> tuple[str, ...]:
        """See `Target.devices`."""
        words = ["-device", "virtio-scsi-pci,id=disks,num_queues=1"]
        for number, portal in enumerate(self.portals.values()):
            words += portal.device(machine, number)
        return tuple(words)

    def hang(self, *names: str) -> None:
        """These disks answer no machine."""
        for name in names:
            self.portals[name].hang(hangs=True)

    def hang_for(self, machine: str, *names: str) -> None:
        """These disks no longer answer this machine."""
        for name in names:
            self.portals[name].reach(machine, reaches=False)
            self._cut.setdefault(name, set()).add(machine)

    def unhang(self, *names: str) -> None:
        """Hanging disks continue where they were."""
        for name in names or self.names:
            self.portals[name].hang(hangs=False)
            for machine in self._cut.pop(name, ()):
                self.portals[name].reach(machine, reaches=True)

    def power_off(self) -> None:
        """Remove every disk, and forget all registrations and reservations."""
        for portal in self.portals.values():
            portal.close()

    def power_on(self) -> None:
        """Bring the disks back with their data."""
        for portal in self.portals.values():
            portal.begin()
        for portal in self.portals.values():
            portal.settle()

    def close(self) -> None:
        """See `Target.close`."""
        for portal in getattr(self, "portals", {}).values():
            portal.close()
        super().close()


class FaultyPair(EmulatedPair):
    """Both controllers on such a shelf."""

    @property
    def shelf(self) -> FaultyShelf:
        """The shelf."""
        assert isinstance(self.target, FaultyShelf)
        return self.target

    def make_well(self) -> None:
        """See `EmulatedPair.make_well`; and every disk answers."""
        self.shelf.unhang()
        for head in self.heads:
            # A machine that resets itself does not go off before a disk that hung has answered.
            with contextlib.suppress(MachineError):
                if not head.on or head.machine.check("cat /run/hagit/watchdog.json", ANSWER_S):
                    continue
            head.pull_the_plug()
        super().make_well()
