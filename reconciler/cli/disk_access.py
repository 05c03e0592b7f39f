"""Disks and pools asked by a child, so that a command ends though a disk does not answer.

A thread that waits in the kernel for a disk cannot be ended, nor can the process that it belongs to; a person would
wait at a prompt that does not come back. The child is left behind instead, with whatever it waits for, and says nothing
on the terminal. Decides nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import Pipe
from typing import Any, NoReturn

from reconciler.core.failover.adapters import PoolHouse, PoolsView, Shelf
from reconciler.core.failover.claim import Command, Reply
from reconciler.core.failover.hold import DiskView
from reconciler.errors import HagitError, StateError
from reconciler.system.shelf.bay import Survey
from reconciler.system.shelf.disks import DiskShelf


class Aside:
    """Both adapters, as `make` gives them in the child. Raises what `make` raises."""

    def __init__(self, make: Callable[[], tuple[Shelf, PoolHouse]]) -> None:
        self._here, there = Pipe()
        self.child = os.fork()
        if self.child == 0:
            self._here.close()
            _serve(make, there)
        there.close()
        failed = self._here.recv()
        if failed is not None:
            self.close()
            raise failed

    def survey(self, deadline_s: float) -> tuple[Survey | DiskView, ...]:
        """Everything that the shelf can tell of each disk."""
        return tuple(self._ask("survey", deadline_s))

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        """See `Shelf.look`."""
        return tuple(self._ask("look", deadline_s))

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        """See `Performing.perform`."""
        return tuple(self._ask("perform", commands, deadline_s))

    def pools(self, deadline_s: float) -> PoolsView:
        """See `PoolHouse.look`."""
        found: PoolsView = self._ask("pools", deadline_s)
        return found

    def close(self) -> None:
        """End the child, or leave it to the disk that it waits for."""
        self._here.close()
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, os.WNOHANG)

    def _ask(self, name: str, *words: Any) -> Any:
        try:
            self._here.send((name, words))
            return self._here.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise StateError("the child that asks the disks has ended by itself", remedy="ask again") from None


def _serve(make: Callable[[], tuple[Shelf, PoolHouse]], there: Any) -> NoReturn:
    """The child: silent, until nobody asks any more."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        try:
            shelf, house = make()
        except HagitError as error:
            there.send(error)
            os._exit(1)
        there.send(None)
        does: dict[str, Callable[..., Any]] = {
            "survey": shelf.survey if isinstance(shelf, DiskShelf) else shelf.look,
            "look": shelf.look,
            "perform": shelf.perform,
            "pools": house.look,
        }
        while True:
            name, words = there.recv()
            there.send(does[name](*words))
    finally:
        os._exit(0)
