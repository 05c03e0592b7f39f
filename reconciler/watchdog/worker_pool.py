"""The watchdog's arms, from the watchdog's side: children are asked, never waited for.

Decides when an arm is given up: at its deadline it is killed, and another takes its place, later and later when that
goes on. An arm that does not die (it waits in the kernel for a disk) is left behind and counted; of the exclusive kinds
none follows it before it has ended. Answers of a killed arm are never heard. Does not know what answers mean.

Give `fileno` to a selector; whenever it is readable, and at `next_ms`, call `turn`.
"""

from __future__ import annotations

import os
import select
import selectors
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.core.failover.events import Pools
from reconciler.core.failover.orders import Orders, shelf_digest
from reconciler.core.failover.pending_orders import with_records
from reconciler.watchdog.fork_server_handle import Trunk
from reconciler.watchdog.worker_handle import Condition, Limb
from reconciler.watchdog.worker_protocol import (
    ArmKind,
    Complete,
    Export,
    Failed,
    Import,
    Look,
    LookPools,
    Moved,
    PoolsLooked,
    Reply,
    Request,
    arm_of,
)

#: After the deadline that the arm itself keeps, so long until it is killed: it has to answer, and machines are busy.
GRACE_MS: Final = 250
#: Arms that reach the disks of pending orders, too: one looks at them, the other takes them.
BOTH: Final = frozenset({ArmKind.EYES, ArmKind.HAND})
#: How long `close` waits for killed children to end.
LAST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A request and its reply. `asked_ms`, `answered_ms`: on the watchdog's clock; a look began when it was asked."""

    request: Request
    asked_ms: int
    answered_ms: int
    reply: Reply


class Arms:
    """All of them. `run`: the directory of the locks, which must not outlive a reset (/run)."""

    def __init__(self, url: str, orders: Orders, run: Path, now_ms: int, *, grace_ms: int = GRACE_MS) -> None:
        self._url = url
        #: By digest: the shelf in force, and all disks that are looked at.
        self._shelves = (shelf_digest(orders), shelf_digest(orders))
        self._grace_ms = grace_ms
        self._selector = selectors.EpollSelector()
        self._refused = False
        self._trunk = Trunk(self._selector)
        self._limbs = {kind: Limb(kind, self._trunk, self._selector, run / f"{kind}.lock") for kind in ArmKind}
        self._asked: dict[ArmKind, tuple[Request, int, tuple[int, int]]] = {}
        for limb in self._limbs.values():
            limb.obey(url, orders)
            limb.tend(now_ms)

    def fileno(self) -> int:
        """Readable when there is something for `turn` to do."""
        return self._selector.fileno()

    def obey(self, orders: Orders, pending: Orders | None = None) -> None:
        """Work by these orders from the next request on; what is still answered by other disks' orders has failed."""
        shelf, both = self._shelves
        self._shelves = shelf_digest(orders), shelf_digest(with_records(orders, pending))
        for kind, limb in self._limbs.items():
            if shelf != self._shelves[0] or (kind in BOTH and both != self._shelves[1]):
                limb.obey(self._url, orders, pending if kind in BOTH else None)

    def want(self, kind: ArmKind, now_ms: int, *, wanted: bool) -> None:
        """Whether there should be an arm of this kind; one that is there stays."""
        limb = self._limbs[kind]
        if wanted and not limb.wanted:
            limb.wanted = True
            limb.tend(now_ms)
        limb.wanted = wanted

    def free(self, kind: ArmKind) -> bool:
        """Whether this arm would take a request now."""
        return self._limbs[kind].ready and kind not in self._asked

    def asked(self, kind: ArmKind) -> Request | None:
        """What this arm is doing."""
        return self._asked[kind][0] if kind in self._asked else None

    def ask(self, request: Request, now_ms: int, within_ms: int) -> bool:
        """Begin a request; False when its arm is busy or not there. One `Answered` follows, unless it is abandoned."""
        kind = arm_of(request)
        if not self.free(kind):
            return False
        if isinstance(request, Import | Export):
            self._refused = False
        self._asked[kind] = (request, now_ms, self._shelves)
        self._limbs[kind].ask(request, within_ms, now_ms + within_ms + self._grace_ms)
        return True

    def abandon(self, kind: ArmKind, now_ms: int) -> None:
        """What this arm does is not wanted any more: it is killed, and nothing will be heard of it."""
        if self._asked.pop(kind, None) is not None:
            self._limbs[kind].kill(now_ms, failed=False)

    def turn(self, now_ms: int) -> tuple[Answered, ...]:
        """Hear answers, give up the overdue, start what is missing. Never waits."""
        for key, _ in self._selector.select(0):
            stirred: Limb | Trunk = key.data
            if isinstance(stirred, Limb):
                stirred.stir(key.fd, now_ms)
            else:
                self._adopt(now_ms)
        found = []
        for kind, limb in self._limbs.items():
            reply = limb.tend(now_ms)
            if reply is not None and kind in self._asked:
                found.append(self._answered(kind, reply, now_ms))
        return tuple(found)

    def next_ms(self) -> int | None:
        """The moment at which `turn` must be called though nothing is readable."""
        return min((moment for limb in self._limbs.values() if (moment := limb.next_ms) is not None), default=None)

    def conditions(self) -> tuple[Condition, ...]:
        """How each arm is that there should be."""
        return tuple(limb.condition() for limb in self._limbs.values() if limb.wanted)

    def close(self) -> None:
        """Kill all, and wait for a moment until they have ended: one that waits in the kernel does so later."""
        self._adopt(0)
        ending = {descriptor for limb in self._limbs.values() for descriptor in limb.end()}
        self._trunk.end(0, "")
        end_s = time.monotonic() + LAST_S
        left = set(ending)
        while left and (ended := select.select(left, [], [], max(0.0, end_s - time.monotonic()))[0]):
            left.difference_update(ended)
        for descriptor in ending:
            os.close(descriptor)
        self._trunk.reap(LAST_S)
        self._selector.close()

    def _adopt(self, now_ms: int) -> None:
        for name, process in self._trunk.hear(now_ms):
            limb = next((limb for limb in self._limbs.values() if limb.name == name and limb.started), None)
            if limb is not None:
                limb.adopt(process)
            else:
                # Given up before it was there; it finds its socket closed.
                os.close(process)

    def _answered(self, kind: ArmKind, reply: Reply, now_ms: int) -> Answered:
        request, asked_ms, shelves = self._asked.pop(kind)
        # A claim goes by the shelf in force, whatever else is looked at.
        same = shelves == self._shelves if isinstance(request, Look | Complete) else shelves[0] == self._shelves[0]
        if not same and not isinstance(request, Import | Export):
            reply = Failed("it was asked about the disks of other orders", outdated=True)
        if isinstance(request, Import) and isinstance(reply, Moved) and not reply.ok:
            self._refused = True
        if isinstance(request, LookPools):
            self._refused = self._refused and request.wanted
            if self._refused and isinstance(reply, PoolsLooked) and reply.view.pools is Pools.NONE:
                reply = PoolsLooked(replace(reply.view, pools=Pools.REFUSED))
        return Answered(request, asked_ms, now_ms, reply)
