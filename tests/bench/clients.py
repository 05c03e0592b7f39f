"""Group 8: how long a client of the shares waits after its virtual address has moved, by TCP alone.

Two controllers and clients in network namespaces. The clients send one request after the other and connect again as the
NFS client of Linux does. What is measured begins when the server on the new controller can answer, so it is the part
that the move of pools and servers does not explain.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from reconciler.system.findings import Finding
from reconciler.system.shares.clients.connections import ClientConnection
from reconciler.system.shares.clients.port_filter import PortFilter
from reconciler.system.shares.clients.socket_diagnosis import SocketDiagnosis
from reconciler.system.shares.clients.tickle import tickle
from tests.bench.figure import Figure, Group
from tests.system.shares.clients.segment import (
    HOST4,
    HOST6,
    POINTS,
    AnsweringServer,
    ClientSegment,
    Controller,
    PersistentClient,
)
from tests.wait import until

OUTAGES_S: Final = (2.0, 5.0, 10.0)
#: The outages of one row lie this far around its name, so that the moment of a client's next repetition is not always
#: the same.
SPREAD: Final = 0.1
#: The virtual address answers this long after the death of its controller, before storage and server are there.
ADDRESS_S: Final = 0.5
CLIENTS: Final = (HOST4, HOST6, HOST4, HOST6, HOST4)
#: A planned move: without server for this long, and this long between the move there and the move back.
MOVE_S, STAY_S = 1.0, 3.0
ROUNDS_MIN, ROUNDS_MAX = 5, 20


@dataclass(frozen=True, slots=True)
class Method:
    """What is done for the clients. `destroy`: the releasing controller destroys the sockets."""

    name: str
    drop: bool
    tickle: bool
    destroy: bool = True


OUTAGE_METHODS: Final = (
    Method("refused (RST)", drop=False, tickle=False),
    Method("dropped", drop=True, tickle=False),
    Method("dropped, tickled", drop=True, tickle=True),
)
MOVE_METHODS: Final = (
    Method("refused (RST)", drop=False, tickle=False, destroy=False),
    Method("sockets left", drop=True, tickle=True, destroy=False),
    Method("sockets destroyed", drop=True, tickle=True),
)


class Service:
    """The server on one controller, with what a method does for the clients."""

    def __init__(self, controller: Controller, method: Method) -> None:
        self._controller = controller
        self._method = method
        self._server: AnsweringServer | None = None

    def place(self) -> None:
        """Have the address. Its packets are dropped by now if the method drops."""
        if self._method.drop:
            self._do(lambda: PortFilter().close(POINTS))
        self._controller.place()

    def serve(self, connections: tuple[ClientConnection, ...] = ()) -> None:
        """Answer from now on."""
        self._server = AnsweringServer(self._controller)
        self._do(PortFilter().open)
        if self._method.tickle:
            self._do(lambda: tickle(connections))

    def connections(self) -> tuple[ClientConnection, ...]:
        """The clients' connections to this controller, of all clients."""

        def look() -> tuple[ClientConnection, ...]:
            with SocketDiagnosis() as sockets:
                found = sockets.connections(POINTS)
            assert not isinstance(found, Finding), found
            return found

        return until(lambda: len(found := self._controller.inside(look)) == len(CLIENTS) and found)

    def release(self) -> tuple[ClientConnection, ...]:
        """Serve no longer; return the connections that there were."""
        connections = self.connections()
        if self._method.drop:
            self._do(lambda: PortFilter().close(POINTS))
        if self._method.destroy:
            with self._controller.inside(SocketDiagnosis) as sockets:
                self._do(lambda: sockets.destroy(POINTS))
        self._controller.remove()
        self.close()
        return connections

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.close()
        self._server = None

    def _do(self, step: Callable[[], object]) -> None:
        result = self._controller.inside(step)
        assert not isinstance(result, Finding), result


@contextlib.contextmanager
def pair_with_clients(method: Method) -> Iterator[tuple[ClientSegment, Service, Service, list[PersistentClient]]]:
    """`a` serves and every client has got answers."""
    segment = ClientSegment()
    a, b = Service(segment.a, method), Service(segment.b, method)
    clients: list[PersistentClient] = []
    try:
        a.place()
        a.serve()
        clients += [PersistentClient(segment.client, host, 800 + number) for number, host in enumerate(CLIENTS)]
        until(lambda: all(len(client.answered_s) > 20 for client in clients))
        yield segment, a, b, clients
    finally:
        for client in clients:
            client.stop()
        a.close()
        b.close()
        segment.close()


def outage(method: Method, outage_s: float) -> list[float]:
    """The controller dies; after `outage_s` the other one serves. Milliseconds that each client waits from then on."""
    with pair_with_clients(method) as (segment, a, b, clients):
        connections = a.connections()
        segment.cut("a")
        cut_s = time.monotonic()
        _wait_until(cut_s + ADDRESS_S)
        b.place()
        _wait_until(cut_s + outage_s)
        ready_s = time.monotonic()
        b.serve(connections)
        return [(_answered_s(client, ready_s) - ready_s) * 1000 for client in clients]


def there_and_back(method: Method) -> tuple[list[float], list[float]]:
    """A move there, and one back within seconds. Milliseconds without an answer of each client, for each move."""
    with pair_with_clients(method) as (_, a, b, clients):
        moves = []
        for old, new in ((a, b), (b, a)):
            began_s = time.monotonic()
            connections = old.release()
            _wait_until(began_s + MOVE_S)
            new.place()
            new.serve(connections)
            for client in clients:
                _answered_s(client, time.monotonic())
            _wait_until(max(time.monotonic(), began_s + MOVE_S + STAY_S))
            moves.append([_longest_gap_ms(client, began_s) for client in clients])
        return moves[0], moves[1]


def measure(_: Path, runs: int) -> Group:
    """Every method of one kind at the same time, each in namespaces of its own."""
    rounds = min(max(runs // 6, ROUNDS_MIN), ROUNDS_MAX)
    figures: list[Figure] = []
    for outage_s in OUTAGES_S:
        spread = [outage_s * (1 + SPREAD * (2 * number / (rounds - 1) - 1)) for number in range(rounds)]
        samples = _together(OUTAGE_METHODS, lambda method, each=spread: [outage(method, one_s) for one_s in each])
        figures += [
            _figure(f"silence of {outage_s:g} s: {method.name}", [one for run in samples[method] for one in run])
            for method in OUTAGE_METHODS
        ]
    moves = _together(MOVE_METHODS, lambda method: [there_and_back(method) for _ in range(rounds)])
    for at, name in enumerate(("move there", "move back")):
        figures += [
            _figure(f"{name}: {method.name}", [one for run in moves[method] for one in run[at]])
            for method in MOVE_METHODS
        ]
    return Group(
        "Clients of a virtual address that moves (TCP alone)",
        tuple(figures),
        (
            f"silence: from the moment at which the new server answers; {len(CLIENTS)} clients in {rounds} runs, "
            f"outages ±{SPREAD:.0%}",
            f"moves: the longest time without an answer, of it {MOVE_S:g} s without server; {STAY_S:g} s between them",
            "a refused client tries again after 3 s, 6 s, 7.5 s, as the NFS client of Linux with a lease of 15 s",
        ),
    )


def _together(methods: tuple[Method, ...], work: Callable[[Method], list]) -> dict[Method, list]:
    with ThreadPoolExecutor(len(methods)) as pool:
        return dict(zip(methods, pool.map(work, methods), strict=True))


def _figure(name: str, samples: list[float]) -> Figure:
    return Figure(name, tuple(samples), note=f"{min(samples):.0f} to {max(samples):.0f} ms")


def _answered_s(client: PersistentClient, moment_s: float) -> float:
    return until(lambda: client.answered_after(moment_s), lambda: client.losses[-5:], timeout_s=60) or 0.0


def _longest_gap_ms(client: PersistentClient, began_s: float) -> float:
    answers_s = [began_s, *(answer_s for answer_s in client.answered_s if answer_s > began_s)]
    return max(later - earlier for earlier, later in pairwise(answers_s)) * 1000


def _wait_until(moment_s: float) -> None:
    threading.Event().wait(max(0.0, moment_s - time.monotonic()))
