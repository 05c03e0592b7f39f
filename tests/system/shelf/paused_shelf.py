"""A shelf whose controller pauses once in the middle of its work, while something else happens to the disks."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.failover.reservations.claim import Command, Reply, Verb
from reconciler.core.failover.reservations.key import Key
from reconciler.system.shelf.disks import DiskShelf


class PausedShelf:
    """The shelf of a controller that pauses before its first command of one kind. `asked`: its commands so far."""

    def __init__(self, shelf: DiskShelf, verb: Verb, meanwhile: Callable[[], object]) -> None:
        self._shelf, self._verb, self._meanwhile = shelf, verb, meanwhile
        self.asked: list[Verb] = []

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        self.asked += (command.verb for command in commands)
        if self.asked[-1] is self._verb and self.asked.count(self._verb) == 1:
            self._meanwhile()
        return self._shelf.perform(commands, deadline_s)

    def keep(self, disk: int, deadline_s: float, paths: Key | None = None) -> bool:
        return self._shelf.keep(disk, deadline_s, paths)

    def release(self, disk: int) -> None:
        self._shelf.release(disk)
