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
from reconciler.watchdog.fork_server_handle import ForkServerHandle
from reconciler.watchdog.worker_handle import WorkerCondition, WorkerHandle
from reconciler.watchdog.worker_protocol import (
    CompleteClaim,
    ExportPools,
    FailedReply,
    ImportPools,
    LookAtDisks,
    LookAtPools,
    MoveReply,
    PoolsReply,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    worker_for,
)

#: After the deadline that the arm itself keeps, so long until it is killed: it has to answer, and machines are busy.
GRACE_MS: Final = 250
#: Arms that reach the disks of pending orders, too: one looks at them, the other takes them.
BOTH: Final = frozenset({WorkerKind.DISK_MONITOR, WorkerKind.CLAIM_RUNNER})
#: How long `close` waits for killed children to end.
LAST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """A request and its reply. `asked_ms`, `answered_ms`: on the watchdog's clock; a look began when it was asked."""

    request: WorkerRequest
    asked_ms: int
    answered_ms: int
    reply: WorkerReply


class WorkerPool:
    """All of them. `run`: the directory of the locks, which must not outlive a reset (/run)."""

    def __init__(self, url: str, orders: Orders, run: Path, now_ms: int, *, grace_ms: int = GRACE_MS) -> None:
        self._url = url
        #: By digest: the shelf in force, and all disks that are looked at.
        self._shelves = (shelf_digest(orders), shelf_digest(orders))
        self._grace_ms = grace_ms
        self._selector = selectors.EpollSelector()
        self._refused = False
        self._fork_server = ForkServerHandle(self._selector)
        self._handles = {kind: WorkerHandle(kind, self._fork_server, self._selector, run) for kind in WorkerKind}
        self._requests: dict[WorkerKind, tuple[WorkerRequest, int, tuple[int, int]]] = {}
        for handle in self._handles.values():
            handle.set_orders(url, orders)
            handle.poll(now_ms)

    def fileno(self) -> int:
        """Readable when there is something for `poll` to do."""
        return self._selector.fileno()

    def set_orders(self, orders: Orders, pending: Orders | None = None) -> None:
        """Work by these orders from the next request on; what is still answered by other disks' orders has failed."""
        shelf, both = self._shelves
        self._shelves = shelf_digest(orders), shelf_digest(with_records(orders, pending))
        for kind, handle in self._handles.items():
            if shelf != self._shelves[0] or (kind in BOTH and both != self._shelves[1]):
                handle.set_orders(self._url, orders, pending if kind in BOTH else None)

    def set_wanted(self, kind: WorkerKind, now_ms: int, *, wanted: bool) -> None:
        """Whether there should be an arm of this kind; one that is there stays."""
        handle = self._handles[kind]
        if wanted and not handle.wanted:
            handle.wanted = True
            handle.poll(now_ms)
        handle.wanted = wanted

    def is_free(self, kind: WorkerKind) -> bool:
        """Whether this arm would take a request now."""
        return self._handles[kind].ready and kind not in self._requests

    def current_request(self, kind: WorkerKind) -> WorkerRequest | None:
        """What this arm is doing."""
        return self._requests[kind][0] if kind in self._requests else None

    def request(self, request: WorkerRequest, now_ms: int, within_ms: int) -> bool:
        """Start a request. False if its worker is busy or missing.

        One `WorkerAnswer` follows, unless the request is abandoned.
        """
        kind = worker_for(request)
        if not self.is_free(kind):
            return False
        if isinstance(request, ImportPools | ExportPools):
            self._refused = False
        self._requests[kind] = (request, now_ms, self._shelves)
        self._handles[kind].request(request, within_ms, now_ms + within_ms + self._grace_ms)
        return True

    def abandon(self, kind: WorkerKind, now_ms: int) -> None:
        """What this arm does is not wanted any more: it is killed, and nothing will be heard of it."""
        if self._requests.pop(kind, None) is not None:
            self._handles[kind].kill(now_ms, failed=False)

    def poll(self, now_ms: int) -> tuple[WorkerAnswer, ...]:
        """Hear answers, give up the overdue, start what is missing. Never waits."""
        for key, _ in self._selector.select(0):
            stirred: WorkerHandle | ForkServerHandle = key.data
            if isinstance(stirred, WorkerHandle):
                stirred.handle_event(key.fd, now_ms)
            else:
                self._attach_processes(now_ms)
        found = []
        for kind, handle in self._handles.items():
            reply = handle.poll(now_ms)
            if reply is not None and kind in self._requests:
                found.append(self._answered(kind, reply, now_ms))
        return tuple(found)

    def next_ms(self) -> int | None:
        """The moment at which `poll` must be called though nothing is readable."""
        return min(
            (moment for handle in self._handles.values() if (moment := handle.next_ms) is not None), default=None
        )

    def conditions(self) -> tuple[WorkerCondition, ...]:
        """How each arm is that there should be."""
        return tuple(handle.condition() for handle in self._handles.values() if handle.wanted)

    def close(self) -> None:
        """Kill all, and wait for a moment until they have ended: one that waits in the kernel does so later."""
        self._attach_processes(0)
        ending = {descriptor for handle in self._handles.values() for descriptor in handle.close()}
        self._fork_server.kill(0, "")
        end_s = time.monotonic() + LAST_S
        left = set(ending)
        while left and (ended := select.select(left, [], [], max(0.0, end_s - time.monotonic()))[0]):
            left.difference_update(ended)
        for descriptor in ending:
            os.close(descriptor)
        self._fork_server.reap(LAST_S)
        self._selector.close()

    def _attach_processes(self, now_ms: int) -> None:
        for name, process in self._fork_server.take_started(now_ms):
            handle = next((handle for handle in self._handles.values() if handle.name == name and handle.started), None)
            if handle is not None:
                handle.attach(process)
            else:
                # Given up before it was there; it finds its socket closed.
                os.close(process)

    def _answered(self, kind: WorkerKind, reply: WorkerReply, now_ms: int) -> WorkerAnswer:
        request, asked_ms, shelves = self._requests.pop(kind)
        # A claim goes by the shelf in force, whatever else is looked at.
        same = (
            shelves == self._shelves
            if isinstance(request, LookAtDisks | CompleteClaim)
            else shelves[0] == self._shelves[0]
        )
        if not same and not isinstance(request, ImportPools | ExportPools):
            reply = FailedReply("it was asked about the disks of other orders", outdated=True)
        if isinstance(request, ImportPools) and isinstance(reply, MoveReply) and not reply.ok:
            self._refused = True
        if isinstance(request, LookAtPools):
            self._refused = self._refused and request.wanted
            if self._refused and isinstance(reply, PoolsReply) and reply.view.pools is Pools.NONE:
                reply = PoolsReply(replace(reply.view, pools=Pools.REFUSED))
        return WorkerAnswer(request, asked_ms, now_ms, reply)
