"""`python -m reconciler.demo.powered_controller SOCKET SIDE`: the life of one controller, for the simulated shelf.

Pools belong to a kernel, not to a daemon: they outlive a daemon that is killed and end with the machine. This process
is what the shelf takes for the machine: it does nothing but stay connected. Started among the processes of a
controller's namespaces it ends with them, and then the controller is off. Decides nothing.

Prints "ready" when the controller is on; ends with 1 when the shelf takes the power away.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from reconciler.core.failover.key import Side
from reconciler.errors import StateError
from reconciler.system.framing import Frames, Message, frame

CHUNK_BYTES: Final = 1 << 16
#: How long to wait until the life before is over, or the shelf is there.
PATIENCE_S: Final = 10.0
AGAIN_S: Final = 0.02


class Life:
    """A controller that is on from the moment this exists until `end`."""

    def __init__(self, path: Path, side: Side) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.socket = _greet(path, {"hello": "life", "side": side.value})
                return
            except (OSError, StateError) as error:
                if time.monotonic() > end_s:
                    raise StateError(f"controller {side} cannot be switched on: {error}", where=str(path)) from error
                time.sleep(AGAIN_S)

    def wait(self) -> None:
        """Until the shelf takes the power away."""
        while self.socket.recv(CHUNK_BYTES):
            pass

    def end(self) -> None:
        """Off, at once."""
        self.socket.close()

    def __enter__(self) -> Life:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Control:
    """A person at the shelf: lets things fail and asks what is true. One request at a time."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._frames = Frames()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))
        self._socket.sendall(frame({"hello": "control"}))

    def ask(self, do: str, **words: object) -> Message:
        """The answer. Raises StateError when the shelf refuses the request."""
        self._socket.sendall(frame({"do": do, **words}))
        answer = _next(self._socket, self._frames)
        if "error" in answer:
            raise StateError(str(answer["error"]))
        return answer

    def inject(self, name: str, *words: str) -> None:
        """Let a fault happen, by its name in `hagit rehearse`."""
        self.ask("inject", name=name, words=words)

    def heal(self, name: str, *words: str) -> None:
        """Undo it."""
        self.ask("heal", name=name, words=words)

    def state(self) -> Message:
        """What is true: `broken`, `invariant`, `acknowledged`, `pools`, `on`, `disks`, …"""
        return self.ask("state")

    def history(self) -> list[tuple[int, str, str]]:
        """What happened: milliseconds since the shelf started, who, what."""
        lines: list[tuple[int, str, str]] = []
        while more := self.ask("history", after=len(lines))["lines"]:
            lines += [(at_ms, who, text) for at_ms, who, text in more]
        return lines

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _next(connection: socket.socket, frames: Frames) -> Message:
    while True:
        data = connection.recv(CHUNK_BYTES)
        if not data:
            raise StateError("the shelf hung up")
        for message in frames.take(data):
            return message


def _greet(path: Path, hello: Message) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(PATIENCE_S)
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
    """Stay on until ended."""
    with Life(Path(sys.argv[1]), Side(sys.argv[2])) as life:
        print("ready", flush=True)
        life.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main())
