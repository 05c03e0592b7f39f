"""The pool of worker processes, as the watchdog sees it: it sends requests to workers and never waits for one.

Decides when a worker is given up: at its deadline it is killed and replaced, after growing delays if it fails again and
again. A killed worker that does not end, because it waits in the kernel for a disk, is counted as stuck. An exclusive
worker is replaced only when it has ended. Replies of a killed worker are dropped. Leaves their meaning to `dispatcher`.

Give `fileno` to a selector. Call `poll` when it is readable, and at `next_ms`.
"""

from __future__ import annotations

import os
import select
import selectors
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.machine.pending_orders import with_records
from reconciler.core.failover.orders.orders import Orders, shelf_digest
from reconciler.watchdog.fork_server_handle import ForkServerHandle
from reconciler.watchdog.worker_handle import WorkerCondition, WorkerHandle
from reconciler.watchdog.worker_protocol import (
    CompleteClaim,
    ExportPools,
    FailedReply,
    ImportPools,
    LookAtDisks,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    worker_for,
)

#: A worker limits its own work to the deadline. It is killed this long after it, because a busy machine delays replies.
GRACE_MS: Final = 250
#: Workers that also use the disks of pending orders: one looks at them, the other claims them.
USE_PENDING: Final = frozenset({WorkerKind.DISK_MONITOR, WorkerKind.CLAIM_RUNNER})
#: `close` waits this long for killed workers to end.
CLOSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """A request and its reply. `asked_ms`, `answered_ms`: monotonic clock. A look began at `asked_ms`, not before."""

    request: WorkerRequest
    asked_ms: int
    answered_ms: int
    reply: WorkerReply


class WorkerPool:
    """All workers of one daemon. `run`: the directory of the lock files, which must not survive a reset (/run)."""

    def __init__(self, url: str, orders: Orders, run: Path, now_ms: int, *, grace_ms: int = GRACE_MS) -> None:
        self._url = url
        #: Digests of the disks in force, and of these with the disks of pending orders.
        self._shelves = (shelf_digest(orders), shelf_digest(orders))
        self._grace_ms = grace_ms
        self._selector = selectors.EpollSelector()
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
        """Use these orders from the next request on. A reply that is about other disks becomes a failure."""
        shelf, both = self._shelves
        self._shelves = shelf_digest(orders), shelf_digest(with_records(orders, pending))
        for kind, handle in self._handles.items():
            if shelf != self._shelves[0] or (kind in USE_PENDING and both != self._shelves[1]):
                handle.set_orders(self._url, orders, pending if kind in USE_PENDING else None)

    def set_wanted(self, kind: WorkerKind, now_ms: int, *, wanted: bool) -> None:
        """Whether to start a worker of this kind when it is missing. A running one stays."""
        handle = self._handles[kind]
        if wanted and not handle.wanted:
            handle.wanted = True
            handle.poll(now_ms)
        handle.wanted = wanted

    def is_free(self, kind: WorkerKind) -> bool:
        """Whether this worker accepts a request now."""
        return self._handles[kind].ready and kind not in self._requests

    def current_request(self, kind: WorkerKind) -> WorkerRequest | None:
        """The request in progress, None without one."""
        return self._requests[kind][0] if kind in self._requests else None

    def request(self, request: WorkerRequest, now_ms: int, within_ms: int) -> bool:
        """Start a request. False if its worker is busy or missing.

        One `WorkerAnswer` follows, unless the request is abandoned.
        """
        kind = worker_for(request)
        if not self.is_free(kind):
            return False
        self._requests[kind] = (request, now_ms, self._shelves)
        self._handles[kind].request(request, within_ms, now_ms + within_ms + self._grace_ms)
        return True

    def abandon(self, kind: WorkerKind, now_ms: int) -> None:
        """Kill the worker, if it has a request, and drop the reply."""
        if self._requests.pop(kind, None) is not None:
            self._handles[kind].kill(now_ms, failed=False)

    def poll(self, now_ms: int) -> tuple[WorkerAnswer, ...]:
        """Read replies, kill overdue workers, start missing ones. Never waits."""
        for key, _ in self._selector.select(0):
            owner: WorkerHandle | ForkServerHandle = key.data
            if isinstance(owner, WorkerHandle):
                owner.handle_event(key.fd, now_ms)
            else:
                self._attach_processes(now_ms)
        found = []
        for kind, handle in self._handles.items():
            reply = handle.poll(now_ms)
            if reply is not None and kind in self._requests:
                found.append(self._answered(kind, reply, now_ms))
        return tuple(found)

    def next_ms(self) -> int | None:
        """The moment of the next call of `poll` even if nothing is readable; None without one."""
        return min(
            (moment for handle in self._handles.values() if (moment := handle.next_ms) is not None), default=None
        )

    def conditions(self) -> tuple[WorkerCondition, ...]:
        """The state of each wanted worker."""
        return tuple(handle.condition() for handle in self._handles.values() if handle.wanted)

    def close(self) -> None:
        """Kill all workers and wait briefly for their end. One that waits in the kernel ends later."""
        self._attach_processes(0)
        ending = {descriptor for handle in self._handles.values() for descriptor in handle.close()}
        self._fork_server.kill(0, "")
        end_s = time.monotonic() + CLOSE_S
        left = set(ending)
        while left and (ended := select.select(left, [], [], max(0.0, end_s - time.monotonic()))[0]):
            left.difference_update(ended)
        for descriptor in ending:
            os.close(descriptor)
        self._fork_server.reap(CLOSE_S)
        self._selector.close()

    def _attach_processes(self, now_ms: int) -> None:
        for name, process in self._fork_server.take_started(now_ms):
            handle = next((handle for handle in self._handles.values() if handle.name == name and handle.started), None)
            if handle is not None:
                handle.attach(process)
            else:
                # The worker was given up before its descriptor arrived. It finds its socket closed.
                os.close(process)

    def _answered(self, kind: WorkerKind, reply: WorkerReply, now_ms: int) -> WorkerAnswer:
        request, asked_ms, shelves = self._requests.pop(kind)
        # A claim uses the disks in force, whichever disks pending orders add.
        uses_pending = isinstance(request, LookAtDisks | CompleteClaim)
        same = shelves == self._shelves if uses_pending else shelves[0] == self._shelves[0]
        if not same and not isinstance(request, ImportPools | ExportPools):
            reply = FailedReply("it was asked about the disks of other orders", outdated=True)
        return WorkerAnswer(request, asked_ms, now_ms, reply)
