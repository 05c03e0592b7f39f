"""`python -m reconciler.watchdog.worker_process FD`: the trunk, which forks the arms of the watchdog; and an arm.

The trunk is sent the name and the socket of each arm to be started, and answers with a descriptor of its process. An
arm reads requests from its socket, does one after the other through the adapters and answers each; it may block. All
end with the watchdog: the kernel kills the trunk when its parent dies (prctl(2), PR_SET_PDEATHSIG) and the arms when
the trunk does, and a socket without anybody at the other end stops an arm between two commands of a claim. Decides
nothing; a claim is the core's program.

What may outlive it: a command that a disk or the kernel has taken and not answered. A process that waits for one in the
kernel cannot be killed before it is answered or aborted. So an exclusive arm holds a lock (flock(2)) that the kernel
lets go only when the process has ended; its successor, of whichever watchdog, begins when it has the lock. By then
nothing that the earlier one asked for can be done any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import math
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn

from reconciler.core.failover.adapters import PoolHouse, Shelf
from reconciler.core.failover.claim import Answer, advance, begin, commands
from reconciler.core.failover.completion import patience_ms
from reconciler.core.failover.document import build
from reconciler.core.failover.orders import Orders
from reconciler.core.failover.pending_orders import joined, with_records
from reconciler.errors import StateError
from reconciler.system.message_stream import Frames, Message, frame
from reconciler.system.power.fence_agent import FenceAgent, perform
from reconciler.system.shelf import open_audit, open_disks, open_pools
from reconciler.system.shelf.audit import ShelfAudit as Auditor
from reconciler.system.shelf.claim_completion import complete_each
from reconciler.system.shelf.disks import DiskShelf
from reconciler.system.streams import install
from reconciler.watchdog.worker_protocol import (
    AuditReply,
    ClaimReply,
    CompleteClaim,
    CompletionReply,
    DisksReply,
    ExportPools,
    ImportPools,
    LookAtDisks,
    LookAtPools,
    MoveReply,
    PoolsReply,
    PowerReply,
    RecordReply,
    RunAudit,
    RunClaim,
    SwitchPower,
    WorkerKind,
    WorkerReply,
    WorkerRequest,
    WriteRecord,
    plain_reply,
    read_request,
)

CHUNK_BYTES: Final = 1 << 16
#: How often a lock that another process holds is tried again.
AGAIN_S: Final = 0.02
PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
COMM_BYTES_MAX: Final = 15
#: What is told of a move that did not come to its end.
SAID_MAX: Final = 20
WHY_CHARS_MAX: Final = 1_000
#: What an answer needs to be there in time after the last agent was given up.
LAST_WORDS_S: Final = 0.5
#: sys/mman.h, mlockall(2).
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
PRIORITY: Final = 40
TEXT_BYTES_MAX: Final = 64


class RecordReader:
    """Reads records beside the looks, in a thread that stays: a new one would begin behind all other programs."""

    def __init__(self) -> None:
        self._requests: SimpleQueue[tuple[Shelf, float]] = SimpleQueue()
        self._results: SimpleQueue[tuple[bytes | None, ...] | BaseException] = SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def start(self, shelf: Shelf, within_s: float) -> None:
        """Begin to read."""
        self._requests.put((shelf, within_s))

    def result(self) -> tuple[bytes | None, ...]:
        """What was read; raises what reading raised."""
        found = self._results.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _serve(self) -> NoReturn:
        # Priority is a thread's own, and not passed on (sched(7), SCHED_RESET_ON_FORK).
        hurry()
        while True:
            shelf, within_s = self._requests.get()
            try:
                self._results.put(shelf.read_records(within_s))
            except BaseException as error:
                self._results.put(error)


class WorkerProcess:
    """The end of the socket that is here, and the adapters."""

    def __init__(self, connection: socket.socket, kind: WorkerKind) -> None:
        self._socket = connection
        self._kind = kind
        self._frames = Frames()
        self._orders: Orders | None = None
        self._shelf: Shelf | None = None
        self._pools: PoolHouse | None = None
        self._auditor: Auditor | None = None
        #: A second connection to the disks, for the eyes, and who reads there.
        self._record_shelf: Shelf | None = None
        self._record_reader: RecordReader | None = None
        self._lock: int | None = None
        #: What the move that goes on, or the last one, has said.
        self._output: deque[str] = deque(maxlen=SAID_MAX)

    def serve(self) -> NoReturn:
        """Until the watchdog is gone."""
        while True:
            try:
                data = self._socket.recv(CHUNK_BYTES)
            except ConnectionResetError:
                # Killed before it read our last answer.
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
        """New orders: other disks, perhaps."""
        if message["lock"] and self._lock is None:
            self._lock = self._take_lock(Path(message["lock"]))
        orders, url = build(Orders, message["orders"], "orders", []), message["url"]
        pending = build(Orders, message["pending"], "pending", []) if "pending" in message else None
        # Claims are run by the orders in force, and indices of their disks mean the same disks of both.
        self._orders, both = orders, joined(orders, pending)
        if not url:
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
            # To open a disk takes longer than to ask one that is open, and who is not answered in time has lost it.
            self._shelf.obey(both)
            self._record_shelf.obey(with_records(orders, pending))
        if self._kind is WorkerKind.DISK_HEARTBEAT and isinstance(self._shelf, DiskShelf):
            # A takeover has better use for the time.
            self._shelf.prepare()

    def _take_lock(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                self._exit_if_abandoned()
                time.sleep(AGAIN_S)

    def _exit_if_abandoned(self) -> None:
        """Ends this process when nobody is at the other end of the socket any more."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        if poll.poll(0):
            sys.exit(0)

    def _perform(self, request: WorkerRequest, within_s: float) -> WorkerReply:
        if isinstance(request, SwitchPower):
            return _switch(request, within_s)
        if isinstance(request, RunAudit):
            assert self._auditor is not None
            return AuditReply(self._auditor.look(within_s, theirs=request.theirs))
        shelf, house = self._shelf, self._pools
        assert shelf is not None and house is not None
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
                return PoolsReply(house.look(within_s))
            case ImportPools(excused, txgs):
                return self._move_pools(lambda: house.import_(within_s, excused, txgs))
            case ExportPools():
                return self._move_pools(lambda: house.export(within_s))

    def _move_pools(self, move: Callable[[], bool]) -> MoveReply:
        self._output.clear()
        ok = move()
        return MoveReply(ok, "" if ok else "; ".join(dict.fromkeys(self._output))[:WHY_CHARS_MAX])

    def _look_at_disks(self, shelf: Shelf, within_s: float) -> DisksReply:
        """Both at once: a disk that hangs uses up the time of its question, and must not take that of the other."""
        assert self._record_shelf is not None
        if self._record_reader is None:
            self._record_reader = RecordReader()
        self._record_reader.start(self._record_shelf, within_s)
        watched = shelf.watch(within_s)
        # Rounded up: a proof is never younger than it is said to be.
        return DisksReply(watched.views, self._record_reader.result(), math.ceil(watched.age_s * 1_000))

    def _run_claim(self, shelf: Shelf, request: RunClaim) -> ClaimReply:
        assert self._orders is not None
        running = begin(self._orders, request.key)
        asked = silent = 0
        while orders := commands(running):
            self._exit_if_abandoned()
            replies = shelf.perform(orders, request.command_ms / 1000)
            for order, reply in zip(orders, replies, strict=True):
                asked += 1
                silent += reply.answer is Answer.SILENT
                running = advance(running, order.disk, reply)
        return ClaimReply(request.key.epoch, running.result, asked, silent)

    def _complete_claim(self, shelf: Shelf, request: CompleteClaim, within_s: float) -> CompletionReply:
        if not isinstance(shelf, DiskShelf):
            # A simulated controller has no kernel that could say what its pools write to.
            return CompletionReply(())
        assert self._orders is not None
        done: list[int] = []
        patience_s, command_s = patience_ms(self._orders.timers, request.command_ms) / 1000, request.command_ms / 1000
        # What is left is asked for again.
        for disk, ours in complete_each(shelf, request.disks, request.key, command_s, patience_s, within_s):
            if ours:
                done.append(disk)
            self._exit_if_abandoned()
        return CompletionReply(tuple(done))


def _switch(request: SwitchPower, within_s: float) -> PowerReply:
    """Files are read here and not in the watchdog: nothing secret is ever in its memory."""
    secrets = tuple((name, Path(path)) for name, path in request.secrets)
    program = Path(request.program) if request.program else None
    agent = FenceAgent(request.agent, request.options, secrets, program, request.bound)
    told = perform(agent, request.deed, max(0.0, within_s - LAST_WORDS_S))
    return PowerReply(told.ok, told.power, told.why)


def die_with_the_parent(name: str) -> None:
    """Be killed when the thread that started this process ends, and be called `name` in lists of processes (prctl(2)).

    Raises StateError when that cannot be.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, name.encode()[:COMM_BYTES_MAX], 0, 0, 0)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise StateError(f"prctl: {os.strerror(ctypes.get_errno())}")


def hurry() -> None:
    """Before others, and never swapped out, where that is allowed: a proof waits for an arm, and so do clients.

    Below the watchdog, which is to notice when this goes wrong.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    # Locked when touched: to lock at once would copy what is shared with the trunk.
    ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)


def linger() -> None:
    """Among all other programs: not before them, as the trunk is."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def grow(control: socket.socket) -> NoReturn:
    """The trunk: fork an arm for each message, until the watchdog is gone."""
    fork_server = os.getpid()
    with contextlib.suppress(OSError):
        # Whoever replaces an arm must not wait for a processor either, nor its child until it says so itself.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    gc.collect()
    # What is there now is shared with every arm, as long as nobody writes to it.
    gc.freeze()
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(control, TEXT_BYTES_MAX, 1)
        except ConnectionResetError:
            text, descriptors = b"", []
        if not text:
            sys.exit(0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        (descriptor,) = descriptors
        child = os.fork()
        if child == 0:
            control.close()
            _live(text.decode(), descriptor, fork_server)
        os.close(descriptor)
        # Not reaped before the next message: the number still means this child.
        process = os.pidfd_open(child)
        try:
            socket.send_fds(control, [text], [process])
        except (BrokenPipeError, ConnectionResetError):
            # The watchdog is gone, and its arms go with it.
            sys.exit(0)
        os.close(process)


def _live(name: str, descriptor: int, fork_server: int) -> NoReturn:
    """An arm from its beginning to its end; never returns into the trunk."""
    try:
        die_with_the_parent(f"hagit-{name}")
        kind = WorkerKind(name.rpartition("-")[0])
        if kind.urgent:
            hurry()
        else:
            linger()
        if os.getppid() == fork_server:
            WorkerProcess(socket.socket(fileno=descriptor), kind).serve()
    except SystemExit:
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


def main() -> NoReturn:
    """Serve one watchdog."""
    install()
    die_with_the_parent("hagit-arms")
    grow(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
