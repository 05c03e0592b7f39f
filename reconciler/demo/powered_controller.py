"""`python -m reconciler.demo.powered_controller SOCKET SIDE`: keep one controller switched on, for the simulated shelf.

Pools belong to a kernel, not to a daemon: they outlive a killed daemon and end with the machine. For the shelf, this
process is the machine; it only stays connected. It runs in the namespaces of a controller and ends with them, and then
the controller is off. `ShelfControl` is the other client of the shelf: it causes faults and asks for the state.

Prints "ready" when the controller is on; exits with 1 when the shelf cuts the power.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from reconciler.core.failover.reservations.key import Side
from reconciler.errors import StateError
from reconciler.system.message_stream import Frames, Message, frame

CHUNK_BYTES: Final = 1 << 16
#: Time limit for the connection: the shelf may not run yet, or the life before may not have ended.
CONNECT_S_MAX: Final = 10.0
RETRY_S: Final = 0.02


class PoweredController:
    """A controller that is on from construction until `end`. Raises StateError when it cannot be switched on."""

    def __init__(self, path: Path, side: Side) -> None:
        end_s = time.monotonic() + CONNECT_S_MAX
        while True:
            try:
                self.socket = _greet(path, {"hello": "life", "side": side.value})
                return
            except (OSError, StateError) as error:
                if time.monotonic() > end_s:
                    raise StateError(f"controller {side} cannot be switched on: {error}", where=str(path)) from error
                time.sleep(RETRY_S)

    def wait(self) -> None:
        """Wait until the shelf cuts the power."""
        while self.socket.recv(CHUNK_BYTES):
            pass

    def end(self) -> None:
        """Switch off."""
        self.socket.close()

    def __enter__(self) -> PoweredController:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class ShelfControl:
    """Causes faults at the simulated shelf and asks for its state. One request at a time."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._frames = Frames()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._socket.sendall(frame({"hello": "control"}))

    def request(self, do: str, **words: object) -> Message:
        """The answer. Raises StateError when the shelf refuses the request."""
        self._socket.sendall(frame({"do": do, **words}))
        answer = _next(self._socket, self._frames)
        if "error" in answer:
            raise StateError(str(answer["error"]))
        return answer

    def inject(self, name: str, *words: str) -> None:
        """Cause a fault, by its name in `hagit rehearse`."""
        self.request("inject", name=name, words=words)

    def heal(self, name: str, *words: str) -> None:
        """End a fault."""
        self.request("heal", name=name, words=words)

    def state(self) -> Message:
        """The state of the shelf: `broken`, `invariant`, `acknowledged`, `pools`, `on`, `disks`, …"""
        return self.request("state")

    def history(self) -> list[tuple[int, str, str]]:
        """Everything that happened: milliseconds since the shelf started, subject, text."""
        lines: list[tuple[int, str, str]] = []
        while more := self.request("history", after=len(lines))["lines"]:
            lines += [(at_ms, who, text) for at_ms, who, text in more]
        return lines

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _next(connection: socket.socket, frames: Frames) -> Message:
    while True:
        data = connection.recv(CHUNK_BYTES)
        if not data:
            raise StateError("the shelf closed the connection")
        for message in frames.take(data):
            return message


def _greet(path: Path, hello: Message) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_S_MAX)
        connection.connect(str(path))
        connection.sendall(frame(hello))
        if not _next(connection, Frames()).get("ok"):
            raise StateError("it is on already")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def main() -> int:
    """Stay connected until the power is cut."""
    with PoweredController(Path(sys.argv[1]), Side(sys.argv[2])) as life:
        print("ready", flush=True)
        life.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main())
