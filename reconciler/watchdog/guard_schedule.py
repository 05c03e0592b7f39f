"""When the clients' packets and connections need a step of the guard (`system/shares/clients`).

A standby drops packets for the shares, once for each list of shares and again when a takeover begins. An active
controller lets them through when a server serves and the addresses are here. A release ends the connections before the
addresses go; the addresses wait for that, at most `HOLD_MS`. Decides only which step is due.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from reconciler.core.failover.machine.phase import Phase
from reconciler.core.failover.machine.state import State
from reconciler.core.shares.shares import Protocol
from reconciler.watchdog.worker_protocol import GuardStep

#: A release keeps the addresses at most this long, in ms, for the last answers to clients.
HOLD_MS: Final = 700
#: Delay before packets are let through again, when that failed.
RETRY_MS: Final = 1_000
#: Phases on the way to ACTIVE.
TAKING_OVER: Final = frozenset({Phase.CLAIMING, Phase.IMPORTING})


class GuardSchedule:
    """The steps of one daemon."""

    def __init__(self) -> None:
        self._closed: tuple[str, bool] | None = None
        #: Protocols whose clients are let through. A daemon that starts does not know, and opens again.
        self._opened: frozenset[Protocol] = frozenset()
        self._release_due = False
        self._retry_ms = 0

    def begin(self, running: Collection[Protocol]) -> None:
        """The core exists now. `running`: servers that an earlier daemon may have left running."""
        self._release_due = bool(running)

    def due(
        self, core: State, digest: str, up: frozenset[Protocol], now_ms: int, *, addresses: bool
    ) -> GuardStep | None:
        """The step that is due. `up`: servers that serve. `addresses`: virtual addresses are here."""
        if core.phase is Phase.ACTIVE and addresses and up - self._opened and now_ms >= self._retry_ms:
            return GuardStep.OPEN
        if core.phase is Phase.RELEASING and self._release_due:
            return GuardStep.RELEASE
        if core.phase in (Phase.STANDBY, *TAKING_OVER) and self._closed != (digest, core.phase in TAKING_OVER):
            return GuardStep.CLOSE
        return None

    def started(self, step: GuardStep, core: State, digest: str, up: frozenset[Protocol]) -> None:
        """This step is being performed."""
        match step:
            case GuardStep.OPEN:
                self._opened, self._release_due = up, True
            case GuardStep.CLOSE:
                self._closed, self._opened = (digest, core.phase in TAKING_OVER), frozenset()

    def finished(self, step: GuardStep, now_ms: int, *, good: bool) -> None:
        """This step has ended. While packets do not pass, no client is served: that is tried again."""
        if step is GuardStep.RELEASE:
            self._release_due, self._opened, self._closed = False, frozenset(), None
        elif step is GuardStep.OPEN and not good:
            self._opened, self._retry_ms = frozenset(), now_ms + RETRY_MS

    def holds_addresses(self, core: State, now_ms: int) -> bool:
        """Whether the addresses of a release wait for the last answers to clients."""
        return core.phase is Phase.RELEASING and self._release_due and now_ms - core.since_ms < HOLD_MS
