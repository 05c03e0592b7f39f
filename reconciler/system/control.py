"""The control socket: what a person asks of the watchdog at once, and what it answers.

A unix stream socket; one JSON line asks, one JSON line answers, then the connection ends. Who may ask is decided by the
kernel twice: by mode and group of the socket file, and by the credentials of the caller (SO_PEERCRED, unix(7)).
The server never blocks: every socket it waits for is behind one file descriptor (epoll(7) nests), which a loop puts
into its own selector. Does not know what a request means: the daemon answers at once and acts later.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.errors import ControlError
from reconciler.system.control_protocol import (
    Caller,
    ControlAnswer,
    ControlRequest,
    answer_from_line,
    answer_line,
    request_document,
    request_from_line,
)

REQUEST_BYTES_MAX: Final = 64 << 10
ANSWER_BYTES_MAX: Final = 4 << 20
CONNECTION_COUNT_MAX: Final = 16
CONNECTION_S_MAX: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(slots=True, eq=False)
class _Connection:
    """One caller: what it has sent so far, or what it still has to be sent."""

    socket: socket.socket
    caller: Caller
    deadline_s: float
    received: bytearray = field(default_factory=bytearray)
    left: memoryview | None = None


class ControlServer:
    """Serves the socket at `path`; belongs to one thread.

    Put `fileno()` into a selector for reading, and when it is ready, or at least once a second, call `serve()`.
    `answer` is called for each good request and must return at once. `group` may use the socket, besides root; None:
    only root. `listener`: the listening socket of the process before, which then is not made anew. Raises ControlError
    when the socket cannot be made, for one because another watchdog serves it.
    """

    def __init__(
        self,
        path: Path,
        group: str | None,
        answer: Callable[[ControlRequest], ControlAnswer],
        listener: socket.socket | None = None,
    ) -> None:
        self._path = path
        self._answer = answer
        self._gid = _gid_of(group)
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        try:
            self._listener = self._listen() if listener is None else listener
        except BaseException:
            self._poll.close()
            raise
        self._inode = path.stat().st_ino
        self._handed_over = False
        self._poll.register(self._listener.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """Readable while there is something to do."""
        return self._poll.fileno()

    @property
    def listener(self) -> int:
        """The listening socket, to be sent to the process that goes on serving the path."""
        return self._listener.fileno()

    def hand_over(self) -> None:
        """Another process has the listening socket: `close` leaves the file where it is."""
        self._handed_over = True

    def serve(self) -> None:
        """Do what can be done without waiting. Errors of a caller end its connection and nothing else."""
        for number, _ in self._poll.poll(0, CONNECTION_COUNT_MAX + 1):
            if number == self._listener.fileno():
                self._accept()
            elif number in self._connections:
                self._go_on(self._connections[number])
        self._expire()

    def close(self) -> None:
        """End all connections and remove the file, unless another process made it or goes on with it."""
        for connection in tuple(self._connections.values()):
            self._end(connection)
        self._listener.close()
        self._poll.close()
        with contextlib.suppress(OSError):
            if not self._handed_over and self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._remove_leftover()
            # No client may connect before mode and group are set.
            old = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(old)
            os.chown(self._path, -1, -1 if self._gid is None else self._gid)
            self._path.chmod(0o600 if self._gid is None else 0o660)
            listener.listen(CONNECTION_COUNT_MAX)
        except OSError as error:
            listener.close()
            raise ControlError(
                f"cannot serve this socket: {error.strerror or error}",
                where=str(self._path),
                remedy="look who may write to the directory, and whether the path is shorter than 108 characters",
            ) from error
        except ControlError:
            listener.close()
            raise
        return listener

    def _remove_leftover(self) -> None:
        """A socket without a listener was left by a watchdog that was killed."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            try:
                probe.connect(str(self._path))
            except FileNotFoundError:
                return
            except ConnectionRefusedError:
                self._path.unlink()
                return
            except BlockingIOError:
                pass
        raise ControlError(
            "another watchdog serves this socket", where=str(self._path), remedy="end it, or name another `run`"
        )

    def _accept(self) -> None:
        """As many as there is room for; a later one takes the place of the oldest, or is told that there is none."""
        while True:
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # The caller went away, or file descriptors ran out: the next call finds out.
                return
            accepted.setblocking(False)
            pid, uid, gid = _CREDENTIALS.unpack(
                accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            connection = _Connection(accepted, Caller(pid, uid, gid), time.monotonic() + CONNECTION_S_MAX)
            if len(self._connections) >= CONNECTION_COUNT_MAX and not self._make_room(connection.caller):
                with contextlib.suppress(OSError):
                    accepted.send(answer_line(ControlAnswer(False, "BUSY", "too many requests at once; try again")))
                accepted.close()
                continue
            self._connections[accepted.fileno()] = connection
            self._poll.register(accepted.fileno(), select.EPOLLIN)
            if not self._may(connection.caller):
                self._reply(
                    connection, ControlAnswer(False, "PERMISSION", f"{connection.caller} may not use this socket")
                )

    def _make_room(self, caller: Caller) -> bool:
        """End the oldest connection of the user who has most. None of root gives way to another user."""
        users = [one.caller.uid for one in self._connections.values() if caller.uid == 0 or one.caller.uid != 0]
        if not users:
            return False
        busiest, _ = Counter(users).most_common(1)[0]
        self._end(next(one for one in self._connections.values() if one.caller.uid == busiest))
        return True

    def _may(self, caller: Caller) -> bool:
        """Root and the group may; the file's mode says the same, but a descriptor can be handed on."""
        if caller.uid in (0, os.geteuid()):
            return True
        return self._gid is not None and self._gid in _groups_of(caller)

    def _go_on(self, connection: _Connection) -> None:
        try:
            if connection.left is not None:
                self._send(connection)
                return
            content = connection.socket.recv(REQUEST_BYTES_MAX + 1 - len(connection.received))
        except BlockingIOError:
            return
        except OSError:
            self._end(connection)
            return
        connection.received += content
        line, newline, _ = connection.received.partition(b"\n")
        if newline:
            request = request_from_line(bytes(line), connection.caller)
            answer = ControlAnswer(False, "REQUEST", request) if isinstance(request, str) else self._answer(request)
            self._reply(connection, answer)
        elif not content:
            self._end(connection)
        elif len(connection.received) > REQUEST_BYTES_MAX:
            self._reply(connection, ControlAnswer(False, "REQUEST", f"a request has at most {REQUEST_BYTES_MAX} bytes"))

    def _reply(self, connection: _Connection, answer: ControlAnswer) -> None:
        line = answer_line(answer)
        if len(line) > ANSWER_BYTES_MAX:
            line = answer_line(ControlAnswer(False, "ANSWER", f"the answer has more than {ANSWER_BYTES_MAX} bytes"))
        connection.left = memoryview(line)
        try:
            self._send(connection)
        except BlockingIOError:
            self._poll.modify(connection.socket.fileno(), select.EPOLLOUT)
        except OSError:
            self._end(connection)

    def _send(self, connection: _Connection) -> None:
        assert connection.left is not None
        while connection.left:
            connection.left = connection.left[connection.socket.send(connection.left) :]
        self._end(connection)

    def _end(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        with contextlib.suppress(OSError):
            self._poll.unregister(number)
        self._connections.pop(number, None)
        connection.socket.close()

    def _expire(self) -> None:
        now_s = time.monotonic()
        for connection in tuple(self._connections.values()):
            if now_s >= connection.deadline_s:
                self._end(connection)


def _gid_of(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ControlError(
            f"there is no group {group!r} on this machine",
            where="watchdog.group",
            remedy=f"make it (`groupadd --system {group}`), or name another in the node file",
        ) from None


def _groups_of(caller: Caller) -> frozenset[int]:
    """The groups of a caller. SO_PEERCRED tells only the first, so the others come from the kernel's page on it."""
    found = {caller.gid}
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{caller.pid}/status").read_text().splitlines():
            if line.startswith("Groups:"):
                found |= {int(word) for word in line.split()[1:]}
    return frozenset(found)


def client(path: Path, request: ControlRequest, timeout_s: float = 5.0) -> ControlAnswer:
    """Ask the watchdog that serves `path`. Raises ControlError when there is no answer, and says why."""
    deadline_s = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.settimeout(timeout_s)
            caller.connect(str(path))
            # A client that was refused finds the answer although it can send nothing any more.
            with contextlib.suppress(ConnectionError):
                caller.sendall(json.dumps(request_document(request)).encode() + b"\n")
            line = _read_line(caller, deadline_s)
        except OSError as error:
            raise _no_answer(path, error, timeout_s) from error
    if not line:
        raise ControlError(
            "the watchdog ended before it answered", where=str(path), remedy="look at `hagit status` and ask again"
        )
    answer = answer_from_line(line)
    if answer is None:
        raise ControlError(
            "the watchdog gave an answer that this hagit does not understand",
            where=str(path),
            remedy="restart the watchdog, so that both are of one version; clients notice nothing",
        )
    return answer


def _read_line(caller: socket.socket, deadline_s: float) -> bytes:
    received = bytearray()
    while b"\n" not in received and len(received) <= ANSWER_BYTES_MAX:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        caller.settimeout(left_s)
        content = caller.recv(1 << 16)
        if not content:
            break
        received += content
    return bytes(received)


def _no_answer(path: Path, error: OSError, timeout_s: float) -> ControlError:
    """One message for each way in which the watchdog does not answer."""
    start = "start it with `hagit watchdog` or `systemctl start hagit-watchdog`"
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            return ControlError("the watchdog does not run on this controller", where=str(path), remedy=start)
        case PermissionError():
            return ControlError(
                "you may not talk to the watchdog",
                where=str(path),
                remedy="run this as root, or as a member of the group that owns the socket",
            )
        case TimeoutError():
            return ControlError(
                f"the watchdog has not answered within {timeout_s:g} s",
                where=str(path),
                remedy="look at its journal: it may be paused or hang",
            )
        case _:
            return ControlError(
                f"the watchdog cannot be asked: {error.strerror or error}", where=str(path), remedy=start
            )
