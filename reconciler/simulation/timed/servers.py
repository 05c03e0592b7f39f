"""The servers of shares of one controller in the timed world: one for each protocol that the pair serves.

They are parts of the kernel and go on without a daemon. A start takes time and may fail; a stop takes time and may
hang, as it does while the disks or pools hang. Worlds without protocols have no servers. Does not know when a server
should run: the core decides, and the daemon obeys as `SharesSeen` says.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from reconciler.core.failover.machine.events import Presence, SharesSeen, all_servers
from reconciler.core.failover.machine.phase import Thing

if TYPE_CHECKING:
    from reconciler.simulation.timed.controller import Controller
    from reconciler.simulation.timed.kernel import Kernel
    from reconciler.simulation.timed.world import World

#: Protocols of the pairs that serve shares.
PROTOCOLS: Final = ("nfs", "iscsi")
#: Milliseconds between a start that failed and the next try, and between two tries of a stop that disks hold up.
AGAIN_MS: Final = 500


class ServerState(StrEnum):
    """State of one server. Nothing of a server uses a pool while it is DOWN, and only then."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"


class Servers:
    """`states`: by protocol. `fails`, `hangs`: protocols whose next starts fail, and whose stops do not end.
    `ended_ms`: when a server ended last.

    A command that another one has replaced does nothing at its end: `_numbers` counts the commands of each server.
    """

    def __init__(self, world: World, owner: Controller, kernel: Kernel) -> None:
        self.world = world
        self.owner = owner
        self.kernel = kernel
        self.fails: set[str] = set()
        self.hangs: set[str] = set()
        self._numbers = dict.fromkeys(world.protocols, 0)
        self.vanish()

    def vanish(self) -> None:
        """The machine lost its memory."""
        self.states = dict.fromkeys(self.world.protocols, ServerState.DOWN)
        self._retry_ms = dict.fromkeys(self.world.protocols, 0)
        self.ended_ms = 0

    @property
    def running(self) -> bool:
        """Whether anything of a server runs."""
        return any(state is not ServerState.DOWN for state in self.states.values())

    @property
    def changing(self) -> bool:
        """Whether a start or stop is in progress."""
        return any(state in (ServerState.STARTING, ServerState.STOPPING) for state in self.states.values())

    def serves(self, protocol: str) -> bool:
        """Whether clients of this protocol are served."""
        return self.states[protocol] is ServerState.UP and self.kernel.pools is Presence.ALL

    def unserved(self) -> tuple[str, ...]:
        """Return the protocols whose clients are not served."""
        return tuple(protocol for protocol in self.states if not self.serves(protocol))

    def seen(self) -> SharesSeen:
        """Return what the daemon sees of all servers."""
        looks = (SharesSeen(self.serves(one), state is ServerState.DOWN) for one, state in self.states.items())
        return all_servers(looks)

    # What the daemon asks for ----------------------------------------------------------------------------------------

    def wants(self, wanted: frozenset[Thing], kept: frozenset[Thing]) -> bool:
        """Whether a server is to be started or stopped now."""
        return bool(self._startable() if Thing.SHARES in wanted else () if Thing.SHARES in kept else self._stoppable())

    def obey(self, wanted: frozenset[Thing], kept: frozenset[Thing]) -> None:
        """Begin the wanted starts or stops."""
        if Thing.SHARES in wanted:
            for protocol in self._startable():
                self._begin(protocol, ServerState.STARTING)
        elif Thing.SHARES not in kept:
            for protocol in self._stoppable():
                self.world.checkers.server_stops(self.owner)
                self._begin(protocol, ServerState.STOPPING)

    def _startable(self) -> list[str]:
        if self.kernel.pools is not Presence.ALL or self.kernel.waits:
            return []
        now_ms = self.world.now_ms
        return [
            one for one, state in self.states.items() if state is ServerState.DOWN and now_ms >= self._retry_ms[one]
        ]

    def _stoppable(self) -> list[str]:
        return [one for one, state in self.states.items() if state in (ServerState.STARTING, ServerState.UP)]

    def _begin(self, protocol: str, state: ServerState) -> None:
        self.states[protocol] = state
        self._numbers[protocol] += 1
        starts = state is ServerState.STARTING
        self.world.note(self.owner.side, f"{protocol} {'starts' if starts else 'stops'}")
        if starts:
            self.world.checkers.server_starts(self.owner)
        span_ms = self.world.physics.start_ms if starts else self.world.physics.stop_ms
        act = self._started if starts else self._stopped
        self.world.later(self.world.draw(span_ms), act, (protocol, self._numbers[protocol]), self.owner)

    def _started(self, command: tuple[str, int]) -> None:
        protocol, number = command
        if number != self._numbers[protocol] or self.states[protocol] is not ServerState.STARTING:
            return
        if self.kernel.waits:
            self.world.later(AGAIN_MS, self._started, command, self.owner)
            return
        fails = protocol in self.fails or self.kernel.pools is not Presence.ALL
        self.states[protocol] = ServerState.DOWN if fails else ServerState.UP
        self._retry_ms[protocol] = self.world.now_ms + AGAIN_MS
        self.world.note(self.owner.side, f"{protocol} {'does not start' if fails else 'serves'}")

    def _stopped(self, command: tuple[str, int]) -> None:
        protocol, number = command
        if number != self._numbers[protocol] or self.states[protocol] is not ServerState.STOPPING:
            return
        if protocol in self.hangs or self.kernel.waits:
            self.world.later(AGAIN_MS, self._stopped, command, self.owner)
            return
        self._down(protocol, "has stopped")

    def dies(self, protocol: str) -> None:
        """A server ends by itself, with everything of it."""
        if self.states[protocol] is ServerState.UP:
            self._down(protocol, "dies")

    def _down(self, protocol: str, how: str) -> None:
        self.states[protocol] = ServerState.DOWN
        self.ended_ms = self.world.now_ms
        self.world.note(self.owner.side, f"{protocol} {how}")
        self.world.checkers.servers_changed()

    def heal(self) -> None:
        """Starts succeed and stops end again."""
        self.fails.clear()
        self.hangs.clear()
