"""ClientGuard: what happens to the clients' packets and connections around a release and a takeover, in its order.

Joins the parts. Does not start servers, move addresses or decide when; never raises for what the kernel, a program or a
file does: the report names it, and serving goes on without the part that failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from reconciler.core.shares.shares import Shares
from reconciler.system.findings import Finding
from reconciler.system.shares.clients.connections import ConnectionFile
from reconciler.system.shares.clients.port_filter import PortFilter
from reconciler.system.shares.clients.services import ServicePoints, service_points
from reconciler.system.shares.clients.socket_diagnosis import SocketDiagnosis
from reconciler.system.shares.clients.tickle import tickle

#: Where the state filesystem of the pool is mounted.
STATE: Final = Path("/var/lib/hagit/pool-state")
#: How long, in seconds, the answers to requests already received may still leave before a release destroys sockets.
ANSWERS_S: Final = 0.05

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What one call did.

    `findings`: what failed. `destroyed`: sockets that ended. `remembered`: connections in the file. `tickled`: clients
    that got at least one packet. `steps_ms`: how long the parts took, by name, in their order.
    """

    findings: tuple[Finding, ...] = ()
    destroyed: int = 0
    remembered: int = 0
    tickled: int = 0
    steps_ms: tuple[tuple[str, int], ...] = ()


class ClientGuard:
    """The clients' side of a move. The watchdog calls it in worker processes, never in its loop:

    - standby, at its start and again before a takeover: `before_takeover`, before it places an address
    - takeover: import, servers started, addresses placed, then `after_serving`
    - active, every second: `record`. It may run beside all other calls, and keeps the list of before a move until
      `after_serving` has read it. It writes to the pool and so may block as long as the pool does; call it in the
      worker that looks at the servers, not in the one that starts and stops them
    - release: `before_release`, then addresses removed, servers stopped, pools exported. Nothing here touches the pool.
      The addresses should stay until `before_release` returns (about 0.1 s): so the answers to the last requests reach
      the clients. Nothing breaks if they go earlier
    - on the way to HALTED: nothing; a reset is silent

    Each call may be repeated, by another process, too: the state is in the kernel and in the file. After a release the
    filter stays closed, which costs nothing while the addresses are elsewhere. `audit` says what would fail.

    `state`: where the state filesystem is mounted. `program`: nft(8). `more_ports`: see `service_points`.
    """

    def __init__(self, state: Path = STATE, program: str = "nft", more_ports: Iterable[int] = ()) -> None:
        self._filter = PortFilter(program)
        self._file = ConnectionFile(state)
        self._more_ports = tuple(more_ports)

    def before_takeover(self, shares: Shares) -> GuardReport:
        """Drop all packets of the services, and destroy the sockets that an earlier life left. Takes about 20 ms."""
        points, work = self._begin(shares)
        work.do("filter", lambda: self._filter.close(points))
        work.do("sockets", lambda: self._destroy(points, work))
        return work.report()

    def after_serving(self, shares: Shares) -> GuardReport:
        """Let packets through, and tickle each client that was connected to the peer. Takes about 0.6 s.

        Clients reach the servers after the first 10 ms; the rest of the time repeats lost tickles. A tickle does not
        disturb a client that has connected already.
        """
        points, work = self._begin(shares)
        # As soon as the filter is open, `record` of another process may replace the file.
        content = self._file.load()
        work.do("filter", self._filter.open)
        connections = content if isinstance(content, Finding) else self._file.decode(content, points)
        if isinstance(connections, Finding):
            work.findings.append(connections)
            return work.report()
        work.remembered = len(connections)
        work.do("tickle", lambda: work.add_tickled(tickle(connections)))
        return work.report()

    def record(self, shares: Shares) -> GuardReport:
        """Write the connections of now to the state filesystem if they changed; at most once a second.

        Writes nothing while the filter is closed: a move is going on, and the list of before it is still needed.
        """
        points, work = self._begin(shares)
        work.do("record", lambda: self._record(points, work))
        return work.report()

    def before_release(self, shares: Shares) -> GuardReport:
        """End all connections without a word to the clients. Takes about 0.1 s.

        First no request comes in any more; after ANSWERS_S no answer goes out, and the sockets are destroyed. Otherwise
        a socket that outlives the release would answer the client when the address comes back.
        """
        points, work = self._begin(shares)
        work.do("requests", lambda: self._filter.close(points, outgoing=False))
        if points:
            time.sleep(ANSWERS_S)
        work.do("answers", lambda: self._filter.close(points))
        work.do("sockets", lambda: self._destroy(points, work))
        return work.report()

    def audit(self, shares: Shares) -> tuple[Finding, ...]:
        """Return what would fail in a takeover or a release from here. Changes nothing."""
        points = service_points(shares, self._more_ports)
        if not points:
            return ()
        found: list[Finding | None] = [self._filter.check(points)]
        with SocketDiagnosis() as sockets:
            found.append(sockets.check())
        return tuple(finding for finding in found if finding is not None)

    def _begin(self, shares: Shares) -> tuple[ServicePoints, _Work]:
        return service_points(shares, self._more_ports), _Work()

    def _destroy(self, points: ServicePoints, work: _Work) -> Finding | None:
        with SocketDiagnosis() as sockets:
            ended = sockets.destroy(points)
        if isinstance(ended, Finding):
            return ended
        work.destroyed += ended
        return None

    def _record(self, points: ServicePoints, work: _Work) -> Finding | None:
        with SocketDiagnosis() as sockets:
            connections = sockets.connections(points)
        if isinstance(connections, Finding):
            return connections
        # In this order: a list of after the destruction of sockets must not replace the one of before.
        if self._filter.is_closed():
            return None
        work.remembered = len(connections)
        return self._file.write(connections)


class _Work:
    """The report of one call, as it grows."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.destroyed = self.remembered = self.tickled = 0
        self._steps_ms: list[tuple[str, int]] = []

    def do(self, name: str, step: Callable[[], Finding | None]) -> None:
        """One step, timed."""
        began_s = time.monotonic()
        finding = step()
        self._steps_ms.append((name, round((time.monotonic() - began_s) * 1000)))
        if finding is not None:
            self.findings.append(finding)

    def add_tickled(self, result: int | Finding) -> Finding | None:
        """Count the clients that got a packet."""
        if isinstance(result, Finding):
            return result
        self.tickled = result
        return None

    def report(self) -> GuardReport:
        """All of it."""
        return GuardReport(
            tuple(dict.fromkeys(self.findings)), self.destroyed, self.remembered, self.tickled, tuple(self._steps_ms)
        )
