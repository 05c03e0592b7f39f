"""Which pool stands behind a name on this kernel: its GUID, by `zpool get` in a child that is not waited for.

A transaction group means nothing without the GUID of its pool (`core/failover/reservations/transaction_groups`), and a
name may pass to another pool. The kernel numbers each import and each creation of a pool anew (`kstat.pool_instance`),
so a GUID counts only for the instance that it was asked for. It is asked when an instance has been here for a moment,
which leaves a takeover alone, and again every minute: `zpool reguid` changes it while the pool stays. Decides nothing.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping
from typing import Final

from reconciler.system.zfs import arguments, tools
from reconciler.system.zfs.kstat import number
from reconciler.system.zfs.tables import rows

#: A new instance is asked for after this.
SETTLE_S: Final = 2.0
AGAIN_S: Final = 60.0
#: A child that has not ended by then is left behind.
PATIENCE_S: Final = 10.0
#: Children that wait in the kernel for a pool at most: a further one would wait, too.
STUCK_MAX: Final = 3


class Guids:
    """The GUIDs of pools that are here, and the child that asks for them."""

    def __init__(
        self,
        asking: Callable[..., arguments.Argv] = arguments.pool_guids,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`asking`: the program that tells name and GUID of the pools it is given."""
        self._asking, self._clock = asking, clock
        self._known: dict[str, tuple[str, int]] = {}
        self._running: tools.Running | None = None
        #: What the child, or the next one, is asked about, and when it begins or began.
        self._asked: dict[str, str] = {}
        self._at_s = 0.0

    def look(self, instances: Mapping[str, str]) -> dict[str, int]:
        """The GUIDs that are known of these pools, by their instances; waits for nothing."""
        now_s = self._clock()
        here = {pool: instance for pool, instance in instances.items() if instance}
        if self._running is not None:
            self._hear(self._running, now_s)
        elif here != self._asked:
            self._asked, self._at_s = here, now_s + SETTLE_S
        elif here and now_s >= self._at_s and tools.abandoned() < STUCK_MAX:
            self._begin(now_s)
        self._known = {pool: known for pool, known in self._known.items() if here.get(pool) == known[0]}
        return {pool: guid for pool, (_, guid) in self._known.items()}

    @property
    def asking(self) -> bool:
        """Whether a child is being waited for."""
        return self._running is not None

    def close(self) -> None:
        """Leave the child behind."""
        if self._running is not None:
            self._running.abandon()
            self._running = None

    def _begin(self, now_s: float) -> None:
        self._at_s = now_s
        try:
            self._running = tools.Running(self._asking(*sorted(self._asked)))
        except OSError:
            self._at_s = now_s + SETTLE_S

    def _hear(self, running: tools.Running, now_s: float) -> None:
        if not select.select([running], [], [], 0)[0]:
            if now_s - self._at_s > PATIENCE_S:
                self.close()
                self._at_s = now_s + SETTLE_S
            return
        self._running = None
        outcome = running.outcome()
        good = isinstance(outcome, tools.Ended) and outcome.code == 0
        self._at_s = now_s + (AGAIN_S if good else SETTLE_S)
        for pool, text in rows(outcome.stdout, 2) if isinstance(outcome, tools.Ended) and good else ():
            if pool in self._asked and number(text):
                self._known[pool] = (self._asked[pool], number(text))
