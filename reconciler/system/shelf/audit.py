"""A look at everything around disks and pools that could make a takeover slow, unsafe or impossible.

Decides what is looked at, and how the time for it is shared. It changes nothing, and nothing that it finds decides who
may write: people are told. May block up to its deadline, so it has an arm of its own.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, Protocol

from reconciler.core.failover.orders.orders import Orders
from reconciler.system.findings import Finding
from reconciler.system.shelf import checks as disks
from reconciler.system.shelf import multipathd
from reconciler.system.shelf.disks import DiskShelf
from reconciler.system.zfs import checks as pools

#: Of the time there is, for the disks; the pools have the rest.
SHARE: Final = 0.4


class ShelfAudit(Protocol):
    """Belongs to one thread."""

    def look(self, deadline_s: float, *, theirs: bool) -> tuple[Finding, ...]:
        """Everything that is wrong, the worst first. `theirs`: the peer has the pools, and says so itself."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class DiskAudit:
    """Of real disks and the pools of this kernel. `root`: where the files of this machine are."""

    def __init__(self, shelf: DiskShelf, directory: Path, orders: Orders, root: Path = Path("/")) -> None:
        self._shelf, self._directory, self._orders, self._root = shelf, directory, orders, root

    def look(self, deadline_s: float, *, theirs: bool) -> tuple[Finding, ...]:
        """See `Audit.look`."""
        end_s = time.monotonic() + deadline_s
        about_disks = disks.findings(self._orders, self._shelf.survey(deadline_s * SHARE))
        left_s = max(0.0, end_s - time.monotonic())
        gathered = pools.gather(self._orders, self._directory, left_s, theirs=theirs, root=self._root)
        return (*about_disks, *multipathd.findings(self._root), *pools.findings(self._orders, gathered))

    def close(self) -> None:
        """See `Audit.close`."""
        self._shelf.close()


class SimulatedAudit:
    """Of a shelf that is simulated: there is nothing around it."""

    def look(self, deadline_s: float, *, theirs: bool) -> tuple[Finding, ...]:
        """See `Audit.look`."""
        return ()

    def close(self) -> None:
        """See `Audit.close`."""
