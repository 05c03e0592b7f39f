"""Disks of the orders that imported pools no longer write to, by `zpool status` in a child that is not waited for.

It is asked only while the kernel says of a pool that it is not whole: a pool whose every device is there is ONLINE.
What a pool says that cannot write is not believed: a controller that loses its way to the shelf sees all its disks
vanish, and the peer must not take them for disks that others went on without. The last word of a pool that could write
stands. Decides nothing.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.devices import Names
from reconciler.system.zfs.status import parse_status
from reconciler.system.zfs.values import Health

WHOLE: Final = "ONLINE"
#: Pools in one of these write, if not to all of their disks.
WRITING: Final = (Health.ONLINE, Health.DEGRADED)
#: A device in one of these is written no more.
OUT: Final = (Health.FAULTED, Health.OFFLINE, Health.REMOVED, Health.UNAVAIL)
#: Between two questions.
AGAIN_S: Final = 0.5
#: A child that has not ended by then is left behind.
PATIENCE_S: Final = 10.0
#: Children that wait in the kernel for a pool at most: a further one would wait, too.
STUCK_MAX: Final = 3


class FaultedDevices:
    """What was last known of the disks, and the child that may know more."""

    def __init__(self, directory: Path, disks: Sequence[str], pools: Sequence[str]) -> None:
        self._directory, self._disks, self._pools = directory, tuple(disks), tuple(pools)
        self._running: tools.Running | None = None
        self._begun_s = -AGAIN_S
        self._out: frozenset[int] = frozenset()

    def known(self) -> frozenset[int]:
        """What was known last."""
        return self._out

    def forget(self) -> None:
        """No pool is here."""
        if self._running is not None:
            self._running.abandon()
        self._running, self._out = None, frozenset()

    def look(self, states: Mapping[str, str], end_s: float) -> frozenset[int]:
        """The disks that are given up, by pools in these states; waits for half the time that is left at the most."""
        if all(state == WHOLE for state in states.values()):
            self.forget()
            return self._out
        now_s = time.monotonic()
        if self._running is None and now_s - self._begun_s >= AGAIN_S and tools.abandoned() < STUCK_MAX:
            self._begin(now_s, [pool for pool in self._pools if pool in states])
        if self._running is not None:
            wait_s = max(0.0, (end_s - now_s) / 2)
            if select.select([self._running], [], [], wait_s)[0]:
                self._end(self._running.outcome())
            elif time.monotonic() - self._begun_s > PATIENCE_S:
                self._running.abandon()
                self._running = None
        return self._out

    def _begin(self, now_s: float, pools: Sequence[str]) -> None:
        self._begun_s = now_s
        try:
            self._running = tools.Running(arguments.pool_status(*pools))
        except OSError:
            self._running = None

    def _end(self, outcome: tools.Ended | tools.Absent) -> None:
        self._running = None
        if isinstance(outcome, tools.Ended) and outcome.code == 0:
            self._out = faulted_disks(outcome.stdout, Names(self._directory, self._disks), self._disks, self._out)


def faulted_disks(
    text: str, names: Names, disks: Sequence[str], before: frozenset[int] = frozenset()
) -> frozenset[int]:
    """The numbers of the disks that `zpool status -P` says are written no more; `before`: what it said before.

    Spares and cache devices that failed are among them: none of them is in use in the place of another disk.
    """
    number = {disk: at for at, disk in enumerate(disks)}
    found = set()
    for pool in parse_status(text):
        for leaf in pool.leaves():
            at = number.get(names.disk(leaf.path, leaf.guid))
            if at is not None and (leaf.health in OUT if pool.health in WRITING else at in before):
                found.add(at)
    return frozenset(found)
