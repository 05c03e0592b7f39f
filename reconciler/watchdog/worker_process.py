"""A worker of the watchdog: reads requests from its socket, performs one after another, answers each. It may block.

The fork server starts it. It ends when the watchdog closes the other end of the socket, also between two commands of a
claim. It decides nothing: a claim is a program of the core.

A command that a disk or the kernel has accepted can outlive the worker: the kernel does not end a process that waits
for such a command. So an exclusive worker holds a lock (flock(2)), which the kernel releases only when the process has
ended. The next exclusive worker, of whichever daemon, starts when it has the lock. After that, no command of the
earlier worker can be executed any more.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn

from reconciler.core.failover.machine.pending_orders import joined, with_records
from reconciler.core.failover.orders.orders import Orders
from reconciler.core.failover.ports import SharedPools, Shelf
from reconciler.core.failover.reservations.claim import Answer, advance, begin, commands
from reconciler.core.failover.reservations.fence_completion import patience_ms
from reconciler.core.failover.strict_json import build
from reconciler.system.message_stream import Frames, Message, frame
from reconciler.system.power.fence_agent import FenceAgent, perform
from reconciler.system.process_protection import protect_worker
from reconciler.system.shelf import open_audit, open_disks, open_pools
from reconciler.system.shelf.audit import ShelfAudit
from reconciler.system.shelf.claim_completion import complete_each
from reconciler.system.shelf.disks import DiskShelf
from reconciler.watchdog.share_worker import ShareWorker
from reconciler.watchdog.worker_messages import plain_reply, read_request
from reconciler.watchdog.worker_protocol import (
    AuditReply,
    ClaimReply,
    CompleteClaim,
    CompletionReply,
    DisksReply,
    ExportPools,
    GuardClients,
    ImportPools,
    LookAtDisks,
    LookAtPools,
    LookAtShares,
    MoveReply,
    PoolsReply,
    PowerReply,
    RecordReply,
    RunAudit,
    RunClaim,
    ServeShares,
    StopShares,
    SwitchPower,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    WriteRecord,
)

CHUNK_BYTES: Final = 1 << 16
#: Interval of the tries to take a lock that another process holds.
LOCK_RETRY_S: Final = 0.02
#: At most this many lines of an import or export, and this many characters of them, explain why it failed.
OUTPUT_LINES_MAX: Final = 20
WHY_CHARS_MAX: Final = 1_000
#: Time reserved for the reply after the last fence agent has been given up.
REPLY_S: Final = 0.5


class RecordReader:
    """Reads records while the disks are being looked at.

    Uses one thread for all reads: a new thread would start with normal priority, behind all other programs.
    """

    def __init__(self) -> None:
        self._requests: SimpleQueue[tuple[Shelf, float]] = SimpleQueue()
        self._results: SimpleQueue[tuple[bytes | None, ...] | BaseException] = SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def start(self, shelf: Shelf, within_s: float) -> None:
        """Start reading."""
        self._requests.put((shelf, within_s))

    def result(self) -> tuple[bytes | None, ...]:
        """Wait for the records: one for each arbitration disk, None where it is unreadable.

        Raises what reading raised.
        """
        found = self._results.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _serve(self) -> NoReturn:
        # A priority belongs to one thread and is not inherited (sched(7), SCHED_RESET_ON_FORK).
        protect_worker()
        while True:
            shelf, within_s = self._requests.get()
            try:
                self._results.put(shelf.read_records(within_s))
            except BaseException as error:
                self._results.put(error)


class WorkerProcess:
    """One worker: its end of the socket, and the adapters that it uses."""

    def __init__(self, connection: socket.socket, kind: WorkerKind) -> None:
        self._socket = connection
        self._kind = kind
        self._frames = Frames()
        self._orders: Orders | None = None
        self._shelf: Shelf | None = None
        self._pools: SharedPools | None = None
        self._auditor: ShelfAudit | None = None
        self._share_worker: ShareWorker | None = None
        #: A second connection to the disks, through which the disk monitor reads records, and the thread that reads.
        self._record_shelf: Shelf | None = None
        self._record_reader: RecordReader | None = None
        self._lock: int | None = None
        #: The last output of the import or export in progress.
        self._output: deque[str] = deque(maxlen=OUTPUT_LINES_MAX)

    def serve(self) -> NoReturn:
        """Perform requests until the watchdog closes its end of the socket."""
        while True:
            try:
                data = self._socket.recv(CHUNK_BYTES)
            except ConnectionResetError:
                # The watchdog ended before it had read the last reply.
                data = b""
            if not data:
                sys.exit(0)
            for message in self._frames.take(data):
                self._handle(message)

    def _handle(self, message: Message) -> None:
        if message["do"] == "obey":
            self._set_orders(message)
            self._send({"ready": True})
            return
        reply = self._perform(read_request(message), int(message["within_ms"]) / 1000)
        self._send({"id": message["id"], **plain_reply(reply)})

    def _send(self, message: Message) -> None:
        try:
            self._socket.sendall(frame(message))
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(0)

    def _set_orders(self, message: Message) -> None:
        """Open the disks and pools of new orders."""
        if message["lock"] and self._lock is None:
            self._lock = self._take_lock(Path(message["lock"]))
        orders, url = build(Orders, message["orders"], "orders", []), message["url"]
        pending = build(Orders, message["pending"], "pending", []) if "pending" in message else None
        # Claims follow the orders in force. An index of one of their disks means the same disk in the joined orders.
        self._orders, both = orders, joined(orders, pending)
        if not self._kind.opens_disks:
            if self._kind is not WorkerKind.POWER and self._share_worker is None:
                self._share_worker = ShareWorker(url, Path(message["run"]), urgent=self._kind.urgent)
            return
        if self._auditor is not None:
            self._auditor.close()
        if self._kind is WorkerKind.AUDITOR:
            self._auditor = open_audit(url, orders.side, orders)
            return
        if self._pools is not None:
            self._pools.close()
        self._pools = open_pools(url, orders.side, orders, self._output.append)
        if self._shelf is None or self._record_shelf is None:
            self._shelf = open_disks(url, orders.side, both)
            self._record_shelf = open_disks(url, orders.side, with_records(orders, pending))
        else:
            # Opening a disk takes longer than asking an open one, and a disk without an answer in time counts as lost.
            self._shelf.obey(both)
            self._record_shelf.obey(with_records(orders, pending))
        if self._kind is WorkerKind.DISK_HEARTBEAT and isinstance(self._shelf, DiskShelf):
            # Find the place of the records now: during a takeover this would take time.
            self._shelf.prepare()

    def _take_lock(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                self._exit_if_abandoned()
                time.sleep(LOCK_RETRY_S)

    def _exit_if_abandoned(self) -> None:
        """End this process if the watchdog has closed its end of the socket."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        if poll.poll(0):
            sys.exit(0)

    def _perform(self, request: WorkerRequest, within_s: float) -> WorkerReply:
        if isinstance(request, SwitchPower):
            return _switch_power(request, within_s)
        if isinstance(request, RunAudit):
            assert self._auditor is not None
            return AuditReply(self._auditor.look(within_s, theirs=request.theirs))
        if isinstance(request, ServeShares | StopShares | LookAtShares | GuardClients):
            assert self._share_worker is not None
            return self._share_worker.perform(request, within_s)
        shelf, pools = self._shelf, self._pools
        assert shelf is not None and pools is not None
        match request:
            case LookAtDisks():
                return self._look_at_disks(shelf, within_s)
            case WriteRecord(sectors):
                return RecordReply(shelf.write_record(sectors, within_s))
            case RunClaim():
                return self._run_claim(shelf, request)
            case CompleteClaim():
                return self._complete_claim(shelf, request, within_s)
            case LookAtPools():
                return PoolsReply(pools.look(within_s))
            case ImportPools(excused, txgs):
                return self._move_pools(lambda: pools.import_(within_s, excused, txgs))
            case ExportPools():
                return self._move_pools(lambda: pools.export(within_s))

    def _move_pools(self, move: Callable[[], bool]) -> MoveReply:
        self._output.clear()
        ok = move()
        return MoveReply(ok, "" if ok else "; ".join(dict.fromkeys(self._output))[:WHY_CHARS_MAX])

    def _look_at_disks(self, shelf: Shelf, within_s: float) -> DisksReply:
        """Look at the disks and read the records at once: a hanging disk must not use up the time of both."""
        assert self._record_shelf is not None
        if self._record_reader is None:
            self._record_reader = RecordReader()
        self._record_reader.start(self._record_shelf, within_s)
        watched = shelf.watch(within_s)
        # Rounded up: a proof must never look younger than it is.
        return DisksReply(watched.views, self._record_reader.result(), math.ceil(watched.age_s * 1_000))

    def _run_claim(self, shelf: Shelf, request: RunClaim) -> ClaimReply:
        assert self._orders is not None
        running = begin(self._orders, request.key)
        sent = silent = 0
        while batch := commands(running):
            self._exit_if_abandoned()
            replies = shelf.perform(batch, request.command_ms / 1000)
            for command, reply in zip(batch, replies, strict=True):
                sent += 1
                silent += reply.answer is Answer.SILENT
                running = advance(running, command.disk, reply)
        return ClaimReply(request.key.epoch, running.result, sent, silent)

    def _complete_claim(self, shelf: Shelf, request: CompleteClaim, within_s: float) -> CompletionReply:
        if not isinstance(shelf, DiskShelf):
            # A simulated controller has no kernel that knows which disks its pools write to.
            return CompletionReply(())
        assert self._orders is not None
        done: list[int] = []
        patience_s, command_s = patience_ms(self._orders.timers, request.command_ms) / 1000, request.command_ms / 1000
        # The watchdog asks again for the disks that remain.
        for disk, ours in complete_each(shelf, request.disks, request.key, command_s, patience_s, within_s):
            if ours:
                done.append(disk)
            self._exit_if_abandoned()
        return CompletionReply(tuple(done))


def _switch_power(request: SwitchPower, within_s: float) -> PowerReply:
    """Run a fence agent. The files with secrets are read in this process, never in the watchdog's memory."""
    secrets = tuple((name, Path(path)) for name, path in request.secrets)
    program = Path(request.program) if request.program else None
    agent = FenceAgent(request.agent, request.options, secrets, program, request.bound)
    result = perform(agent, request.deed, max(0.0, within_s - REPLY_S))
    return PowerReply(result.ok, result.power, result.why)
