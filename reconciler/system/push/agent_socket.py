"""The unix socket on which the agent answers git's hooks and the shell of the git user (`agent_client` has the form).

The kernel says twice who may ask: by the mode of the socket file, and by the credentials of the caller (SO_PEERCRED,
unix(7)). Each connection has a thread, a deadline and limits of size; one too many is refused at once. Does not know
what the requests mean.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from reconciler.errors import HagitError
from reconciler.system.files import PUBLIC_DIRECTORY, make_directory, state_error
from reconciler.system.push.agent_client import ANSWER_S, FORMAT, LINE_BYTES_MAX, AgentReply
from reconciler.system.push.git_user import GitUser

HEAD_BYTES_MAX: Final = 128 << 10
ATTACHMENT_BYTES_MAX: Final = 16 << 20
CONNECTIONS_MAX: Final = 8
#: A request has to be there this long after the connection.
REQUEST_S: Final = 30.0
_CREDENTIALS: Final = struct.Struct("3i")

#: Answers a request: its name, its fields, its attachment, and a function that shows a text before the end.
Answer = Callable[[str, Mapping[str, Any], bytes, Callable[[str], None]], AgentReply]


class AgentSocket:
    """Serves the socket at `path` to root and `user`, in threads of its own. Raises StateError."""

    def __init__(self, path: Path, user: GitUser, answer: Answer) -> None:
        self._path, self._user, self._answer = path, user, answer
        self._room = threading.Semaphore(CONNECTIONS_MAX)
        self._closed = False
        make_directory(path.parent, PUBLIC_DIRECTORY)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            old = os.umask(0o177)
            try:
                self._listener.bind(str(path))
            finally:
                os.umask(old)
            if os.geteuid() == 0:
                os.chown(path, 0, user.gid)
            path.chmod(0o660)
            self._listener.listen(CONNECTIONS_MAX)
        except OSError as error:
            self._listener.close()
            raise state_error(path, error, "serve this socket") from error
        self._thread = threading.Thread(target=self._accept, name="push socket", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop. Requests that are being answered may still end."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if not self._closed:
                    # File descriptors ran out, for one: the next try may succeed.
                    threading.Event().wait(0.1)
                continue
            if not self._room.acquire(blocking=False):
                _send(connection, AgentReply(False, "too many pushes at once; push again in a moment"))
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="push request", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                _send(connection, self._reply(connection))
        finally:
            self._room.release()

    def _reply(self, connection: socket.socket) -> AgentReply:
        _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.geteuid(), self._user.uid):
            return AgentReply(False, f"user {uid} may not ask hagit's agent about pushes")
        try:
            document, attachment = _read(connection, time.monotonic() + REQUEST_S)
        except (OSError, ValueError, RecursionError) as error:
            return AgentReply(False, f"hagit's agent cannot read this request: {error}")
        connection.settimeout(ANSWER_S)

        def show(text: str) -> None:
            _show(connection, text)

        try:
            return self._answer(str(document.get("request", "")), document, attachment, show)
        except HagitError as error:
            return AgentReply(False, f"hagit: {error}")
        except Exception as error:
            # A defect must neither end the thread without an answer nor let a push pass.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            return AgentReply(False, f"hagit: refused by a defect: {error!r:.200} at {where}; please report it")


def _read(connection: socket.socket, deadline_s: float) -> tuple[Mapping[str, Any], bytes]:
    received = bytearray()
    while b"\n" not in received:
        if len(received) > HEAD_BYTES_MAX:
            raise ValueError(f"its first line has more than {HEAD_BYTES_MAX} bytes")
        received += _receive(connection, deadline_s)
    line, _, rest = received.partition(b"\n")
    document = json.loads(line)
    size = document.get("attachment", 0) if isinstance(document, dict) else None
    if size is None or document.get("format") != FORMAT:
        raise ValueError(f"it is not {FORMAT}: both programs have to be of one release")
    if type(size) is not int or not 0 <= size <= ATTACHMENT_BYTES_MAX:
        raise ValueError(f"it has more than {ATTACHMENT_BYTES_MAX >> 20} MiB")
    while len(rest) < size:
        rest += _receive(connection, deadline_s)
    return document, bytes(rest[:size])


def _receive(connection: socket.socket, deadline_s: float) -> bytes:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("it did not come in time")
    connection.settimeout(left_s)
    content = connection.recv(1 << 18)
    if not content:
        raise ValueError("it ends too early")
    return content


def _show(connection: socket.socket, text: str) -> None:
    """Send a text before the end. A caller that is gone finds no answer either."""
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps({"text": text}).encode()[: LINE_BYTES_MAX - 1] + b"\n")


def _send(connection: socket.socket, reply: AgentReply) -> None:
    text = reply.text if len(reply.text) < LINE_BYTES_MAX // 8 else reply.text[: LINE_BYTES_MAX // 8] + " …"
    document = {"accepted": reply.accepted, "text": text, "document": dict(reply.document)}
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(document).encode() + b"\n")
