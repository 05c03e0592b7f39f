"""Access of the commands to the disks and pools of the orders, through a child process.

A thread that waits in the kernel for a disk cannot be ended, and neither can its process: the operator would wait at a
prompt that does not come back. So a child process asks the disks. When a disk does not answer, the command ends and
leaves the child behind. The child prints nothing on the terminal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NoReturn

from reconciler.core.failover.machine.pending_orders import joined
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import PoolsView, SharedPools, Shelf
from reconciler.core.failover.reservations.claim import Command, Reply
from reconciler.core.failover.reservations.key import Side
from reconciler.core.failover.reservations.reservation_state import DiskView
from reconciler.errors import HagitError, StateError, UsageError
from reconciler.system.node import Node, find_node_file, load_node
from reconciler.system.published_orders import orders_in_force
from reconciler.system.shelf import open_shelf
from reconciler.system.shelf.disks import DiskShelf
from reconciler.system.shelf.shared_disk import DiskSurvey


class IsolatedAdapters:
    """The adapters to disks and pools that `make` returns, in a child process. Raises the errors of `make`."""

    def __init__(self, make: Callable[[], tuple[Shelf, SharedPools]]) -> None:
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

    def survey(self, deadline_s: float) -> tuple[DiskSurvey | DiskView, ...]:
        """Everything that the shelf knows about each disk."""
        return tuple(self._ask("survey", deadline_s))

    def look(self, deadline_s: float) -> tuple[DiskView, ...]:
        """See `Shelf.look`."""
        return tuple(self._ask("look", deadline_s))

    def perform(self, commands: tuple[Command, ...], deadline_s: float) -> tuple[Reply, ...]:
        """See `Performing.perform`."""
        return tuple(self._ask("perform", commands, deadline_s))

    def pools(self, deadline_s: float) -> PoolsView:
        """See `SharedPools.look`."""
        found: PoolsView = self._ask("pools", deadline_s)
        return found

    def close(self) -> None:
        """End the child, or leave it behind with the disk that it waits for."""
        self._here.close()
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, os.WNOHANG)

    def _ask(self, name: str, *words: Any) -> Any:
        """The answer of the child. Raises StateError when the child has ended."""
        try:
            self._here.send((name, words))
            return self._here.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise StateError("the child that asks the disks has ended by itself", remedy="ask again") from None


class DiskAccess:
    """The orders of this controller, and its disks and pools.

    `orders`: those in force, followed by the disks that only pending orders name; `known` disks stand before these.
    Raises UsageError on a controller without a watchdog, StateError without orders.
    """

    def __init__(self, node_file: Path | None) -> None:
        self.node: Node = load_node(find_node_file(node_file))
        if self.node.watchdog is None:
            raise UsageError(
                "this controller has no watchdog, and so no shelf",
                remedy="give the node file a [watchdog] table; `hagit explain node` says what belongs into it",
            )
        in_force, pending = orders_in_force(self.node, self.node.watchdog)
        self.orders: Orders = (orders := joined(in_force, pending))
        self.known = len(in_force.disks)
        url, side = self.node.watchdog.shelf, Side(self.node.controller)
        self.disks = IsolatedAdapters(lambda: open_shelf(url, side, orders))

    def close(self) -> None:
        """End the access to disks and pools."""
        self.disks.close()


def _serve(make: Callable[[], tuple[Shelf, SharedPools]], there: Any) -> NoReturn:
    """Run the child process until its parent closes the pipe."""
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
