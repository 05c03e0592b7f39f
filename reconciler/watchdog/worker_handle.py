"""The watchdog's handle on one worker: starts it, sends requests, reads replies, kills it, starts the next one.

Decides when the next process is started. Leaves the choice of requests and the meaning of replies to `worker_pool`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.strict_json import plain
from reconciler.errors import StateError
from reconciler.system.message_stream import Frames, Message, frame
from reconciler.watchdog.fork_server_handle import ForkServerHandle, restart_delay_ms
from reconciler.watchdog.worker_messages import plain_request, read_reply
from reconciler.watchdog.worker_protocol import (
    FailedReply,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
)

CHUNK_BYTES: Final = 1 << 16
#: A worker that is not ready after this time is killed and started again.
START_MS: Final = 30_000
#: At this number of killed processes that do not end, no further worker of the kind is started.
STUCK_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class WorkerCondition:
    """State of a worker, for the status.

    `ready`: it accepts requests. `starts`, `kills`: since the daemon started. `stuck`: killed processes that have not
    ended. `problem`: why the last process failed, or "".
    """

    kind: WorkerKind
    ready: bool
    starts: int
    kills: int
    stuck: int
    problem: str


class WorkerHandle:
    """The present process of one kind of worker, and the next one. `run`: see `WorkerPool`."""

    def __init__(
        self, kind: WorkerKind, fork_server: ForkServerHandle, selector: selectors.EpollSelector, run: Path
    ) -> None:
        self.kind = kind
        self._fork_server = fork_server
        self._selector = selector
        self._has_orders = False
        self._run, self._lock = str(run), str(run / kind.lock_name) if kind.exclusive else ""
        #: Whether a process of this kind should run.
        self.wanted = kind.starts_with_daemon
        self._orders: Message = {}
        self._pidfd: int | None = None
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._unsent = bytearray()
        self._stuck: set[int] = set()
        self._number = 0
        self._limit_ms: int | None = None
        self._start_ms = 0
        self._failures = self._starts = self._kills = 0
        self._reply: WorkerReply | None = None
        self._busy = False
        self._problem = ""

    @property
    def ready(self) -> bool:
        """Whether the process has its orders and its descriptor is known, so that it can be killed."""
        return self._has_orders and self._pidfd is not None

    @property
    def started(self) -> bool:
        """Whether a process was started and not given up."""
        return self._socket is not None

    @property
    def name(self) -> str:
        """The name of the present process."""
        return f"{self.kind}-{self._starts}"

    def set_orders(self, url: str, orders: Orders, pending: Orders | None = None) -> None:
        """Use these orders from the next request on, and also the disks that pending orders add."""
        self._orders = {
            "do": "obey",
            "url": url,
            "run": self._run,
            "lock": self._lock,
            "orders": plain(orders),
        }
        if pending is not None:
            self._orders["pending"] = plain(pending)
        if self._socket is not None:
            self._send(self._orders)

    def request(self, request: WorkerRequest, within_ms: int, limit_ms: int) -> None:
        """Send a request. A worker that has not replied at the moment `limit_ms` is killed."""
        assert self.ready and not self._busy
        self._busy, self._number, self._limit_ms = True, self._number + 1, limit_ms
        self._send({"id": self._number, "within_ms": within_ms, **plain_request(request)})

    @property
    def next_ms(self) -> int | None:
        """The moment of the next deadline or start; None without one."""
        if self._socket is not None:
            return self._limit_ms
        return max(self._start_ms, self._fork_server.start_ms) if self._may_start() else None

    def poll(self, now_ms: int) -> WorkerReply | None:
        """Kill an overdue process, start a missing one. Returns the reply to the request, once."""
        if self._socket is not None and self._limit_ms is not None and now_ms >= self._limit_ms:
            if self._pidfd is None:
                self._fork_server.kill(now_ms, "it starts no workers")
            self.kill(now_ms, why="no answer in time" if self.ready else "not ready in time")
        if self._socket is None and now_ms >= self._start_ms and self._may_start():
            self._start(now_ms)
        reply, self._reply = self._reply, None
        return reply

    def handle_event(self, descriptor: int, now_ms: int) -> None:
        """Handle a descriptor of this worker that the selector reported."""
        if descriptor in self._stuck:
            self._reap(descriptor)
        elif self._socket is not None and descriptor == self._socket.fileno():
            self._flush()
            self._read(now_ms)

    def attach(self, process: int) -> None:
        """Take the descriptor of the present process."""
        self._pidfd = process
        self._clear_limit()

    def kill(self, now_ms: int, *, why: str = "abandoned", failed: bool = True) -> None:
        """Kill the present process and ignore whatever it still sends. The kernel reports later when it has ended."""
        if self._socket is None:
            return
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._kills += 1
        self._detach(now_ms, why, failed=failed)

    def condition(self) -> WorkerCondition:
        """The state of this worker."""
        why = self._problem or ("" if self.started else self._fork_server.problem)
        return WorkerCondition(self.kind, self.ready, self._starts, self._kills, len(self._stuck), why)

    def close(self) -> set[int]:
        """Kill the worker and start no other. Returns descriptors of processes that may not have ended yet.

        The caller closes them.
        """
        self.kill(0, failed=False)
        for descriptor in self._stuck:
            self._selector.unregister(descriptor)
        undead, self._stuck = self._stuck, set()
        return undead

    def _may_start(self) -> bool:
        return self.wanted and len(self._stuck) < (1 if self.kind.exclusive else STUCK_MAX)

    def _start(self, now_ms: int) -> None:
        self._starts += 1
        near = self._fork_server.start(self.name, now_ms)
        if near is None:
            self._starts -= 1
            return
        self._socket, self._frames, self._unsent = near, Frames(), bytearray()
        self._selector.register(near, selectors.EVENT_READ, self)
        self._limit_ms = now_ms + START_MS
        self._send(self._orders)

    def _send(self, message: Message) -> None:
        self._unsent += frame(message)
        self._flush()

    def _flush(self) -> None:
        if self._socket is None or not self._unsent:
            return
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            # The worker has closed its end; reading reports that.
            self._unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._socket, events, self)

    def _read(self, now_ms: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(CHUNK_BYTES)
            for message in self._frames.take(data):
                self._handle_message(message)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        except (OSError, StateError, ValueError, KeyError, TypeError) as error:
            self.kill(now_ms, why=f"it sent a malformed reply: {error}")
            return
        if not data:
            self.kill(now_ms, why="ended by itself")

    def _handle_message(self, message: Message) -> None:
        if "ready" in message:
            self._has_orders = True
            self._clear_limit()
        elif self._busy and message["id"] == self._number:
            self._reply = read_reply(message)
            self._busy, self._limit_ms, self._failures, self._problem = False, None, 0, ""

    def _clear_limit(self) -> None:
        if self.ready and not self._busy:
            self._limit_ms = None

    def _detach(self, now_ms: int, why: str, *, failed: bool) -> None:
        assert self._socket is not None
        self._selector.unregister(self._socket)
        self._socket.close()
        if self._pidfd is not None:
            self._stuck.add(self._pidfd)
            self._selector.register(self._pidfd, selectors.EVENT_READ, self)
        # A process without a descriptor has received no request yet. It ends when it finds its socket closed.
        if self._busy and failed:
            self._reply = FailedReply(why)
        self._socket = self._pidfd = self._limit_ms = None
        self._has_orders = self._busy = False
        self._failures = self._failures + 1 if failed else 0
        self._start_ms, self._problem = now_ms + restart_delay_ms(self._failures), why if failed else ""

    def _reap(self, descriptor: int) -> None:
        """Forget a killed process that has ended: then its descriptor is readable (pidfd_open(2))."""
        self._stuck.discard(descriptor)
        self._selector.unregister(descriptor)
        os.close(descriptor)
