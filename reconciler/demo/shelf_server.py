"""`python -m reconciler.demo.shelf_server SOCKET`: the simulated shelf of the demonstration and of tests, one process.

Both controllers reach it over a unix socket, which crosses network namespaces as a SAS cable would. A client names its
role first: adapter of the disks or of the pools of one side ("shelf", "house"), a controller that is on while it stays
connected ("life"; its pools and connections end with it), or a client that causes faults ("control"). The behaviour of
disks and pools is in `demo/shelf_model`.

Prints "ready" when it accepts connections.
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

from reconciler.core.failover.orders.orders import Orders, Vdev
from reconciler.core.failover.reservations.claim import Answer, Reply, Verb
from reconciler.core.failover.reservations.key import Side
from reconciler.demo.control_requests import answer_request
from reconciler.demo.shelf_model import ShelfModel
from reconciler.errors import HagitError, StateError
from reconciler.simulation.timed.world import Physics, Range, Steady
from reconciler.system.message_stream import Frames, Message, frame
from reconciler.system.shelf.codec import plain_pools, plain_reply, plain_view, read_command

CHUNK_BYTES: Final = 1 << 16
#: Close connections whose client does not read its answers.
UNREAD_BYTES_MAX: Final = 16 << 20
#: Above the watchdogs and their worker processes.
PRIORITY: Final = 60
ROLES: Final = ("shelf", "house", "life", "control")


@dataclass(eq=False, slots=True)
class ShelfConnection:
    """One connection. `held`: commands to hanging disks, by disk and kind; they run when the disk answers again."""

    socket: socket.socket
    frames: Frames = field(default_factory=Frames)
    unsent: bytearray = field(default_factory=bytearray)
    role: str = ""
    side: Side = Side.A
    held: dict[tuple[int, str], Callable[[], None]] = field(default_factory=dict)
    open: bool = True


class ShelfServer:
    """One loop for all connections and the events of the model."""

    def __init__(self, path: Path, model: ShelfModel) -> None:
        self.model = model
        self._connections: list[ShelfConnection] = []
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._begun_ns = time.monotonic_ns()

    def serve(self) -> None:
        """Run until killed."""
        while True:
            self._turn()

    def _now_ms(self) -> int:
        return (time.monotonic_ns() - self._begun_ns) // 1_000_000

    def _turn(self) -> None:
        due_ms = self.model.due_ms()
        # Times are rounded down, so wait until the next millisecond has begun.
        wait_s = None if due_ms is None else max(0, due_ms - self._now_ms()) / 1000
        ready = self._selector.select(wait_s)
        self.model.run(self._now_ms())
        for key, events in ready:
            client: ShelfConnection | None = key.data
            if client is None:
                self._accept()
                continue
            if events & selectors.EVENT_WRITE:
                self._flush(client)
            if events & selectors.EVENT_READ:
                self._read(client)
        self.model.run(self._now_ms())

    # Connections -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        client = ShelfConnection(connection)
        self._connections.append(client)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _read(self, client: ShelfConnection) -> None:
        if not client.open:
            return
        try:
            data = client.socket.recv(CHUNK_BYTES)
            messages = client.frames.take(data)
        except BlockingIOError:
            return
        except (OSError, StateError):
            data, messages = b"", []
        if not data:
            self._close(client)
            return
        for message in messages:
            if client.open:
                self._handle(client, message)

    def send(self, client: ShelfConnection, message: Message) -> None:
        """Send an answer. Ignore it when the client has gone."""
        if not client.open:
            return
        client.unsent += frame(message)
        if len(client.unsent) > UNREAD_BYTES_MAX:
            self._close(client)
            return
        self._flush(client)

    def _flush(self, client: ShelfConnection) -> None:
        if not client.open:
            return
        try:
            del client.unsent[: client.socket.send(client.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.socket, events, client)

    def _close(self, client: ShelfConnection) -> None:
        if not client.open:
            return
        client.open = False
        client.held.clear()
        self._selector.unregister(client.socket)
        client.socket.close()
        self._connections.remove(client)
        if client.role == "life":
            self.model.note(client.side, "loses power")
            self._off(client.side)

    def _off(self, side: Side) -> None:
        """Switch a controller off and close all its connections."""
        self.model.attached(side).power_off()
        for client in [
            client for client in self._connections if client.role in ("shelf", "house", "life") and client.side is side
        ]:
            self._close(client)

    # Messages --------------------------------------------------------------------------------------------------------

    def _handle(self, client: ShelfConnection, message: Message) -> None:
        try:
            if not client.role:
                self._greet(client, message)
            elif client.role == "control":
                self._control(client, message)
            elif client.role == "house":
                self._pool_request(client, message)
            elif client.role == "shelf":
                self._disk_request(client, message)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            print(f"an invalid message: {error!r}", file=sys.stderr, flush=True)
            self._close(client)

    def _greet(self, client: ShelfConnection, message: Message) -> None:
        role, side = message["hello"], Side(message.get("side", "a"))
        controller = self.model.attached(side)
        if role not in ROLES:
            raise ValueError(role)
        if role == "life":
            if controller.on:
                # Another connection keeps it on: closing this one must not switch it off.
                self.send(client, {"ok": False})
                self._close(client)
                return
            controller.power_on()
            self.model.note(side, "has power")
            self.send(client, {"ok": True})
        client.role, client.side = role, side
        if role in ("shelf", "house") and not controller.on:
            self._close(client)

    def _pool_request(self, client: ShelfConnection, message: Message) -> None:
        controller, number = self.model.attached(client.side), message["id"]

        def done(ok: bool) -> None:
            self.send(client, {"id": number, "ok": ok})

        match message["do"]:
            case "pools":
                if not controller.blind:
                    self.send(client, {"id": number, **plain_pools(controller.real.view())})
            case "import":
                controller.real.ask_import(done)
            case "export":
                controller.real.ask_export(done)

    def _disk_request(self, client: ShelfConnection, message: Message) -> None:
        match message["do"]:
            case "perform":
                self._perform(client, message)
            case "look":
                self._each(
                    client, message, lambda _, at: plain_view(self.model.shelf.views(client.side)[at]), keep=False
                )
            case "read":
                writer = Side(message["of"])
                self._each(client, message, lambda _, at: self._sector(client.side, writer, at), keep=False)
            case "write":
                sectors = [bytes.fromhex(sector) for sector in message["sectors"]]
                self._each(
                    client,
                    message,
                    lambda place, at: self.model.write_sector(client.side, at, sectors[place]),
                    keep=True,
                )

    def _sector(self, reader: Side, writer: Side, at: int) -> str | None:
        data = self.model.read_sector(reader, writer, at)
        return None if data is None else data.hex()

    def _hangs(self, side: Side, at: int) -> bool:
        shelf = self.model.shelf
        return at in shelf.hanging and at not in shelf.gone and at not in shelf.lost[side is Side.B]

    def _perform(self, client: ShelfConnection, message: Message) -> None:
        model, number = self.model, message["id"]
        at = model.find(message["name"])
        if at is None:
            self.send(client, {"id": number, **plain_reply(Reply(Answer.SILENT))})
            return
        command = read_command({**message, "disk": at})
        model.commanded(client.side, command)

        def act() -> None:
            reply, took_ms = model.shelf.perform(client.side, command)
            if command.verb is not Verb.LOOK:
                model.note(client.side, f"{command.verb} {message['name']} with {command.key}: {reply.answer}")
            self._after(took_ms, client, {"id": number, **plain_reply(reply)})

        if self._hangs(client.side, at):
            client.held[at, "command"] = act
        else:
            act()

    def _each(self, client: ShelfConnection, message: Message, what: Callable[[int, int], Any], *, keep: bool) -> None:
        """Ask many disks at once; each answers in its own time. `keep`: a hanging disk does it once it answers again.

        A disk that is not in this shelf counts as gone.
        """
        model, number = self.model, message["id"]
        answers: dict[int, list[list[Any]]] = {}

        def later(place: int, at: int) -> Callable[[], None]:
            return lambda: self.send(client, {"id": number, "each": [[place, what(place, at)]]})

        for place, name in enumerate(message["disks"]):
            at = model.find(name)
            if at is None:
                answers.setdefault(0, []).append([place, None])
            elif not self._hangs(client.side, at):
                took_ms = model.draw(model.physics.command_ms) + model.shelf.slow_ms.get(at, 0)
                answers.setdefault(took_ms, []).append([place, what(place, at)])
            elif keep:
                client.held[at, "write"] = later(place, at)
        for took_ms, each in answers.items():
            self._after(took_ms, client, {"id": number, "each": each})

    def _after(self, took_ms: int, client: ShelfConnection, message: Message) -> None:
        if took_ms:
            self.model.later(took_ms, lambda _: self.send(client, message))
        else:
            self.send(client, message)

    def _control(self, client: ShelfConnection, message: Message) -> None:
        try:
            answer = answer_request(self.model, message)
        except HagitError as error:
            answer = {"error": str(error)}
        if message.get("do") == "state":
            answer["held"] = [self.model.orders.disks[at] for other in self._connections for at, _ in other.held]
        self.send(client, {"id": message.get("id"), **answer})
        for side in Side:
            if not self.model.attached(side).on:
                self._off(side)
        for other in list(self._connections):
            for at, kind in list(other.held):
                if not self._hangs(other.side, at):
                    other.held.pop((at, kind))()


def main(arguments: list[str] | None = None) -> int:
    """Run the shelf until killed."""
    options = _options(arguments)
    physics = Physics(
        command_ms=options.command_ms,
        import_ms=options.import_ms,
        export_ms=options.export_ms,
        write_ms=options.write_ms,
    )
    # Real hardware does not wait for a processor: take real-time priority where possible.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    server = ShelfServer(options.socket, ShelfModel(_orders(options), Steady(), physics))
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
