"""`python -m reconciler.demo.shelf_server SOCKET`: the simulated shelf of the demonstration and of tests, one process.

Both controllers reach it over a unix socket, which knows no network namespace, as a SAS cable knows no network. Who
connects says who it is: the disks or the pools of one side ("shelf", "house"), the life of one controller ("life":
while it lasts the controller is on; when it breaks, its pools and connections are gone) or a person who lets things
fail ("control"). Decides nothing about disks; `model` does.

Prints "ready" when it can be reached.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.core.failover.claim import Answer, Reply, Verb
from reconciler.core.failover.key import Side
from reconciler.core.failover.orders import Orders, Vdev
from reconciler.demo.control_requests import control
from reconciler.demo.shelf_model import Model
from reconciler.errors import HagitError, StateError
from reconciler.simulation.timed import Physics, Range, Steady
from reconciler.system.framing import Frames, Message, frame
from reconciler.system.shelf.codec import plain_pools, plain_reply, plain_view, read_command

CHUNK_BYTES: Final = 1 << 16
#: Whoever does not read its answers is hung up on.
UNREAD_BYTES_MAX: Final = 16 << 20
#: Above the watchdogs and their arms.
PRIORITY: Final = 60
ROLES: Final = ("shelf", "house", "life", "control")


@dataclass(eq=False, slots=True)
class Line:
    """One connection. `held`: what hanging disks were asked and will do if they ever go on, by disk and kind."""

    socket: socket.socket
    frames: Frames = field(default_factory=Frames)
    unsent: bytearray = field(default_factory=bytearray)
    role: str = ""
    side: Side = Side.A
    held: dict[tuple[int, str], Callable[[], None]] = field(default_factory=dict)
    open: bool = True


class Server:
    """One loop: connections, and what the model does next."""

    def __init__(self, path: Path, model: Model) -> None:
        self.model = model
        self._lines: list[Line] = []
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._begun_ns = time.monotonic_ns()

    def serve(self) -> None:
        """For ever."""
        while True:
            self._turn()

    def _now_ms(self) -> int:
        return (time.monotonic_ns() - self._begun_ns) // 1_000_000

    def _turn(self) -> None:
        due_ms = self.model.due_ms()
        # A millisecond that has begun counts as over, so wait until the next one has.
        wait_s = None if due_ms is None else max(0, due_ms - self._now_ms()) / 1000
        ready = self._selector.select(wait_s)
        self.model.run(self._now_ms())
        for key, events in ready:
            line: Line | None = key.data
            if line is None:
                self._accept()
                continue
            if events & selectors.EVENT_WRITE:
                self._flush(line)
            if events & selectors.EVENT_READ:
                self._read(line)
        self.model.run(self._now_ms())

    # Connections -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        line = Line(connection)
        self._lines.append(line)
        self._selector.register(connection, selectors.EVENT_READ, line)

    def _read(self, line: Line) -> None:
        if not line.open:
            return
        try:
            data = line.socket.recv(CHUNK_BYTES)
            messages = line.frames.take(data)
        except BlockingIOError:
            return
        except (OSError, StateError):
            data, messages = b"", []
        if not data:
            self._close(line)
            return
        for message in messages:
            if line.open:
                self._handle(line, message)

    def send(self, line: Line, message: Message) -> None:
        """Answer; nobody is there any more: then not."""
        if not line.open:
            return
        line.unsent += frame(message)
        if len(line.unsent) > UNREAD_BYTES_MAX:
            self._close(line)
            return
        self._flush(line)

    def _flush(self, line: Line) -> None:
        if not line.open:
            return
        try:
            del line.unsent[: line.socket.send(line.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._close(line)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.unsent else 0)
        self._selector.modify(line.socket, events, line)

    def _close(self, line: Line) -> None:
        if not line.open:
            return
        line.open = False
        line.held.clear()
        self._selector.unregister(line.socket)
        line.socket.close()
        self._lines.remove(line)
        if line.role == "life":
            self.model.note(line.side, "loses power")
            self._off(line.side)

    def _off(self, side: Side) -> None:
        """The controller is gone, and everything that ran on it."""
        self.model.head(side).power_off()
        for line in [line for line in self._lines if line.role in ("shelf", "house", "life") and line.side is side]:
            self._close(line)

    # Messages --------------------------------------------------------------------------------------------------------

    def _handle(self, line: Line, message: Message) -> None:
        try:
            if not line.role:
                self._greet(line, message)
            elif line.role == "control":
                self._control(line, message)
            elif line.role == "house":
                self._house(line, message)
            elif line.role == "shelf":
                self._shelf(line, message)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            print(f"a message that makes no sense: {error!r}", file=sys.stderr, flush=True)
            self._close(line)

    def _greet(self, line: Line, message: Message) -> None:
        role, side = message["hello"], Side(message.get("side", "a"))
        head = self.model.head(side)
        if role not in ROLES:
            raise ValueError(role)
        if role == "life":
            if head.on:
                # Not its life yet: closing this line must not end the other one's.
                self.send(line, {"ok": False})
                self._close(line)
                return
            head.power_on()
            self.model.note(side, "has power")
            self.send(line, {"ok": True})
        line.role, line.side = role, side
        if role in ("shelf", "house") and not head.on:
            self._close(line)

    def _house(self, line: Line, message: Message) -> None:
        head, number = self.model.head(line.side), message["id"]

        def done(ok: bool) -> None:
            self.send(line, {"id": number, "ok": ok})

        match message["do"]:
            case "pools":
                if not head.blind:
                    self.send(line, {"id": number, **plain_pools(head.real.view())})
            case "import":
                head.real.ask_import(done)
            case "export":
                head.real.ask_export(done)

    def _shelf(self, line: Line, message: Message) -> None:
        match message["do"]:
            case "perform":
                self._perform(line, message)
            case "look":
                self._each(line, message, lambda _, at: plain_view(self.model.shelf.views(line.side)[at]), keep=False)
            case "read":
                writer = Side(message["of"])
                self._each(line, message, lambda _, at: self._sector(line.side, writer, at), keep=False)
            case "write":
                sectors = [bytes.fromhex(sector) for sector in message["sectors"]]
                self._each(
                    line, message, lambda place, at: self.model.write_sector(line.side, at, sectors[place]), keep=True
                )

    def _sector(self, reader: Side, writer: Side, at: int) -> str | None:
        data = self.model.read_sector(reader, writer, at)
        return None if data is None else data.hex()

    def _hangs(self, side: Side, at: int) -> bool:
        shelf = self.model.shelf
        return at in shelf.hanging and at not in shelf.gone and at not in shelf.lost[side is Side.B]

    def _perform(self, line: Line, message: Message) -> None:
        model, number = self.model, message["id"]
        at = model.find(message["name"])
        if at is None:
            self.send(line, {"id": number, **plain_reply(Reply(Answer.SILENT))})
            return
        command = read_command({**message, "disk": at})
        model.commanded(line.side, command)

        def act() -> None:
            reply, took_ms = model.shelf.perform(line.side, command)
            if command.verb is not Verb.LOOK:
                model.note(line.side, f"{command.verb} {message['name']} with {command.key}: {reply.answer}")
            self._after(took_ms, line, {"id": number, **plain_reply(reply)})

        if self._hangs(line.side, at):
            line.held[at, "command"] = act
        else:
            act()

    def _each(self, line: Line, message: Message, what: Callable[[int, int], Any], *, keep: bool) -> None:
        """Ask many disks at once; each answers in its own time. `keep`: a disk that hangs does it when it goes on.

        A disk that is not in this shelf is as one that is gone.
        """
        model, number = self.model, message["id"]
        answers: dict[int, list[list[Any]]] = {}

        def later(place: int, at: int) -> Callable[[], None]:
            return lambda: self.send(line, {"id": number, "each": [[place, what(place, at)]]})

        for place, name in enumerate(message["disks"]):
            at = model.find(name)
            if at is None:
                answers.setdefault(0, []).append([place, None])
            elif not self._hangs(line.side, at):
                took_ms = model.draw(model.physics.command_ms) + model.shelf.slow_ms.get(at, 0)
                answers.setdefault(took_ms, []).append([place, what(place, at)])
            elif keep:
                line.held[at, "write"] = later(place, at)
        for took_ms, each in answers.items():
            self._after(took_ms, line, {"id": number, "each": each})

    def _after(self, took_ms: int, line: Line, message: Message) -> None:
        if took_ms:
            self.model.later(took_ms, lambda _: self.send(line, message))
        else:
            self.send(line, message)

    def _control(self, line: Line, message: Message) -> None:
        try:
            answer = control(self.model, message)
        except HagitError as error:
            answer = {"error": str(error)}
        if message.get("do") == "state":
            answer["held"] = [self.model.orders.disks[at] for other in self._lines for at, _ in other.held]
        self.send(line, {"id": message.get("id"), **answer})
        for side in Side:
            if not self.model.head(side).on:
                self._off(side)
        for other in list(self._lines):
            for at, kind in list(other.held):
                if not self._hangs(other.side, at):
                    other.held.pop((at, kind))()


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed."""
    options = _options(arguments)
    physics = Physics(
        command_ms=options.command_ms,
        import_ms=options.import_ms,
        export_ms=options.export_ms,
        write_ms=options.write_ms,
    )
    # It stands for hardware, which does not wait for a processor; best effort.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    server = Server(options.socket, Model(_orders(options), Steady(), physics))
    print("ready", flush=True)
    server.serve()
    return 0


def _range(text: str) -> Range:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="reconciler.demo.shelf_server", description="a simulated shelf for two controllers"
    )
    parser.add_argument("socket", type=Path)
    parser.add_argument("--disks", default="disk0,disk1,disk2,disk3,disk4,disk5", help="names, as in the orders")
    parser.add_argument("--vdev", action="append", metavar="NAME:NEEDED:DISK,DISK", help="default: mirrors of two")
    parser.add_argument("--arbitration", default="", help="disks that decide; default: the first three")
    for name, about in (("command", "one command to a disk"), ("import", "an import"), ("export", "an export")):
        parser.add_argument(
            f"--{name}-ms", type=_range, default=(0, 0), metavar="LOW-HIGH", help=f"how long {about} takes"
        )
    parser.add_argument("--write-ms", type=int, default=50, help="time between two writes of the client")
    return parser.parse_args(arguments)


def _orders(options: argparse.Namespace) -> Orders:
    disks = tuple(options.disks.split(","))
    if options.vdev:
        vdevs = tuple(_vdev(text, disks) for text in options.vdev)
    else:
        pairs = [tuple(range(at, min(at + 2, len(disks)))) for at in range(0, len(disks), 2)]
        vdevs = tuple(Vdev(f"mirror-{number}", pair, 1) for number, pair in enumerate(pairs))
    chosen = tuple(disks.index(name) for name in options.arbitration.split(",") if name)
    arbitration = chosen or tuple(range(min(3, len(disks) - 1 + len(disks) % 2)))
    return Orders("shelf", Side.A, 1, ("a", "b"), disks, vdevs, arbitration, channels=())


def _vdev(text: str, disks: tuple[str, ...]) -> Vdev:
    name, needed, members = text.split(":")
    return Vdev(name, tuple(disks.index(member) for member in members.split(",")), int(needed))


if __name__ == "__main__":
    sys.exit(main())
